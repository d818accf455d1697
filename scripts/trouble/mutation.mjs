/**
 * Mutated files over all readers. Each must be refused with an error that names the file, or read with values that may be: no crash, no
 * internal error, no more than 10 s, no more memory than 4 times the file and 500 MB, and no volume of zeros without a warning.
 *
 *   node scripts/trouble/mutation.mjs [--seed 1] [--count 2000] [--cli 200] [--case N] [--only NIfTI,nhdr] [--out result.json]
 *
 * `count` cases go through the library in a process that is started again when it dies, `cli` further ones through the command line.
 * A failing case is printed and is replayed with --case (those of the command line with --case cli-N).
 */
import { fork } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutated } from './mutants.mjs';
import { copySpecimen, makeSpecimens } from './specimens.mjs';
import { cpuSecondsOf, finish, gvsl, isCrash, optionsOf, randomOf, temporaryFolder, watchedRun } from './support.mjs';
import { makeWorld } from './world.mjs';

const SECONDS = 10;
const MEGABYTES = 500;

const options = optionsOf({ count: '2000', cli: '200', only: '' });
const folder = temporaryFolder('mutation', options.keep);
const world = makeWorld(folder, options.world);
const made = makeSpecimens(join(folder, 'specimens'), world);
const only = options.only ? options.only.split(',') : undefined;
const specimens = made.specimens.filter(({ kind, name }) => !only || only.includes(kind) || only.includes(name));
const kinds = [...new Set(specimens.map(({ kind }) => kind))];

// --- the child that reads -----------------------------------------------------------------------------------------------------------------

let child;
const childFile = fileURLToPath(new URL('./read-child.mjs', import.meta.url));

async function begin() {
  const started = fork(childFile, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  started.said = '';
  started.stderr.on('data', (text) => {
    started.said = (started.said + text).slice(-2000);
  });
  await new Promise((resolve, reject) => {
    started.once('message', resolve);
    started.once('exit', () => reject(new Error(`the reading process does not start: ${started.said}`)));
  });
  started.removeAllListeners('exit');
  return started;
}

/** Reads a path in the child. Its time is processor time, so that a busy machine is not taken for a hang; one that only waits has a minute. */
async function read(reader, path) {
  child ??= await begin();
  const mine = child;
  return new Promise((resolve) => {
    const beganMs = performance.now();
    const cpu = () => {
      try {
        return cpuSecondsOf(mine.pid);
      } catch {
        return (performance.now() - beganMs) / 1000;
      }
    };
    const before = cpu();
    const end = (answer, alive) => {
      clearInterval(watch);
      mine.removeAllListeners('message');
      mine.removeAllListeners('exit');
      if (!alive) {
        mine.kill('SIGKILL');
        child = undefined;
      }
      resolve(answer);
    };
    const watch = setInterval(() => {
      if (cpu() - before > SECONDS || performance.now() - beganMs > 6 * SECONDS * 1000) end({ outcome: 'hang' }, false);
    }, 250);
    mine.once('message', (answer) => end(answer, true));
    mine.once('exit', (code, signal) => end({ outcome: 'crash', message: `${signal ?? `exit ${code}`}: ${mine.said}` }, false));
    mine.send({ reader, path });
  });
}

// --- a case -------------------------------------------------------------------------------------------------------------------------------

/** What is done to a folder as a whole, for specimens of several files. */
function spoilFolder(path, parts, random) {
  const { file } = random.pick(parts);
  const at = join(path, file);
  const way = random.pick([
    'missing',
    'exchanged',
    'truncated',
    'a folder instead',
    'a link to itself',
    'renamed',
    'a file too many',
  ]);
  const other = random.pick(parts).file;
  if (way === 'missing') rmSync(at);
  else if (way === 'exchanged') {
    const bytes = readFileSync(at);
    writeFileSync(at, readFileSync(join(path, other)));
    writeFileSync(join(path, other), bytes);
  } else if (way === 'truncated') truncateSync(at, random.below(statSync(at).size + 1));
  else if (way === 'a folder instead') {
    rmSync(at);
    mkdirSync(at);
  } else if (way === 'a link to itself') {
    rmSync(at);
    symlinkSync(basename(at), at);
  } else if (way === 'renamed') renameSync(at, `${at}.old`);
  else writeFileSync(`${at}.json`, readFileSync(join(path, other)));
  return `${file} ${way}${way === 'exchanged' ? ` with ${other}` : ''}`;
}

/** Makes case `number` in a folder of its own. */
function makeCase(number) {
  const random = randomOf('mutation', options.seed, number);
  // kinds in turn, so that each has its share however many specimens it has
  const kind = kinds[Number(String(number).replace(/\D/g, '')) % kinds.length];
  const specimen = random.pick(specimens.filter((one) => one.kind === kind));
  const path = join(folder, `case-${number}`);
  mkdirSync(path);
  copySpecimen(specimen, path);
  const what = [];
  const files = [];
  if (specimen.parts.length > 1 && random.next() < 0.2) what.push(spoilFolder(path, specimen.parts, random));
  else
    for (let n = random.next() < 0.85 ? 1 : 2; n > 0; n--) {
      const part = random.pick(specimen.parts);
      const before = readFileSync(join(path, part.file));
      const [bytes, how] = mutated(before, part, random);
      writeFileSync(join(path, part.file), bytes);
      files.push(part.file);
      what.push(`${part.file}: ${how}`);
    }
  return { kind, specimen, path, open: join(path, specimen.open), what: `${specimen.name}: ${what.join('; ')}`, files };
}

const bytesBelow = (path) =>
  readdirSync(path, { recursive: true, withFileTypes: true }).reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath ?? entry.path, entry.name)).size : 0),
    0,
  );

