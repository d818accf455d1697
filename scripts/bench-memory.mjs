/**
 * How much memory the commands take for a large scan: inspect, prepare, segment (with and without probabilities) and register on a
 * synthetic CT of 512 x 512 x 400 voxels (int16, 0.8 x 0.8 x 1 mm). Run after a build, alone on the machine; Linux only (it reads /proc):
 *
 *   node scripts/bench-memory.mjs [--folder .cache/bench-memory] [--size 512,512,400] [--only register,segment] [--threads 2] [--cli other/main.js]
 *
 * Measured is the resident memory of all processes of a command together: every 20 ms the sum over the tree of processes, and beside it the
 * highest that the kernel saw of any one of them (VmHWM), so that nothing short is missed of a command of one process. Shared pages count
 * in every process. The scans, and small models (width 0.25, spacing 2 mm, a few steps of training: what they find means nothing), are made
 * once and kept in the folder. `--cli` measures another build on the same files. Prints a table in Markdown.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';

const { values: options } = parseArgs({
  options: {
    folder: { type: 'string', default: '.cache/bench-memory' },
    size: { type: 'string', default: '512,512,400' },
    only: { type: 'string' },
    threads: { type: 'string', default: '2' },
    cli: { type: 'string', default: fileURLToPath(new URL('../dist/cli/main.js', import.meta.url)) },
  },
});
const size = options.size.split(',').map(Number);
const spacing = [0.8 * (512 / size[0]), 0.8 * (512 / size[1]), 400 / size[2]];
const folder = resolve(options.folder);
const at = (...names) => join(folder, ...names);
mkdirSync(folder, { recursive: true });

/** Noise of -20 to 20 HU that depends on the voxel alone. */
function noise(i, seed) {
  let h = Math.imul(i ^ seed, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return ((h ^ (h >>> 13)) % 21) | 0;
}

/** One plane of a body in air with two lungs, a spine and vessels, `shift` mm off the middle. HU. */
function ctPlane(z, shift, seed) {
  const [nx, ny] = size;
  const plane = new Int16Array(nx * ny);
  const zMm = z * spacing[2];
  for (let y = 0, i = 0; y < ny; y++) {
    const b = (y - (ny - 1) / 2) * spacing[1];
    for (let x = 0; x < nx; x++, i++) {
      const a = (x - (nx - 1) / 2) * spacing[0] - shift;
      let value = -1000;
      if ((a / 164) ** 2 + (b / 114) ** 2 < 1) {
        value = 40 + 30 * Math.sin(a / 17 + zMm / 40) * Math.sin(b / 13);
        const lung = ((Math.abs(a) - 75) / 55) ** 2 + ((b + 10) / 75) ** 2 + ((zMm - 230 - shift) / 120) ** 2;
        if (lung < 1) value = -850 + 400 * Math.max(0, Math.sin(a / 6) * Math.sin(b / 7) * Math.sin(zMm / 8)) ** 4;
        if ((a / 18) ** 2 + ((b - 70) / 18) ** 2 < 1) value = 500 + 200 * Math.sin(zMm / 9);
      }
      plane[i] = value + noise(i + z * plane.length, seed);
    }
  }
  return plane;
}

/** A scan as .nii.gz, plane by plane. */
async function makeScan(path, shift, seed) {
  if (existsSync(path)) return;
  console.error(`making ${path}`);
  const header = new DataView(new ArrayBuffer(352));
  header.setInt32(0, 348, true);
  header.setInt16(40, 3, true);
  for (let k = 0; k < 7; k++) header.setInt16(42 + 2 * k, size[k] ?? 1, true);
  header.setInt16(70, 4, true);
  header.setInt16(72, 16, true);
  for (let k = 0; k < 4; k++) header.setFloat32(76 + 4 * k, [1, ...spacing][k], true);
  header.setFloat32(108, 352, true);
  header.setFloat32(112, 1, true);
  header.setUint8(123, 2);
  header.setInt16(254, 1, true);
  // as DICOM scans are stored: x to the left, y to the back
  for (let k = 0; k < 3; k++) header.setFloat32(280 + 16 * k + 4 * k, (k < 2 ? -1 : 1) * spacing[k], true);
  header.setUint32(344, 0x6e2b3100, false);
  async function* bytes() {
    yield new Uint8Array(header.buffer);
    for (let z = 0; z < size[2]; z++) yield new Uint8Array(ctPlane(z, shift, seed).buffer);
  }
  await pipeline(Readable.from(bytes()), createGzip({ level: 1 }), createWriteStream(`${path}.part`));
  renameSync(`${path}.part`, path);
}

/** The same scan as a DICOM series, one file a slice, values as stored (HU + 1024). */
async function makeSeries(path, shift, seed) {
  if (existsSync(path)) return;
  console.error(`making ${path}`);
  rmSync(`${path}.part`, { recursive: true, force: true });
  mkdirSync(`${path}.part`);
  const { encodeElements, encodeMeta } = await import('../dist/images/dicom/write.js');
  const [ctStorage, root] = ['1.2.840.10008.5.1.4.1.1.2', `2.25.${5120004001n + BigInt(seed)}`];
  for (let z = 0; z < size[2]; z++) {
    const plane = ctPlane(z, shift, seed).map((value) => value + 1024);
    const elements = [
      ['00080016', 'UI', ctStorage],
      ['00080018', 'UI', `${root}.3.${z + 1}`],
      ['00080060', 'CS', 'CT'],
      ['00100010', 'PN', 'Bench^Memory'],
      ['00100020', 'LO', 'bench'],
      ['0020000d', 'UI', `${root}.1`],
      ['0020000e', 'UI', `${root}.2`],
      ['00200052', 'UI', `${root}.4`],
      ['00200013', 'IS', String(z + 1)],
      ['00200032', 'DS', [-204.4, -204.4, z * spacing[2]]],
      ['00200037', 'DS', [1, 0, 0, 0, 1, 0]],
      ['00280002', 'US', 1],
      ['00280004', 'CS', 'MONOCHROME2'],
      ['00280010', 'US', size[1]],
      ['00280011', 'US', size[0]],
      ['00280030', 'DS', [spacing[1], spacing[0]]],
      ['00180050', 'DS', [spacing[2]]],
      ['00280100', 'US', 16],
      ['00280101', 'US', 16],
      ['00280102', 'US', 15],
      ['00280103', 'US', 1],
      ['00281052', 'DS', [-1024]],
      ['00281053', 'DS', [1]],
      ['7fe00010', 'OW', new Uint8Array(plane.buffer)],
    ];
    const bytes = Buffer.concat([...encodeMeta(ctStorage, `${root}.3.${z + 1}`), ...encodeElements(elements)]);
    writeFileSync(join(`${path}.part`, `slice-${String(z).padStart(4, '0')}.dcm`), bytes);
  }
  renameSync(`${path}.part`, path);
}

const gvsl = (...args) => {
  console.error(`gvsl ${args.join(' ')}`);
  const { status } = spawnSync(process.execPath, [options.cli, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`gvsl ${args.join(' ')}: exit ${status}`);
};

/** A network that matches and one that segments, hardly trained. */
function makeModels() {
  if (existsSync(at('segmenting', 'best'))) return;
  for (const name of ['patients', 'cohort', 'matching', 'segmenting']) rmSync(at(name), { recursive: true, force: true });
  gvsl('phantom', at('patients'), '--kind', 'heart-ct', '--subjects', '4', '--spacing', '6');
  gvsl('prepare', at('patients'), at('cohort'), '--modality', 'ct', '--spacing', '2');
  const small = ['--steps', '4', '--patch', '64', '--width', '0.25', '--batch', '1'];
  gvsl('pretrain', at('cohort'), '--out', at('matching'), ...small);
  gvsl('train', 'segmentation', '--data', at('cohort'), '--out', at('segmenting'), '--validation', '1', ...small);
}

/** Processes by parent. */
function children() {
  const found = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      found.set(parent, [...(found.get(parent) ?? []), Number(name)]);
    } catch {
      // ended meanwhile
    }
  }
  return found;
}

