/**
 * A disk that is full at every moment of a command's writing: exit 1 with the path, nothing half written under its final name, and with
 * room again the same bytes as undisturbed. Needs the right to mount (root on Linux).
 *
 *   node scripts/trouble/disk-full.mjs [--seed 1] [--count 60] [--only pretrain] [--out result.json]
 *
 * A tmpfs holds the output folder. Of pretrain, `count` sizes from nothing to what is enough are tried, each a fresh run that fails and is
 * resumed after the disk has grown; and one run on a disk that grows whenever it is full, until it is done. Of the other commands an eighth
 * of that many sizes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  EVENTS,
  filesBelow,
  finish,
  gvsl,
  isCrash,
  optionsOf,
  randomOf,
  resultsIn,
  snapshotOf,
  temporaryFolder,
  wrongResults,
} from './support.mjs';
import { commandsThatWrite, makeWorld, refusesToResume } from './world.mjs';

const options = optionsOf({ count: '60', only: '' });
const folder = temporaryFolder('disk-full', options.keep);
const disk = join(folder, 'disk');
mkdirSync(disk);
const system = (...args) => spawnSync(args[0], args.slice(1), { encoding: 'utf8' });
const KIB = 1024;
const PLENTY_KIB = 512 * KIB;
const sized = (kib) => `size=${kib}k`;
if (system('mount', '-t', 'tmpfs', '-o', sized(64), 'tmpfs', disk).status !== 0) {
  console.log('skipped: mounting a tmpfs needs root on Linux');
  process.exit(0);
}
system('umount', disk);
process.on('exit', () => system('umount', '-l', disk));
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const world = makeWorld(folder, options.world);
const commands = commandsThatWrite(world, options.only || 'pretrain,prepare,train,segment,register,export,phantom');
const failures = [];
const counts = {};

/** Runs `args` on a disk of `kib`; the disk stays mounted. */
function onDisk(args, kib, resize = false) {
  system('mount', ...(resize ? ['-o', `remount,${sized(kib)}`] : ['-t', 'tmpfs', '-o', sized(kib), 'tmpfs']), disk);
  return gvsl(args, { cwd: disk });
}

/** Files under their final names that are not whole. A run's logs grow line by line, and are cut when it is resumed. */
function halfWritten(expected) {
  const out = join(disk, 'out');
  if (!existsSync(out)) return [];
  return filesBelow(out).flatMap((name) => {
    if (EVENTS.test(name)) return [];
    if (/(^|\/)\..*\.part(\/|$)/.test(name)) return [`${name}: left over`];
    const bytes = readFileSync(join(out, name));
    if (bytes.length === 0 && !name.endsWith('.jsonl')) return [`${name}: empty`];
    try {
      if (name.endsWith('.json')) JSON.parse(bytes);
      if (name.endsWith('.jsonl')) for (const line of bytes.toString().split('\n').slice(0, -1)) JSON.parse(line);
      // what does not change in the course of a run is as it will be
      const settled = /\.(png|gz|npy|onnx|pth|tfm|html|csv)$/.test(name);
      if (settled && snapshotOf(join(out, name)).get('') !== expected.get(name)) return [`${name}: half written`];
    } catch (error) {
      return [`${name}: ${error.message}`];
    }
    return [];
  });
}

/** Exit 1, and a message that names the path and the reason. */
function judged(result) {
  const wrong = [];
  if (isCrash(result)) wrong.push(`crash: ${result.stderr.slice(-300)}`);
  else if (result.status !== 1) wrong.push(`exit ${result.status}: ${result.stderr.slice(-200)}`);
  if (
    !/no space left|ENOSPC/.test(result.stderr) ||
    !/\bout\b/.test(
      result.stderr
        .split('\n')
        .filter((line) => /no space|ENOSPC/.test(line))
        .join(),
    )
  )
    wrong.push(`message: ${result.stderr.slice(-200)}`);
  return wrong;
}

for (const { name, args, resumed } of commands) {
  const undisturbed = onDisk(args, PLENTY_KIB);
  if (undisturbed.status !== 0) throw new Error(`${name}: ${undisturbed.stderr}`);
  const expected = resultsIn(disk);
  const used = Number(/\s(\d+)\s+\d+\s+\d+%/.exec(system('df', '-k', disk).stdout)[1]);
  system('umount', disk);
  // a checkpoint is written beside the one that it replaces
  const enough = Math.ceil(used * 1.6) + 64;
  const again = () => [...args, ...(resumed && existsSync(join(disk, 'out')) ? ['--resume'] : [])];
  const report = (kib, wrong, last) => {
    const where =
      /out[^:;\s]*/.exec(
        last
          .split('\n')
          .filter((line) => /no space|ENOSPC/.test(line))
          .at(-1) ?? '',
      )?.[0] ?? '';
    console.error(`${name} at ${kib} KiB: ${where}${wrong.length ? `  WRONG ${wrong.slice(0, 4).join(' | ')}` : ''}`);
    if (wrong.length > 0) failures.push({ command: `gvsl ${args.join(' ')}`, kib, wrong });
  };
  const sizes = Math.max(3, Math.round(Number(options.count) / (name === 'pretrain' ? 1 : 8)));
  counts[name] = { sizes: 0, failed: 0, fits: 0 };
  for (let k = 0; k < sizes; k++) {
    // denser where small files are written, and never a round number
    const random = randomOf('disk-full', options.seed, name, k);
    const kib = 4 * Math.max(2, Math.round((enough / 4) * ((k + random.next()) / sizes) ** 1.5));
    const first = onDisk(args, kib);
    counts[name].sizes++;
    if (first.status === 0) counts[name].fits++;
    else counts[name].failed++;
    const wrong = first.status === 0 ? [] : [...judged(first), ...halfWritten(expected)];
    if (first.status !== 0) {
      let second = onDisk(again(), PLENTY_KIB, true);
      if (refusesToResume(second)) second = onDisk(args, PLENTY_KIB, true);
      if (second.status !== 0) wrong.push(`with room again: exit ${second.status}: ${second.stderr.slice(-300)}`);
    }
    wrong.push(...wrongResults(expected, disk));
    system('umount', disk);
    report(kib, wrong, first.stderr);
  }
  if (name !== 'pretrain' || Number(options.count) < 10) continue;
  // one run on a disk that grows
  const wrong = [];
  let kib = 16;
  let result = onDisk(args, kib);
  let grown = 0;
  for (; result.status !== 0 && kib < PLENTY_KIB; grown++) {
    wrong.push(...judged(result), ...halfWritten(expected));
    kib = Math.ceil((kib * 1.15) / 4) * 4 + 4;
    result = onDisk(again(), kib, true);
    if (refusesToResume(result)) result = onDisk(args, kib, true);
  }
  wrong.push(...wrongResults(expected, disk));
  counts[name].grown = grown;
  system('umount', disk);
  report(kib, wrong, `${grown} times full, then done`);
}
finish(options, { what: 'disk full', seed: options.seed, counts, failures });
