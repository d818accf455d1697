/**
 * Registration beside elastix and ANTs, on pairs of labelled scans that nothing was tuned on: overlap, folds, error of the inverse, CPU time.
 *
 *   npm run build && node scripts/bench-registration.mjs [--data ../shared/data] [--pairs 24] [--model RUN] [--only gvsl,elastix] [--methods REGEX] [--out results.json]
 *
 * Each program is a process with one thread and reads and writes files; its CPU seconds (user and system) count whole, start included. Labels are
 * judged here alike: the moving label map by nearest neighbour where each program's own map points, on the fixed grid; the mean over labels. A pair
 * is lost where that is less than it was with the grids' centres on one another.
 *
 * Cohorts: `hippocampus-mr` (Medical Segmentation Decathlon, Task04) and `left-atrium-mr` (2018 Atrial Segmentation Challenge), as folders with imagesTr
 * and labelsTr; one that is not there is skipped, and so is a program. Pairs are neighbours in the order of the subjects' names, without those
 * that settings were chosen on: `--skip` names a JSON file with a list of them
 * (docs/benchmarks/registration-tuned-on.json: every subject that a network or a setting has seen, in training or in trials).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join(root, '../shared/data') },
    pairs: { type: 'string', default: '24' },
    model: { type: 'string' },
    only: { type: 'string' },
    methods: { type: 'string', default: '' },
    out: { type: 'string' },
    cohorts: { type: 'string', default: 'hippocampus-mr,left-atrium-mr' },
    skip: { type: 'string', default: join(root, 'docs/benchmarks/registration-tuned-on.json') },
  },
});
const load = (path) => import(pathToFileURL(join(root, path)).href);
const { readImage } = await load('dist/images/node/read.js');
const { labelOverlap } = await load('dist/metrics/label-overlap.js');
const { warpLabelMap } = await load('dist/apply/registration/warp.js');
const { displacementPlanes, jacobianPlanes } = await load('dist/apply/registration/physical-map.js');
const { mapOnGrid } = await load('dist/apply/registration/transforms/transform.js');
const { readTransform } = await load('dist/apply/node/registration/read-transform.js');
const { centring } = await load('dist/apply/registration/stages.js');

const work = mkdtempSync(join(tmpdir(), 'bench-registration-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
/** `bash`'s `times`, after the one process it ran: user and system seconds of its children. */
function timed(command, args) {
  const quoted = [command, ...args].map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
  const run = spawnSync('bash', ['-c', `${quoted} > '${work}/log' 2>&1; code=$?; times; exit $code`], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${command}: ${readFileSync(`${work}/log`, 'utf8').slice(-2000)}`);
  return [
    ...run.stdout
      .trim()
      .split('\n')[1]
      .matchAll(/(\d+)m([\d.]+)s/g),
  ].reduce((sum, [, m, s]) => sum + 60 * m + Number(s), 0);
}

const has = (name) => spawnSync('bash', ['-c', `command -v ${name}`]).status === 0;

/** elastix: Mattes' mutual information, adaptive stochastic gradient descent, three resolutions; grid spacings of the size that the manual names. */
const common = `(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(FixedImageDimension 3)
(MovingImageDimension 3)
(UseDirectionCosines "true")
(Registration "MultiResolutionRegistration")
(Interpolator "LinearInterpolator")
(ResampleInterpolator "FinalBSplineInterpolator")
(Resampler "DefaultResampler")
(FixedImagePyramid "FixedSmoothingImagePyramid")
(MovingImagePyramid "MovingSmoothingImagePyramid")
(Optimizer "AdaptiveStochasticGradientDescent")
(Metric "AdvancedMattesMutualInformation")
(AutomaticScalesEstimation "true")
(HowToCombineTransforms "Compose")
(NumberOfHistogramBins 32)
(NumberOfResolutions 3)
(NumberOfSpatialSamples 2048)
(NewSamplesEveryIteration "true")
(ImageSampler "RandomCoordinate")
(WriteResultImage "false")
(ErodeMask "false")
`;
writeFileSync(
  join(work, 'affine.txt'),
  `${common}(Transform "AffineTransform")\n(AutomaticTransformInitialization "true")\n(AutomaticTransformInitializationMethod "GeometricalCenter")\n(MaximumNumberOfIterations 250)\n`,
);
const bspline = (mm) => {
  const path = join(work, `bspline-${mm}.txt`);
  writeFileSync(
    path,
    `${common}(Transform "BSplineTransform")\n(FinalGridSpacingInPhysicalUnits ${mm})\n(MaximumNumberOfIterations 500)\n`,
  );
  return path;
};

/** The map of elastix as a displacement field on the fixed grid, by transformix; its time is not counted. */
function elastix(pair, parameters, out) {
  const seconds = timed('elastix', [
    '-threads',
    '1',
    '-f',
    pair.fixed,
    '-m',
    pair.moving,
    '-out',
    out,
    ...parameters.flatMap((p) => ['-p', p]),
  ]);
  const last = join(out, `TransformParameters.${parameters.length - 1}.txt`);
  const text = readFileSync(last, 'utf8').replace(/\(ResultImageFormat "\w+"\)/, '(ResultImageFormat "nii")');
  writeFileSync(last, text);
  timed('transformix', ['-def', 'all', '-out', out, '-tp', last]);
  return { seconds, transform: join(out, 'deformationField.nii') };
}

function gvsl(pair, options, out) {
  const args = [
    'register',
    '--fixed',
    pair.fixed,
    '--moving',
    pair.moving,
    '--out',
    out,
    '--threads',
    '1',
    '--inverse',
    ...options,
  ];
  const seconds = timed(process.execPath, [join(root, 'dist/cli/main.js'), ...args]);
  const report = JSON.parse(readFileSync(join(out, 'register.json'), 'utf8'));
  const kept = report.stages.filter(({ kept }) => kept).map(({ stage }) => stage);
  return { seconds, transform: join(out, 'displacement.nii.gz'), inverseMeanMm: report.inverseError?.meanMm, kept };
}

function ants(pair, kind, out) {
  mkdirSync(out);
  const seconds = timed('antsRegistrationSyN.sh', [
    '-d',
    '3',
    '-f',
    pair.fixed,
    '-m',
    pair.moving,
    '-o',
    `${out}/`,
    '-n',
    '1',
    '-t',
    kind,
  ]);
  timed('antsApplyTransforms', [
    ...['-d', '3', '-r', pair.fixed, '-o', `[${out}/field.nii.gz,1]`],
    ...(kind === 's' ? ['-t', `${out}/1Warp.nii.gz`] : []),
    ...['-t', `${out}/0GenericAffine.mat`],
  ]);
  return { seconds, transform: join(out, 'field.nii.gz') };
}

const methods = [
  ['gvsl', 'gvsl affine', (pair, out) => gvsl(pair, ['--refine', '0'], out)],
  ['gvsl', 'gvsl affine, refined', (pair, out) => gvsl(pair, [], out)],
  ...(values.model
    ? [
        ['gvsl', 'gvsl network', (pair, out) => gvsl(pair, ['--model', values.model], out)],
        ['gvsl', 'gvsl affine, network', (pair, out) => gvsl(pair, ['--model', values.model, '--start', 'affine'], out)],
        [
          'gvsl',
          'gvsl affine, network, refined',
          (pair, out) => gvsl(pair, ['--model', values.model, '--start', 'affine', '--refine', '60'], out),
        ],
      ]
    : []),
  ['elastix', 'elastix affine', (pair, out) => elastix(pair, [join(work, 'affine.txt')], out)],
  ['elastix', 'elastix affine, B-spline', (pair, out) => elastix(pair, [join(work, 'affine.txt'), bspline(pair.gridMm)], out)],
  ['ants', 'ANTs affine', (pair, out) => ants(pair, 'a', out)],
  ['ants', 'ANTs SyN', (pair, out) => ants(pair, 's', out)],
].filter(
  ([program, method]) => (!values.only || values.only.split(',').includes(program)) && new RegExp(values.methods).test(method),
);

const needs = { gvsl: process.execPath, elastix: 'elastix', ants: 'antsRegistrationSyN.sh' };
const missing = Object.entries(needs)
  .filter(([, command]) => !has(command))
  .map(([name]) => name);
for (const name of missing) if (methods.some(([program]) => program === name)) console.log(`${name}: not installed, skipped`);

const GRID_MM = { 'hippocampus-mr': 8, 'left-atrium-mr': 16 };
const skipped = new Set(JSON.parse(readFileSync(values.skip, 'utf8')));
const results = [];
for (const cohort of values.cohorts.split(',')) {
  const folder = resolve(values.data, cohort);
  if (!existsSync(join(folder, 'labelsTr'))) {
    console.log(`${cohort}: no folder ${folder}, skipped`);
    continue;
  }
  const names = readdirSync(join(folder, 'labelsTr'))
    .filter((name) => name.endsWith('.nii.gz') && !name.startsWith('.') && !skipped.has(name.slice(0, -7)))
    .sort();
  const count = Math.min(Number(values.pairs), Math.floor(names.length / 2));
  for (let k = 0; k < count; k++) {
    const [f, m] = [names[2 * k], names[2 * k + 1]];
    const pair = { fixed: join(folder, 'imagesTr', f), moving: join(folder, 'imagesTr', m), gridMm: GRID_MM[cohort] ?? 16 };
    const still = (await readImage(join(folder, 'labelsTr', f))).volume;
    const moved = (await readImage(join(folder, 'labelsTr', m))).volume;
    const judge = (map) => labelOverlap(warpLabelMap(moved, map, still.geometry).data, still.data).meanDice;
    const start = judge({ affine: centring(still.geometry, moved.geometry), residual: null });
    results.push({ cohort, fixed: f, moving: m, method: 'centres', dice: start, foldedShare: 0, seconds: 0 });
    for (const [program, method, run] of methods) {
      if (missing.includes(program)) continue;
      const out = join(work, 'out');
      rmSync(out, { recursive: true, force: true });
      if (program === 'elastix') mkdirSync(out);
      const { seconds, transform, inverseMeanMm, kept } = run(pair, out);
      const map = mapOnGrid(await readTransform(transform), still.geometry);
      const planes = jacobianPlanes(still.geometry, displacementPlanes(map, still.geometry));
      let folds = 0;
      for (let z = 0; z < still.geometry.size[2]; z++) for (const value of planes(z)) if (!(value > 0)) folds++;
      const one = {
        cohort,
        fixed: f,
        moving: m,
        method,
        dice: judge(map),
        foldedShare: folds / still.data.length,
        seconds,
        inverseMeanMm,
        kept,
      };
      results.push({ ...one, lost: one.dice < start });
      console.log(
        `${k + 1}/${count} ${cohort} ${method}: Dice ${start.toFixed(3)} -> ${one.dice.toFixed(3)}, ${seconds.toFixed(1)} s`,
      );
      if (values.out) writeFileSync(values.out, JSON.stringify(results, null, 1));
    }
  }
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
const rows = [];
for (const key of new Set(results.map(({ cohort, method }) => `${cohort}\t${method}`))) {
  const [cohort, method] = key.split('\t');
  const of = results.filter((one) => one.cohort === cohort && one.method === method);
  const inverse = of.map(({ inverseMeanMm }) => inverseMeanMm).filter((value) => typeof value === 'number');
  rows.push([
    cohort,
    method,
    of.length,
    mean(of.map(({ dice }) => dice)).toFixed(3),
    Math.min(...of.map(({ dice }) => dice)).toFixed(3),
    of.filter(({ lost }) => lost).length,
    `${(100 * mean(of.map(({ foldedShare }) => foldedShare))).toFixed(3)} %`,
    inverse.length > 0 ? mean(inverse).toFixed(3) : '',
    mean(of.map(({ seconds }) => seconds)).toFixed(1),
  ]);
}
console.log(`\n${cpus()[0].model}, ${availableParallelism()} cores, Node ${process.version}; one thread each\n`);
console.log('| cohort | method | pairs | mean Dice | worst | lost | folded | inverse error, mm | CPU s |');
console.log('| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const row of rows) console.log(`| ${row.join(' | ')} |`);
