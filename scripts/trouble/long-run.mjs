/**
 * A long training of tiny steps: memory, open files and threads must not grow.
 *
 *   node scripts/trouble/long-run.mjs [--count 20000] [--growth 0.05] [--out result.json]
 *
 * The process is sampled every half second with the step that metrics.jsonl then tells; tenths are tenths of the steps.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finish, optionsOf, sleep, start, temporaryFolder } from './support.mjs';
import { makeWorld, SMALL } from './world.mjs';

const options = optionsOf({ count: '20000', growth: '0.05' });
const steps = Number(options.count);
const folder = temporaryFolder('long-run', options.keep);
const world = makeWorld(folder, options.world);
const log = `log: { everySteps: ${Math.max(1, Math.round(steps / 2000))}, evaluateEverySteps: ${steps / 40}, evaluatePairs: 1, checkpointEverySteps: ${steps / 40}, picturesEverySteps: ${steps / 10} }\ndata: { heldOut: 2 }\n`;
writeFileSync(join(folder, 'long.yaml'), log);
const run = join(folder, 'run');

/** The last step that metrics.jsonl tells. */
function stepNow() {
  try {
    const file = openSync(join(run, 'metrics.jsonl'), 'r');
    try {
      const bytes = Buffer.alloc(4096);
      const read = readSync(file, bytes, 0, 4096, Math.max(0, fstatSync(file).size - 4096));
      return Number(/.*"step":(\d+)/s.exec(bytes.toString('utf8', 0, read))?.[1] ?? 0);
    } finally {
      closeSync(file);
    }
  } catch {
    return 0;
  }
}

const { pid, child, done } = start([
  'pretrain',
  world.cohort,
  '--out',
  run,
  '--steps',
  String(steps),
  ...SMALL,
  '--config',
  join(folder, 'long.yaml'),
]);
const samples = [];
while (child.exitCode === null && child.signalCode === null) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
    samples.push({
      step: stepNow(),
      mb: kilobytes('VmRSS') / 1024,
      // without the pages of files (the program's own code), which come and go as the system likes
      ownMb: kilobytes('RssAnon') / 1024,
      threads: kilobytes('Threads'),
      files: readdirSync(`/proc/${pid}/fd`).length,
    });
  } catch {
    break;
  }
  await sleep(Math.min(500, steps / 4));
}
const { status, stderr } = await done;

const rounded = (mb) => Math.round(mb * 10) / 10;
const tenths = Array.from({ length: 10 }, (_, k) => {
  const mine = samples.filter(({ step }) => step > (k * steps) / 10 && step <= ((k + 1) * steps) / 10);
  const most = (name) => Math.max(...mine.map((sample) => sample[name]));
  // files are opened and closed all the time: the fewest are those that stay open
  const fewest = (name) => Math.min(...mine.map((sample) => sample[name]));
  const median = (name) => rounded(mine.map((sample) => sample[name]).sort((a, b) => a - b)[mine.length >> 1]);
  return {
    samples: mine.length,
    medianMb: median('mb'),
    mostMb: rounded(most('mb')),
    ownMb: median('ownMb'),
    threads: fewest('threads'),
    files: fewest('files'),
  };
});
const growth = tenths[9].medianMb / tenths[1].medianMb - 1;
/** Files that happen to be open in every sample of a tenth. */
const BY_CHANCE = 3;
const failures = [];
if (status !== 0) failures.push(`exit ${status}: ${stderr.slice(-500)}`);
if (!(growth <= Number(options.growth)))
  failures.push(`resident memory grew by ${(100 * growth).toFixed(1)} % from the second tenth to the last`);
if (tenths[9].threads > tenths[1].threads) failures.push(`threads: ${tenths[1].threads}, in the end ${tenths[9].threads}`);
if (tenths[9].files > tenths[1].files + BY_CHANCE) failures.push(`open files: ${tenths[1].files}, in the end ${tenths[9].files}`);
finish(options, { what: 'long run', steps, growth: Math.round(growth * 1000) / 1000, tenths, failures });
