/**
 * Processes killed at any moment: afterwards the same command (with --resume where it has that) gives the same bytes as if undisturbed.
 *
 *   node scripts/trouble/kill-storm.mjs [--seed 1] [--count 200] [--case N] [--only prepare] [--minutes 60] [--out result.json]
 *
 * Half of the kills come after a random time, half at a random change in the output folder, which hits the moments of writing. A quarter
 * kills only the first process, as a system without memory does, and leaves its children. A case is one to three kills in a row.
 */
import { existsSync, mkdirSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';
import {
  finish,
  gvsl,
  isCrash,
  kill,
  optionsOf,
  randomOf,
  resultsIn,
  sleep,
  start,
  temporaryFolder,
  wrongResults,
} from './support.mjs';
import { commandsThatWrite, makeWorld, refusesToResume } from './world.mjs';

const options = optionsOf({ count: '200', only: '', minutes: '600' });
const folder = temporaryFolder('kill-storm', options.keep);
const world = makeWorld(folder, options.world);
/** The share of the cases that each command has. */
const SHARES = { prepare: 0.22, pretrain: 0.25, train: 0.2, compare: 0.04, segment: 0.25 };
const COMMANDS = commandsThatWrite(world, options.only || Object.keys(SHARES).join()).map((command) => ({
  ...command,
  share: SHARES[command.name] ?? 0.2,
}));

/** How a command goes undisturbed: its bytes, its time, the changes in its folder. */
async function undisturbed({ name, args }) {
  const cwd = join(folder, `${name}-whole`);
  mkdirSync(cwd);
  const startMs = performance.now();
  const { changes, close } = watched(cwd);
  const result = await start(args, { cwd }).done;
  const tookMs = performance.now() - startMs;
  close();
  if (result.status !== 0) throw new Error(`${name}: exit ${result.status}: ${result.stderr}`);
  return { expected: resultsIn(cwd), tookMs, changes: changes() };
}

/** Counts the changes below a folder; calls `at` at the n-th. */
function watched(path, n = Number.POSITIVE_INFINITY, at = () => {}) {
  let seen = 0;
  const watcher = watch(path, { recursive: true }, () => {
    if (++seen === n) at();
  });
  watcher.on('error', () => {});
  return { changes: () => seen, close: () => watcher.close() };
}

const facts = new Map();
for (const command of COMMANDS) facts.set(command.name, await undisturbed(command));

/** One case: kills, then the command to its end. @returns the kills that hit, and what was wrong */
async function storm(number) {
  const random = randomOf('kill-storm', options.seed, number);
  let share = random.next() * COMMANDS.reduce((sum, command) => sum + command.share, 0);
  const command =
    COMMANDS.find((one) => {
      share -= one.share;
      return share <= 0;
    }) ?? COMMANDS.at(-1);
  const { expected, tookMs, changes } = facts.get(command.name);
  const cwd = join(folder, `case-${number}`);
  mkdirSync(cwd);
  const out = join(cwd, 'out');
  const plan = [];
  const again = () => [...command.args, ...(command.resumed && plan.length > 0 && existsSync(out) ? ['--resume'] : [])];
  const wrong = [];
  let hits = 0;
  for (let left = random.between(1, 3); left > 0; left--) {
    const [alone, timed] = [random.next() < 0.25, random.next() < 0.5];
    const [afterMs, change] = [random.next() * tookMs * 1.05, random.between(1, Math.max(1, changes))];
    const args = again();
    plan.push(`${timed ? `${Math.round(afterMs)} ms` : `change ${change}`}${alone ? ' alone' : ''}`);
    const { pid, child, done } = start(args, { cwd });
    const shoot = () => {
      if (child.exitCode === null && kill(pid, alone)) hits++;
    };
    const watching = timed ? undefined : watched(cwd, change, shoot);
    const timer = timed ? setTimeout(shoot, afterMs) : undefined;
    const result = await done;
    watching?.close();
    clearTimeout(timer);
    if (result.signal === null && isCrash(result)) wrong.push(`crash: ${result.stderr.slice(-300)}`);
    // what a leader leaves behind may still be writing: a user starts again at once, but not in the same millisecond
    if (result.signal === null && result.status === 0) break;
    if (result.signal === null && result.status !== 0 && !refusesToResume(result))
      wrong.push(`exit ${result.status}: ${result.stderr.slice(-300)}`);
  }
  let last = gvsl(again(), { cwd });
  if (refusesToResume(last)) last = gvsl(command.args, { cwd });
  // finished before any kill: the run exists, and says so
  const finishedBefore = command.resumed && last.status === 2 && /already holds a (finished )?run/.test(last.stderr);
  if (last.status !== 0 && !finishedBefore) wrong.push(`the last call: exit ${last.status}: ${last.stderr.slice(-400)}`);
  if (isCrash(last)) wrong.push(`crash: ${last.stderr.slice(-300)}`);
  await sleep(20);
  wrong.push(...wrongResults(expected, cwd));
  if (!options.keep || wrong.length === 0) rmSync(cwd, { recursive: true, force: true });
  return { command: command.name, hits, plan, wrong };
}

const failures = [];
const kills = Object.fromEntries(COMMANDS.map(({ name }) => [name, 0]));
const total = () => Object.values(kills).reduce((sum, n) => sum + n, 0);
let cases = 0;
const isLate = () => performance.now() > Number(options.minutes) * 60_000;
const single = options.case !== '';
for (
  let number = single ? Number(options.case) : 0;
  single ? cases === 0 : total() < Number(options.count) && !isLate();
  number++
) {
  const { command, hits, plan, wrong } = await storm(number);
  cases++;
  kills[command] += hits;
  if (wrong.length > 0)
    failures.push({ replay: `--seed ${options.seed} --case ${number}`, command, plan, wrong: wrong.slice(0, 6) });
  console.error(
    `${total()} kills, case ${number} ${command}: ${plan.join(', ')}${wrong.length ? `  WRONG ${wrong.slice(0, 3).join(' | ')}` : ''}`,
  );
}
finish(options, { what: 'kill storm', seed: options.seed, cases, kills: { ...kills, total: total() }, failures });
