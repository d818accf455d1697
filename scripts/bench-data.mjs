/**
 * How long the commands that read and write images take, each in turn with the same work in Python (scripts/bench-data.py: nibabel, NumPy,
 * SciPy). Run after a build, alone on the machine:
 *
 *   node scripts/bench-data.mjs [--only inspect,evaluate] [--rounds 5] [--python python3] [--folder .cache/bench-data]
 *                               [--cli other/main.js] [--before other/main.js] [--out docs/benchmarks/data.json]
 *
 * Each figure is the wall-clock time of a whole process, start-up included, the least of all rounds: one waits for a machine, never less than
 * it needs. Where `taskset` is there, every process is bound to one processor, so that neither side computes beside itself what the other has
 * to do in turn. The files are made once and kept in the folder. `--before` measures an earlier build in the same turns. Without Python, or
 * without its packages, the peer's columns are left out, and that is said. `--out` adds the rows to that file's, by Node's major version;
 * `node scripts/make-benchmarks.mjs` writes them into docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { makeScan } from './synthetic-scans.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    python: { type: 'string', default: 'python3' },
    folder: { type: 'string', default: '.cache/bench-data' },
    cli: { type: 'string', default: here('../dist/cli/main.js') },
    before: { type: 'string' },
    out: { type: 'string' },
  },
});
const at = (...names) => join(resolve(options.folder), ...names);

/** Whole numbers from 0 to 2^32 that depend on the seed alone. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let h = state;
    h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
    h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
    return (h ^ (h >>> 15)) >>> 0;
  };
}

/** A NIfTI-1 file. */
function niftiBytes(size, spacing, data) {
  const header = new DataView(new ArrayBuffer(352));
  header.setInt32(0, 348, true);
  for (let k = 0; k < 8; k++) header.setInt16(40 + 2 * k, [3, ...size][k] ?? 1, true);
  const [code, bits] = data instanceof Uint8Array ? [2, 8] : [4, 16];
  header.setInt16(70, code, true);
  header.setInt16(72, bits, true);
  for (let k = 0; k < 4; k++) header.setFloat32(76 + 4 * k, [1, ...spacing][k], true);
  header.setFloat32(108, 352, true);
  header.setFloat32(112, 1, true);
  header.setUint8(123, 2);
  header.setInt16(254, 1, true);
  for (let k = 0; k < 3; k++) header.setFloat32(280 + 16 * k + 4 * k, spacing[k], true);
  header.setUint32(344, 0x6e2b3100, false);
  return Buffer.concat([new Uint8Array(header.buffer), new Uint8Array(data.buffer)]);
}

function write(path, size, spacing, data, level = 6) {
  const bytes = niftiBytes(size, spacing, data);
  writeFileSync(path, path.endsWith('.gz') ? gzipSync(bytes, { level }) : bytes);
}

/** Makes a folder's files, all or none. */
function once(folder, make) {
  if (existsSync(folder)) return;
  console.error(`making ${folder}`);
  rmSync(`${folder}.part`, { recursive: true, force: true });
  mkdirSync(`${folder}.part`, { recursive: true });
  make(`${folder}.part`);
  renameSync(`${folder}.part`, folder);
}

/** 200 MR crops of about 35 x 50 x 35 voxels, int16, every second one compressed: a hippocampus data set. */
function makeSmallImages(folder) {
  for (let k = 0; k < 200; k++) {
    const random = randomOf(k);
    const size = [33 + (k % 5), 48 + (k % 7), 30 + (k % 11)];
    const data = new Int16Array(size[0] * size[1] * size[2]);
    for (let z = 0, i = 0; z < size[2]; z++)
      for (let y = 0; y < size[1]; y++)
        for (let x = 0; x < size[0]; x++, i++)
          data[i] = 200 + 150 * Math.sin(x / 5 + k) * Math.sin(y / 7) * Math.cos(z / 6) + (random() % 40);
    write(join(folder, `image_${String(k).padStart(3, '0')}.nii${k % 2 ? '' : '.gz'}`), size, [1, 1, 1], data);
  }
}