const kilobytes = (status, name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);

/** Peak resident bytes of a command with all that it starts. */
async function peakOf(args) {
  const started = performance.now();
  const child = spawn(process.execPath, [options.cli, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => {
    said = (said + text).slice(-2000);
  });
  let peak = 0;
  let family = [child.pid];
  let samples = 0;
  const timer = setInterval(() => {
    // who belongs to it changes rarely, and asking is what costs
    if (samples++ % 10 === 0) {
      const byParent = children();
      family = [child.pid];
      for (let i = 0; i < family.length; i++) family.push(...(byParent.get(family[i]) ?? []));
    }
    let sum = 0;
    for (const pid of family) {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        sum += kilobytes(status, 'VmRSS');
        peak = Math.max(peak, kilobytes(status, 'VmHWM'));
      } catch {
        // ended meanwhile
      }
    }
    peak = Math.max(peak, sum);
  }, 20);
  const code = await new Promise((settle) => child.on('close', settle));
  clearInterval(timer);
  if (code !== 0) throw new Error(`gvsl ${args.join(' ')}: exit ${code}: ${said}`);
  return { bytes: peak * 1024, seconds: (performance.now() - started) / 1000 };
}

for (const name of ['scans', 'other']) mkdirSync(at(name), { recursive: true });
await makeScan(at('scans', 'fixed.nii.gz'), 0, 1);
await makeScan(at('other', 'moving.nii.gz'), 12, 2);
await makeSeries(at('series'), 0, 1);
makeModels();

const threads = ['--threads', options.threads];
const [scan, series, out] = [at('scans', 'fixed.nii.gz'), at('series'), at('out')];
const segment = (image, ...more) => ['segment', image, '--model', at('segmenting'), '--out', out, ...threads, ...more];
const prepare = (source) => ['prepare', source, out, '--modality', 'ct', '--spacing', '2'];
const runs = {
  inspect: ['inspect', scan],
  'inspect (DICOM series)': ['inspect', series],
  prepare: prepare(at('scans')),
  'prepare (DICOM series)': prepare(series),
  segment: segment(scan),
  'segment --probabilities': segment(scan, '--probabilities'),
  'segment --dicom (DICOM series)': segment(series, '--dicom'),
  register: [
    'register',
    '--model',
    at('matching'),
    '--moving',
    at('other', 'moving.nii.gz'),
    '--fixed',
    scan,
    '--out',
    out,
    ...threads,
  ],
};
const only = options.only?.split(',');
console.log(`${size.join(' x ')} voxels, int16; Node ${process.version}, ${cpus()[0].model}, ${options.threads} threads\n`);
console.log('| command | peak memory | time |\n|---|---|---|');
for (const [name, args] of Object.entries(runs)) {
  if (only && !only.includes(name)) continue;
  rmSync(out, { recursive: true, force: true });
  const { bytes, seconds } = await peakOf(args);
  console.log(`| ${name} | ${(bytes / 1e9).toFixed(2)} GB | ${seconds.toFixed(0)} s |`);
}
rmSync(out, { recursive: true, force: true });