/** Files of zeros are legal. Whoever looks at one, or prepares it, is told. */
const isSaidByInspect = (reader, path) => reader === 'image' && /every voxel is 0/.test(gvsl(['inspect', path]).stdout);

/** What is wrong with an answer; empty if it may be. */
function judged(answer, { path, open, specimen }) {
  const wrong = [];
  const { outcome, message = '' } = answer;
  if (outcome === 'crash' || outcome === 'internal error') wrong.push(`${outcome}: ${message} ${answer.stack ?? ''}`.trim());
  if (outcome === 'hang') wrong.push(`no answer in ${SECONDS} s`);
  if (outcome === 'refused') {
    const names = [
      basename(open),
      basename(path),
      ...readdirSync(path, { recursive: true }).map((name) => basename(String(name))),
      ...specimen.parts.map(({ file }) => basename(file)),
    ];
    if (!names.some((name) => message.includes(name))) wrong.push(`the message names no file: ${message}`);
    if (message.length > 4000) wrong.push(`a message of ${message.length} characters: ${message.slice(0, 200)}`);
    if (/undefined:|: undefined|\[object|Cannot read prop|is not a function|is not iterable/.test(message))
      wrong.push(`message: ${message}`);
  }
  if (outcome === 'read' && answer.implausible) wrong.push(`read, but implausible: ${answer.implausible}`);
  if (outcome === 'read' && answer.zero && !answer.warnings && !isSaidByInspect(specimen.reader, open))
    wrong.push('read as nothing but zeros, without a warning');
  return wrong;
}

async function inLibrary(number) {
  const spoilt = makeCase(number);
  const most = 4 * (bytesBelow(spoilt.path) / 2 ** 20) + MEGABYTES;
  let answer = await read(spoilt.specimen.reader, spoilt.open);
  let peakMb = answer.peakMb ?? 0;
  if (peakMb > most) {
    // what earlier cases left in the process does not count
    child?.kill('SIGKILL');
    child = undefined;
    answer = await read(spoilt.specimen.reader, spoilt.open);
    peakMb = answer.peakMb ?? 0;
  }
  const wrong = judged(answer, spoilt);
  if (peakMb > most) wrong.push(`${Math.round(peakMb)} MB for ${Math.round(bytesBelow(spoilt.path) / 1024)} kB`);
  return {
    ...spoilt,
    outcome: answer.outcome,
    said: answer.message ?? answer.what,
    cpuSeconds: answer.cpuSeconds ?? 0,
    peakMb,
    wrong,
  };
}

/** A case through the command that reads such a thing. */
async function onCommandLine(number) {
  const spoilt = makeCase(`cli-${number}`);
  const { open, path } = spoilt;
  const random = randomOf('mutation', options.seed, 'command', number);
  const out = join(path, 'made');
  const tiny = ['--steps', '1', '--patch', '8', '--width', '0.125', '--batch', '1', '--threads', '1', '--out', out];
  const args = {
    image: () =>
      random.pick([
        ['inspect', open],
        ['prepare', path, `${path}-made`, '--modality', 'ct', '--spacing', '4'],
        ['segment', open, '--model', world.segmenter, '--out', `${path}-made`, '--threads', '1'],
      ]),
    weights: () => ['import', open, '--out', out],
    model: () => ['export', open, '--safetensors', join(out, 'm.safetensors')],
    checkpoint: () => ['pretrain', world.cohort, '--resume', '--out', open, '--steps', '5', '--threads', '1'],
    cohort: () => ['pretrain', open, ...tiny],
    dataset: () =>
      ['prepare', open, out, '--modality', 'ct', '--spacing', '8'].map((arg) => (arg === out ? `${path}-made` : arg)),
    datalist: () => ['prepare', open, `${path}-made`, '--modality', 'ct', '--spacing', '4'],
    landmarks: () => {
      const image = join(world.source, 'imagesTr', 'heart_000_0000.nii.gz');
      return [
        'register',
        '--model',
        world.model,
        '--moving',
        image,
        '--fixed',
        image,
        '--moving-landmarks',
        open,
        '--fixed-landmarks',
        open,
        '--out',
        out,
        '--threads',
        '1',
      ];
    },
    configuration: () => ['pretrain', world.cohort, '--config', open, '--out', out, '--print-config'],
    'run-configuration': () => ['pretrain', world.cohort, '--resume', '--out', path, '--print-config'],
    study: () => ['compare', open, '--out', out],
    classes: () => ['prepare', world.source, `${path}-made`, '--modality', 'ct', '--spacing', '8', '--classes', open],
    scores: () => ['evaluate', join(path, 'predictions.csv'), join(path, 'references.csv')],
  }[spoilt.specimen.reader]();
  const result = await watchedRun(args, { seconds: SECONDS });
  const wrong = [];
  const said = result.stderr + result.stdout;
  // a study that is still whole is computed, which is not what is looked at here
  const computes = result.hangs && spoilt.specimen.reader === 'study';
  if (computes) result.status = 0;
  else if (result.hangs) wrong.push(`no end in ${SECONDS} s`);
  else if (isCrash(result) || ![0, 1, 2].includes(result.status))
    wrong.push(`crash: ${result.status} ${result.signal} ${said.slice(-400)}`);
  else if (result.status !== 0) {
    const names = readdirSync(path, { recursive: true }).map((name) => basename(String(name)));
    if (![basename(path), ...names].some((name) => said.includes(name)))
      wrong.push(`the message names no file: ${said.slice(-300)}`);
    if (/undefined:|\[object Object\]|Cannot read prop|is not iterable/.test(said)) wrong.push(`message: ${said.slice(-300)}`);
  }
  const most = MEGABYTES + 4 * (bytesBelow(path) / 2 ** 20);
  if (result.peakMb > most && !computes) wrong.push(`${Math.round(result.peakMb)} MB`);
  rmSync(`${path}-made`, { recursive: true, force: true });
  return {
    ...spoilt,
    outcome: result.status === 0 ? 'read' : 'refused',
    said: result.stderr.trim().split('\n').at(-1),
    cpuSeconds: computes ? 0 : result.cpuSeconds,
    peakMb: result.peakMb,
    wrong,
    command: `gvsl ${args.join(' ')}`,
  };
}

// --- all ----------------------------------------------------------------------------------------------------------------------------------

const counts = {};
const failures = [];
let [slowest, largest] = [0, 0];
function count(number, done) {
  counts[done.kind] ??= { cases: 0, refused: 0, read: 0, failed: 0 };
  const entry = counts[done.kind];
  entry.cases++;
  if (done.wrong.length > 0) entry.failed++;
  else entry[done.outcome]++;
  slowest = Math.max(slowest, done.cpuSeconds);
  largest = Math.max(largest, done.peakMb);
  if (done.wrong.length > 0) {
    failures.push({
      replay: `--seed ${options.seed} --case ${number}`,
      kind: done.kind,
      what: done.what,
      wrong: done.wrong,
      ...(done.command && { command: done.command }),
    });
    console.error(`case ${number} ${done.what}\n  WRONG ${done.wrong.join('\n  ')}`);
  } else if (options.case !== '') console.error(`case ${number} ${done.what}\n  ${done.outcome}: ${done.said}`);
  if (!options.keep) rmSync(done.path, { recursive: true, force: true });
}

/** Unspoilt, every specimen is read. */
for (const specimen of specimens) {
  const answer = await read(specimen.reader, join(specimen.path, specimen.open));
  const segmentationAlone = specimen.name === 'dicom-seg';
  if (answer.outcome !== 'read' && !segmentationAlone)
    failures.push({
      replay: '',
      kind: specimen.kind,
      what: `${specimen.name} as it was made`,
      wrong: [`${answer.outcome}: ${answer.message} ${answer.stack ?? ''}`],
    });
  else if (options.keep) console.error(`${specimen.name}: ${answer.outcome} ${answer.what ?? answer.message}`);
}

if (options.case !== '') {
  const cli = /^cli-(\d+)$/.exec(options.case);
  count(options.case, cli ? await onCommandLine(Number(cli[1])) : await inLibrary(Number(options.case)));
} else {
  for (let number = 0; number < Number(options.count); number++) count(number, await inLibrary(number));
  for (let number = 0; number < Number(options.cli); number++) count(`cli-${number}`, await onCommandLine(number));
}
child?.kill();
const sum = (name) => Object.values(counts).reduce((all, entry) => all + entry[name], 0);
finish(options, {
  what: 'mutation',
  seed: options.seed,
  cases: {
    library: options.case === '' ? Number(options.count) : 1,
    commandLine: options.case === '' ? Number(options.cli) : 0,
    refused: sum('refused'),
    read: sum('read'),
  },
  kinds: counts,
  slowestCpuSeconds: Math.round(slowest * 100) / 100,
  largestPeakMb: Math.round(largest),
  skipped: made.skipped,
  failures,
});