/**
 * Label maps of ellipsoids side by side along y, and predictions of them: moved, swollen and rough.
 * @param radii of each class along x, y, z as shares of the size
 */
function makeLabelMaps(folder, { count, sizeOf, spacing, classes, level }) {
  for (const side of ['references', 'predictions']) mkdirSync(join(folder, side));
  for (let k = 0; k < count; k++) {
    const size = sizeOf(k);
    for (const [moved, side] of [
      [0, 'references'],
      [1, 'predictions'],
    ]) {
      const random = randomOf(2 * k + moved);
      const data = new Uint8Array(size[0] * size[1] * size[2]);
      const wave = 0.06 * moved;
      classes.forEach(({ centre, radii }, c) => {
        const [low, high] = [0, 1, 2]
          .map((a) => [centre[a] - 1.3 * radii[a], centre[a] + 1.3 * radii[a]])
          .map(([l, h], a) => [Math.max(0, Math.floor(l * size[a])), Math.min(size[a], Math.ceil(h * size[a]))])
          .reduce(
            ([ls, hs], [l, h]) => [
              [...ls, l],
              [...hs, h],
            ],
            [[], []],
          );
        for (let z = low[2]; z < high[2]; z++)
          for (let y = low[1]; y < high[1]; y++)
            for (let x = low[0]; x < high[0]; x++) {
              const [a, b, d] = [x, y, z].map(
                (v, axis) => ((v + 0.5) / size[axis] - centre[axis] - 0.01 * moved * (1 + (k % 3))) / radii[axis],
              );
              const edge =
                1 + wave * Math.sin(9 * a + k) * Math.sin(8 * b) * Math.cos(7 * d) + 0.02 * ((random() % 100) / 100 - 0.5);
              if (a * a + b * b + d * d < edge) data[(z * size[1] + y) * size[0] + x] = c + 1;
            }
      });
      write(join(folder, side, `case_${String(k).padStart(3, '0')}.nii.gz`), size, spacing, data, level);
    }
  }
}

const ellipsoid = (centre, radii) => ({ centre, radii });
const CT_SIZE = [512, 512, 400];
const CT_SPACING = [0.8, 0.8, 1];

/** Each: what is measured, gvsl's command, and the peer's task (null: none). */
const TASKS = [
  {
    name: 'start-up',
    what: '`gvsl --help`, and `python3 -c "import nibabel, numpy, scipy.ndimage"`',
    gvsl: ['--help'],
    peer: ['start'],
  },
  {
    name: 'inspect-small-header',
    what: '`inspect` of 200 images of 35 x 50 x 35 (every second one .nii.gz); peer: nibabel reads their headers alone',
    make: () => once(at('small'), makeSmallImages),
    gvsl: ['inspect', at('small')],
    peer: ['headers', at('small')],
  },
  {
    name: 'inspect-small',
    what: 'the same; peer: nibabel and NumPy read the voxels too, their range, percentiles, and whether they are labels',
    make: () => once(at('small'), makeSmallImages),
    gvsl: ['inspect', at('small')],
    peer: ['inspect', at('small')],
  },
  {
    name: 'inspect-large',
    what: '`inspect` of a CT of 512 x 512 x 400, .nii.gz; peer: the same with nibabel and NumPy',
    make: () => makeScan(at('ct.nii.gz'), { size: CT_SIZE, spacing: CT_SPACING }, 0, 1),
    gvsl: ['inspect', at('ct.nii.gz')],
    peer: ['inspect', at('ct.nii.gz')],
  },
  {
    name: 'evaluate-small',
    what: '`evaluate` of 130 label maps of 35 x 50 x 35 with 2 classes; peer: the same measures with SciPy',
    make: () =>
      once(at('small-labels'), (folder) =>
        makeLabelMaps(folder, {
          count: 130,
          sizeOf: (k) => [33 + (k % 5), 48 + (k % 7), 30 + (k % 11)],
          spacing: [1, 1, 1],
          classes: [ellipsoid([0.5, 0.35, 0.5], [0.24, 0.18, 0.2]), ellipsoid([0.5, 0.68, 0.5], [0.2, 0.2, 0.18])],
          level: 6,
        }),
      ),
    gvsl: ['evaluate', at('small-labels', 'predictions'), at('small-labels', 'references')],
    peer: ['evaluate', at('small-labels', 'predictions'), at('small-labels', 'references')],
  },
  {
    name: 'evaluate-large',
    what: '`evaluate` of a label map of 512 x 512 x 400 with 3 classes; peer: the same measures with SciPy',
    make: () =>
      once(at('large-labels'), (folder) =>
        makeLabelMaps(folder, {
          count: 1,
          sizeOf: () => CT_SIZE,
          spacing: CT_SPACING,
          classes: [
            ellipsoid([0.35, 0.5, 0.5], [0.12, 0.2, 0.3]),
            ellipsoid([0.65, 0.5, 0.5], [0.12, 0.2, 0.3]),
            ellipsoid([0.5, 0.75, 0.5], [0.04, 0.04, 0.4]),
          ],
          level: 1,
        }),
      ),
    gvsl: ['evaluate', at('large-labels', 'predictions'), at('large-labels', 'references')],
    peer: ['evaluate', at('large-labels', 'predictions'), at('large-labels', 'references')],
  },
];

