/**
 * How long prepare, segment and register take for a CT of 512 x 512 x 400 voxels, each in turn with other software that does the same work:
 *
 *   node scripts/bench-large-scans.mjs [--only segment,register,prepare] [--rounds 2] [--before other/main.js] [--no-peers]
 *                                      [--python python3] [--folder .cache/bench-memory] [--out docs/benchmarks/scans.json]
 *
 * Run after a build, alone on the machine. Beside prepare: nibabel and scipy.ndimage; beside segment: the same windows and weights in PyTorch
 * (scripts/bench-large-scans.py says how); beside register: elastix (an affine and a B-spline transformation by mutual information, with its
 * defaults of 4 resolutions of 500 iterations) and transformix, which write what gvsl writes (warped image, displacement, Jacobian). elastix
 * optimises for these two images, gvsl applies what it learned, so their results are not the same; the row says what somebody waits for.
 *
 * Scans and models are those of bench-memory.mjs, made once. Each figure is the wall-clock time of a whole process, start-up included, the least
 * of all rounds. PyTorch keeps the memory that it frees (MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_). `--before` measures an earlier build in
 * the same turns. A peer that is not installed is left out, and that is said. `--out` adds the rows to that file's; `node
 * scripts/make-benchmarks.mjs` writes them into docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '2' },
    before: { type: 'string' },
    'no-peers': { type: 'boolean', default: false },
    python: { type: 'string', default: 'python3' },
    folder: { type: 'string', default: '.cache/bench-memory' },
    cli: { type: 'string', default: here('../dist/cli/main.js') },
    out: { type: 'string' },
  },
});
const at = (...names) => join(resolve(options.folder), ...names);

/** Runs a program to its end. @returns seconds @throws Error with what it said last */
function timed(command, args, env = {}) {
  const started = performance.now();
  const { status, stderr, error } = spawnSync(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    maxBuffer: 2 ** 28,
  });
  if (error || status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}: ${String(stderr).slice(-1000)}`}`);
  return (performance.now() - started) / 1000;
}

const has = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

if (!existsSync(at('segmenting', 'best')) || !existsSync(at('other', 'moving.nii.gz')))
  timed(process.execPath, [here('bench-memory.mjs'), '--folder', options.folder, '--only', 'none']);

const [fixed, moving, out] = [at('scans', 'fixed.nii.gz'), at('other', 'moving.nii.gz'), at('out')];
const python = (...args) => ({
  command: options.python,
  args: [here('bench-large-scans.py'), ...args],
  // one thread, as gvsl is told
  env: { OMP_NUM_THREADS: '1', MALLOC_MMAP_THRESHOLD_: '4000000000', MALLOC_TRIM_THRESHOLD_: '4000000000' },
});

/** elastix's own defaults but for what must be said: what varies, how finely, and that it samples anew. */
function elastixParameters(transform, more) {
  const path = at(`${transform}.txt`);
  const values = {
    FixedInternalImagePixelType: '"float"',
    MovingInternalImagePixelType: '"float"',
    FixedImageDimension: 3,
    MovingImageDimension: 3,
    UseDirectionCosines: '"true"',
    Registration: '"MultiResolutionRegistration"',
    Interpolator: '"LinearInterpolator"',
    // of order 1: linear
    ResampleInterpolator: '"FinalBSplineInterpolator"',
    FinalBSplineInterpolationOrder: 1,
    Resampler: '"DefaultResampler"',
    FixedImagePyramid: '"FixedRecursiveImagePyramid"',
    MovingImagePyramid: '"MovingRecursiveImagePyramid"',
    Optimizer: '"AdaptiveStochasticGradientDescent"',
    Transform: `"${transform}"`,
    Metric: '"AdvancedMattesMutualInformation"',
    HowToCombineTransforms: '"Compose"',
    NumberOfHistogramBins: 32,
    NumberOfResolutions: 4,
    MaximumNumberOfIterations: 500,
    NumberOfSpatialSamples: 2048,
    NewSamplesEveryIteration: '"true"',
    ImageSampler: '"Random"',
    DefaultPixelValue: -1024,
    WriteResultImage: '"false"',
    ...more,
  };
  writeFileSync(
    path,
    Object.entries(values)
      .map(([name, value]) => `(${name} ${value})\n`)
      .join(''),
  );
  return path;
}

