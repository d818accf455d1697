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
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeScan, makeSeries } from './synthetic-scans.mjs';

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
const grid = { size, spacing };
await makeScan(at('scans', 'fixed.nii.gz'), grid, 0, 1);
await makeScan(at('other', 'moving.nii.gz'), grid, 12, 2);
await makeSeries(at('series'), grid, 0, 1);
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