const bound = spawnSync('taskset', ['-c', '0', 'true']).status === 0;
const ONE_THREAD = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };

/** Seconds of a whole process. */
function secondsOf(command, args) {
  const [program, ...rest] = bound ? ['taskset', '-c', '0', command, ...args] : [command, ...args];
  const startedMs = performance.now();
  const { status, stderr } = spawnSync(program, rest, {
    env: { ...process.env, ...ONE_THREAD },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  const seconds = (performance.now() - startedMs) / 1000;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${status}: ${stderr.slice(-2000)}`);
  return seconds;
}

/** The peer's versions; null where it cannot run. */
function peerVersions() {
  const { status, stdout, stderr, error } = spawnSync(options.python, [here('bench-data.py'), 'versions'], { encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  console.error(`without the peer: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
  return null;
}

const rounds = Number(options.rounds);
const only = options.only?.split(',');
const peer = peerVersions();
mkdirSync(at(), { recursive: true });
const rows = [];
for (const { name, what, make, gvsl, peer: task } of TASKS) {
  if (only && !only.some((start) => name.startsWith(start))) continue;
  await make?.();
  const sides = {
    gvsl: () => secondsOf(process.execPath, [options.cli, ...gvsl]),
    ...(options.before ? { before: () => secondsOf(process.execPath, [options.before, ...gvsl]) } : {}),
    ...(peer && task ? { peer: () => secondsOf(options.python, [here('bench-data.py'), ...task]) } : {}),
  };
  const times = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = 0; round < rounds; round++) for (const [side, run] of Object.entries(sides)) times[side].push(run());
  const least = Object.fromEntries(Object.entries(times).map(([side, all]) => [side, Math.min(...all)]));
  rows.push({ name, what, rounds, seconds: least });
  const ratio = least.peer === undefined ? '' : `, ratio ${(least.gvsl / least.peer).toFixed(2)}`;
  console.log(
    `${name.padEnd(22)}${Object.entries(least)
      .map(([side, seconds]) => `${side} ${seconds.toFixed(3)} s`)
      .join(', ')}${ratio}`,
  );
}

if (options.out) {
  const major = process.versions.node.split('.')[0];
  const all = existsSync(options.out) ? JSON.parse(readFileSync(options.out, 'utf8')) : {};
  const kept = (all[major]?.rows ?? []).filter((row) => !rows.some(({ name }) => name === row.name));
  const order = TASKS.map(({ name }) => name);
  all[major] = {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus()[0].model}, ${cpus().length} cores`,
    node: process.version,
    peer,
    boundToOneProcessor: bound,
    rows: [...kept, ...rows].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name)),
  };
  writeFileSync(options.out, `${JSON.stringify(all, null, 2)}\n`);
}