function elastix() {
  const parameters = [
    elastixParameters('AffineTransform', { AutomaticTransformInitialization: '"true"', AutomaticScalesEstimation: '"true"' }),
    elastixParameters('BSplineTransform', {
      FinalGridSpacingInPhysicalUnits: 16,
      WriteResultImage: '"true"',
      ResultImageFormat: '"nii.gz"',
      ResultImagePixelType: '"short"',
    }),
  ];
  mkdirSync(out, { recursive: true });
  const run = ['-f', fixed, '-m', moving, '-out', out, '-threads', '2', ...parameters.flatMap((path) => ['-p', path])];
  const seconds = timed('elastix', run);
  const map = join(out, 'TransformParameters.1.txt');
  const text = readFileSync(map, 'utf8').replace('"nii"', '"nii.gz"');
  writeFileSync(map, text);
  return seconds + timed('transformix', ['-def', 'all', '-jac', 'all', '-tp', map, '-out', out, '-threads', '2']);
}

const tasks = {
  prepare: {
    what: '`prepare --spacing 2`',
    args: ['prepare', at('scans'), out, '--modality', 'ct', '--spacing', '2'],
    peer: 'nibabel + SciPy',
    isThere: () => has(options.python, '-c', 'import nibabel, scipy.ndimage'),
    run: () => {
      mkdirSync(out, { recursive: true });
      const { command, args, env } = python('prepare', fixed, join(out, 'scan.npy'));
      return timed(command, args, env);
    },
  },
  segment: {
    what: '`segment --window 48 --threads 1`, 9 classes, width 0.25',
    args: ['segment', fixed, '--model', at('segmenting'), '--out', out, '--threads', '1', '--window', '48'],
    peer: 'PyTorch, nibabel, SciPy, 1 thread',
    isThere: () => has(options.python, '-c', 'import nibabel, scipy.ndimage, torch'),
    run: () => {
      mkdirSync(out, { recursive: true });
      const weights = at('segmenting.pth');
      if (!existsSync(weights)) timed(process.execPath, [options.cli, 'export', at('segmenting'), '--pth', weights]);
      const { command, args, env } = python('segment', fixed, weights, join(out, 'labels.nii.gz'));
      return timed(command, args, env);
    },
  },
  register: {
    what: '`register --threads 2`',
    args: ['register', '--model', at('matching'), '--moving', moving, '--fixed', fixed, '--out', out, '--threads', '2'],
    peer: 'elastix and transformix, 2 threads',
    isThere: () => has('elastix', '--version') && has('transformix', '--version'),
    run: elastix,
  },
};

/** One run into an empty folder. */
function once(run) {
  rmSync(out, { recursive: true, force: true });
  const seconds = run();
  rmSync(out, { recursive: true, force: true });
  return seconds;
}

const only = options.only?.split(',');
const rows = {};
for (const [name, { what, args, peer, isThere, run }] of Object.entries(tasks)) {
  if (only && !only.includes(name)) continue;
  const columns = {
    ...(options.before ? { before: () => timed(process.execPath, [options.before, ...args]) } : {}),
    now: () => timed(process.execPath, [options.cli, ...args]),
  };
  if (!options['no-peers'] && isThere()) columns.peer = run;
  else console.error(`${name}: without its peer (${peer})`);
  const seconds = {};
  for (let round = 0; round < Number(options.rounds); round++)
    for (const [column, work] of Object.entries(columns)) {
      const took = once(work);
      seconds[column] = Math.min(took, seconds[column] ?? Number.POSITIVE_INFINITY);
      console.error(`${name} ${column}: ${took.toFixed(1)} s`);
    }
  rows[name] = { what, peerName: peer, rounds: Number(options.rounds), node: process.version, cpu: cpus()[0].model, seconds };
}
console.log(JSON.stringify(rows, null, 2));
if (options.out) {
  const known = existsSync(options.out) ? JSON.parse(readFileSync(options.out, 'utf8')) : {};
  writeFileSync(options.out, `${JSON.stringify({ ...known, ...rows }, null, 2)}\n`);
}
