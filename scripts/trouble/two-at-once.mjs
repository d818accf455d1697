/**
 * Every command that writes, twice at the same time on the same output: the exit codes make sense, and what lies there is one run's.
 *
 *   node scripts/trouble/two-at-once.mjs [--seed 1] [--count 3] [--only segment] [--out result.json]
 *
 * Each command is started twice, `count` times: together, and with random pauses between. One of the two must succeed; the other may succeed
 * too, or say that somebody else writes there, or that there is a result already.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { finish, isCrash, optionsOf, randomOf, resultsIn, sleep, start, temporaryFolder, wrongResults } from './support.mjs';
import { commandsThatWrite, makeWorld } from './world.mjs';

const options = optionsOf({ count: '3', only: '' });
const folder = temporaryFolder('two-at-once', options.keep);
const world = makeWorld(folder, options.world);
const commands = commandsThatWrite(world, options.only);

/** What the slower of two may say. */
const KNOWS_OF_THE_OTHER =
  /another process is (writing|working)|already (holds|exists)|is not empty|exists already|choose (a new|another)|give (a new|another)/;

const failures = [];
const outcomes = {};
for (const { name, args } of commands) {
  const whole = join(folder, `${name}-whole`);
  mkdirSync(whole);
  const beganMs = performance.now();
  const alone = await start(args, { cwd: whole }).done;
  const tookMs = performance.now() - beganMs;
  if (alone.status !== 0) {
    failures.push({ command: name, wrong: [`alone: exit ${alone.status}: ${alone.stderr.slice(-300)}`] });
    continue;
  }
  const expected = resultsIn(whole);
  for (let round = 0; round < Number(options.count); round++) {
    const random = randomOf('two-at-once', options.seed, name, round);
    const cwd = join(folder, `${name}-${round}`);
    mkdirSync(cwd);
    const first = start(args, { cwd });
    // at once; then the second while the first begins, and while it writes
    const pauseMs = Math.round(round === 0 ? 0 : random.next() * tookMs * (round === 1 ? 0.3 : 0.9));
    await sleep(pauseMs);
    const second = start(args, { cwd });
    const results = await Promise.all([first.done, second.done]);
    const wrong = [];
    if (!results.some(({ status }) => status === 0)) wrong.push('neither succeeded');
    for (const result of results) {
      if (isCrash(result)) wrong.push(`crash: ${result.stderr.slice(-300)}`);
      else if (result.status !== 0 && !KNOWS_OF_THE_OTHER.test(result.stderr))
        wrong.push(`exit ${result.status}: ${result.stderr.slice(-300)}`);
    }
    wrong.push(...wrongResults(expected, cwd));
    const outcome = results.map(({ status }) => status).join(' and ');
    outcomes[name] = [...(outcomes[name] ?? []), `${outcome} after ${pauseMs} ms`];
    console.error(
      `${name}, second after ${pauseMs} ms: exit ${outcome}${wrong.length ? `  WRONG ${wrong.slice(0, 4).join(' | ')}` : ''}`,
    );
    if (wrong.length > 0) failures.push({ command: `gvsl ${args.join(' ')}`, pauseMs, wrong });
    if (!options.keep) rmSync(cwd, { recursive: true, force: true });
  }
}
finish(options, { what: 'two at once', seed: options.seed, rounds: Number(options.count), outcomes, failures });
