/**
 * What the scripts of trouble share: the built command line run in a temporary folder, random numbers from a printed seed, and folders
 * compared byte by byte with the times in them masked.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** The folder of the build, from which the command line and the library are taken; GVSL_DIST names another. */
export const DIST = process.env.GVSL_DIST ?? fileURLToPath(new URL('../../dist', import.meta.url));
export const MAIN = join(DIST, 'cli', 'main.js');
export const VERSION = JSON.parse(readFileSync(join(DIST, '..', 'package.json'), 'utf8')).version;

/** `--seed 1 --count 200 --case 17 --keep --out result.json`, with a script's own defaults and further options of the same form. */
export function optionsOf(defaults = {}) {
  const known = { seed: '1', count: '', case: '', out: '', world: '', keep: false, ...defaults };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, value]) => [
      name,
      { type: typeof value === 'boolean' ? 'boolean' : 'string', default: value },
    ]),
  );
  return parseArgs({ options }).values;
}

/** Random numbers from a seed and a path of names: the same for the same names, whatever was drawn before. */
export function randomOf(...path) {
  const bytes = createHash('sha256').update(path.join('/')).digest();
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at));
  // sfc32
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return (t >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  return { next, below, between: (low, high) => low + below(high - low + 1), pick: (list) => list[below(list.length)] };
}

/** Makes a temporary folder that goes when the process ends, unless `keep`. */
export function temporaryFolder(name, keep = false) {
  const folder = mkdtempSync(join(tmpdir(), `gvsl-${name}-`));
  if (keep) console.error(`kept: ${folder}`);
  else process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs the command line to its end. */
export function gvsl(args, { cwd, env = {}, timeoutMs = 600_000, input } = {}) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 2 ** 28,
    input,
  });
  return { status, signal, stdout, stderr };
}

/** Runs the command line, which must succeed. */
export function mustRun(args, options) {
  const result = gvsl(args, options);
  if (result.status !== 0)
    throw new Error(`gvsl ${args.join(' ')}: exit ${result.status} ${result.signal ?? ''}\n${result.stderr}`);
  return result;
}

/** Starts the command line as a process group of its own. `done` says how it ended. */
export function start(args, { cwd, env = {} } = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  // 'close' waits for the pipes, which children that outlive a kill hold on to; what they still write is of interest, so it is waited for.
  const done = new Promise((resolve) => child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr })));
  return { pid: child.pid, child, done };
}

/** Kills a process group, or with `alone` its leader only. */
export function kill(pid, alone = false) {
  try {
    process.kill(alone ? pid : -pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

/** Seconds of processor time that a process has taken (fields 14 and 15 of its stat line). */
export function cpuSecondsOf(pid) {
  const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The most memory that a process has had, in MB. */
export const peakMbOf = (pid) => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

const childrenOf = (pid) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

/** Runs the command line and watches it and its children: the most memory and processor time of any of them. Stopped after `seconds` of that. */
export async function watchedRun(args, { seconds, wallSeconds = 120 }) {
  const { pid, done } = start(args);
  const beganMs = performance.now();
  let [peakMb, cpuSeconds, hangs] = [0, 0, false];
  const watch = setInterval(() => {
    try {
      for (const one of [pid, ...childrenOf(pid)]) {
        peakMb = Math.max(peakMb, peakMbOf(one));
        cpuSeconds = Math.max(cpuSeconds, cpuSecondsOf(one));
      }
    } catch {
      // gone in the meantime, or a system that does not tell
    }
    hangs = cpuSeconds > seconds || performance.now() - beganMs > wallSeconds * 1000;
    if (hangs) kill(pid);
  }, 40);
  const result = await done;
  clearInterval(watch);
  return { ...result, peakMb, cpuSeconds, hangs };
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a message of the command line must never be. */
export const isCrash = ({ signal, stderr }) =>
  Boolean(signal) || /internal error|Uncaught|UnhandledPromise|^\s+at .*:\d+:\d+\)?$|FATAL ERROR|RuntimeError/m.test(stderr);

/** Keys of JSON documents and lines whose values are times, and no result. */
const TIMES = new Set([
  'stepSeconds',
  'waitShare',
  'seconds',
  'begunAt',
  'startedAt',
  'finishedAt',
  'elapsedMs',
  'milliseconds',
  'stepsPerSecond',
  'imagesPerSecond',
]);
const withoutTimes = (text) => JSON.stringify(JSON.parse(text, (key, value) => (TIMES.has(key) ? undefined : value)));

/** A file's bytes with times masked. */
function contentOf(path) {
  const bytes = readFileSync(path);
  try {
    if (path.endsWith('.json')) return Buffer.from(withoutTimes(bytes.toString('utf8')));
    if (path.endsWith('.jsonl'))
      return Buffer.from(
        bytes
          .toString('utf8')
          .split('\n')
          .map((line) => (line ? withoutTimes(line) : ''))
          .join('\n'),
      );
  } catch {
    // not JSON after all: its bytes
  }
  return bytes;
}

/** All files below a folder (hidden ones too), as paths relative to it. */
export function filesBelow(folder, below = '') {
  const found = [];
  for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    if (entry.isDirectory()) found.push(...filesBelow(folder, path));
    else found.push(path);
  }
  return found.sort();
}

/** What `path` holds, as a map from file to hash: to be compared with what it held before. */
export function snapshotOf(path, { except = /(?!)/ } = {}) {
  const names = lstatSync(path).isDirectory() ? filesBelow(path) : [''];
  const hashOf = (file) =>
    lstatSync(file).isSymbolicLink() ? `link ${readlinkSync(file)}` : createHash('sha256').update(contentOf(file)).digest('hex');
  return new Map(names.filter((name) => !except.test(name)).map((name) => [name, hashOf(join(path, name))]));
}

/** TensorBoard's files count the beginnings of a run and hold the time of each record. */
export const EVENTS = /(^|\/)events\//;

/** In words, how `found` differs from `expected`; empty if it does not. */
function differences(expected, found) {
  const names = [...new Set([...expected.keys(), ...found.keys()])].sort();
  return names.flatMap((name) => {
    if (!found.has(name)) return [`${name}: missing`];
    if (!expected.has(name)) return [`${name}: left over`];
    return expected.get(name) === found.get(name) ? [] : [`${name}: other content`];
  });
}

/** What a command has written into `out` in the folder `cwd`. */
export const resultsIn = (cwd) => snapshotOf(join(cwd, 'out'), { except: EVENTS });

/** In words, how that differs from what `resultsIn` found elsewhere; empty if it does not. */
export const wrongResults = (expected, cwd) =>
  existsSync(join(cwd, 'out')) ? differences(expected, resultsIn(cwd)) : ['nothing was written'];

/** What this was run on. */
export function machineOf() {
  return { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, gvsl: VERSION };
}

/** Prints a script's result, writes it where --out says, and sets the exit code. */
export function finish(options, result) {
  const document = { ...result, machine: machineOf() };
  if (options.out) writeFileSync(options.out, `${JSON.stringify(document, null, 1)}\n`);
  console.log(JSON.stringify({ ...document, failures: document.failures?.length }, null, 1));
  for (const failure of document.failures ?? [])
    console.log(`FAILED ${typeof failure === 'string' ? failure : JSON.stringify(failure)}`);
  process.exitCode = document.failures?.length ? 1 : 0;
}
