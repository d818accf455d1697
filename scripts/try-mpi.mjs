/**
 * Training over MPI, tried with the MPIs of this machine. After a build:
 *
 *   node scripts/try-mpi.mjs bytes        # 1 to 4 ranks x 1 and 2 threads x each MPI: the model's bytes after 20 steps of GVSL and of BYOL, and resumed
 *   node scripts/try-mpi.mjs kill 50      # a random rank is killed (SIGKILL) at a random moment, so often; nothing may hang, nothing may be lost
 *   node scripts/try-mpi.mjs signals      # SIGUSR1 to a rank, SIGTERM to the launcher: exit codes, and the run resumed
 *   node scripts/try-mpi.mjs time         # 2 ranks of one thread beside 1 rank of two threads, in turn: seconds a step, share of the exchange
 *
 * Results go to stdout as one JSON document a line. MPIs: mpirun.mpich and mpirun.openmpi (Debian's names), or what --mpirun PATH names.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const [what = 'bytes', count = '50'] = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const optionOf = (name) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};

const folder = mkdtempSync(join(tmpdir(), 'gvsl-mpi-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));
const at = (...names) => join(folder, ...names);
const say = (result) => process.stdout.write(`${JSON.stringify(result)}\n`);
/** A made-up stream of numbers in [0, 1), the same each time. */
let seed = Number(optionOf('seed') ?? 1);
const random = () => {
  seed = (1664525 * seed + 1013904223) % 2 ** 32;
  return seed / 2 ** 32;
};
const among = (list) => list[Math.floor(random() * list.length)];

const here = (name) => spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim();
const launchers = (optionOf('mpirun') ? [optionOf('mpirun')] : ['mpirun.mpich', 'mpirun.openmpi'])
  .map((name) => [name, here(name)])
  .filter(([, path]) => path);
if (launchers.length === 0) {
  process.stderr.write(
    'no mpirun.mpich and no mpirun.openmpi here (Debian: apt-get install mpich openmpi-bin); or name one with --mpirun\n',
  );
  process.exit(1);
}
// Open MPI refuses more ranks than cores, and root, unless it is told
const environment = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
};

/** Arguments of a call, with its launcher before them; 0 ranks: none. */
const commandOf = (launcher, ranks, args) =>
  ranks === 0 ? [process.execPath, MAIN, ...args] : [launcher, '-n', String(ranks), process.execPath, MAIN, ...args];

/** Starts a call; `ended` resolves to its exit code, what it said, and how long it took. */
function start(launcher, ranks, args) {
  const [command, ...rest] = commandOf(launcher, ranks, args);
  const startMs = performance.now();
  const child = spawn(command, rest, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  child.stderr.on('data', (chunk) => (text += chunk));
  const ended = new Promise((resolve) =>
    child.on('close', (code, signal) => resolve({ code: code ?? signal, text, seconds: (performance.now() - startMs) / 1000 })),
  );
  return { child, ended };
}
async function run(launcher, ranks, args) {
  const result = await start(launcher, ranks, args).ended;
  if (result.code !== 0)
    throw new Error(`${commandOf(launcher, ranks, args).join(' ')} ended with ${result.code}:\n${result.text}`);
  return result;
}

const sha256 = (...path) =>
  createHash('sha256')
    .update(readFileSync(at(...path)))
    .digest('hex')
    .slice(0, 16);
/** What a run is known by: its model, its moments, its counters. */
const bytesOf = (out) =>
  ['model.safetensors', 'state.safetensors', 'state.json'].map((name) => sha256(out, 'last', name)).join(' ');

const configured = (name, changes) => {
  const document = {
    batch: 4,
    learningRate: 1e-3,
    model: { width: 0.125 },
    data: { patch: 16, heldOut: 2 },
    log: { everySteps: 1, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 10 },
    ...changes,
  };
  writeFileSync(at(`${name}.json`), JSON.stringify(document));
  return at(`${name}.json`);
};

/** Processes of ranks that write to a run, by rank. */
function ranksOf(out) {
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!command[0].includes('node') || command[1] !== MAIN || !command.includes(out)) continue;
      const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const rank = variables.map((each) => /^(?:OMPI_COMM_WORLD_RANK|PMI_RANK)=(\d+)$/.exec(each)?.[1]).find(Boolean);
      found.push({ pid: Number(pid), rank: Number(rank ?? 0) });
    } catch {
      // it has ended meanwhile
    }
  }
  return found;
}

async function cohort() {
  await run('', 0, ['phantom', at('scans'), '--kind', 'brain-mr', '--subjects', '6', '--seed', '1', '--spacing', '6']);
  await run('', 0, ['prepare', at('scans'), at('cohort'), '--modality', 'mr', '--spacing', '6']);
}
const pretrain = (out, config, ...more) => ['pretrain', at('cohort'), '--out', at(out), '--config', config, ...more];

/** Lines of a run's metrics so far. */
const linesOf = (out) =>
  existsSync(at(out, 'metrics.jsonl')) ? readFileSync(at(out, 'metrics.jsonl'), 'utf8').split('\n').length : 0;

async function tryBytes() {
  for (const method of (optionOf('methods') ?? 'gvsl,byol').split(',')) {
    const whole = configured(`${method}-20`, { steps: 20 });
    const call = (out, config, ...more) => pretrain(out, config, '--method', method, ...more);
    await run('', 0, call(`${method}-alone`, whole, '--threads', '1'));
    const expected = bytesOf(`${method}-alone`);
    let same = 0;
    const different = [];
    for (const [name, launcher] of launchers)
      for (const ranks of [1, 2, 3, 4])
        for (const threads of [1, 2]) {
          const out = `${method}-${name}-${ranks}-${threads}`;
          await run(launcher, ranks, call(out, whole, '--threads', String(threads)));
          if (bytesOf(out) === expected) same++;
          else different.push(out);
        }
    const resumed = [];
    for (const [name, launcher] of launchers)
      for (const [before, after] of [
        [2, 3],
        [4, 1],
        [1, 2],
      ]) {
        const out = `${method}-${name}-${before}-then-${after}`;
        // stopped somewhere: what a step is may depend on how many there are in all
        const { ended } = start(launcher, before, call(out, whole, '--threads', '1'));
        while (linesOf(out) < 6) await sleep(20);
        for (const { pid } of ranksOf(at(out)).slice(0, 1)) process.kill(pid, 'SIGUSR1');
        const { text } = await ended;
        const stoppedAfter = Number(/stopped after step (\d+)/.exec(text)?.[1] ?? 20);
        await run(launcher, after, call(out, whole, '--threads', '1', '--resume'));
        resumed.push({ from: before, stoppedAfter, on: after, same: bytesOf(out) === expected });
      }
    say({ what, method, model: expected.split(' ')[0], runs: same + different.length, same, different, resumed });
    if (different.length > 0 || resumed.some(({ same: equal }) => !equal)) process.exitCode = 1;
  }
}

/** At most this long may ranks live on after one was killed. */
const MOST_SECONDS = 20;

async function tryKill(times) {
  const steps = 150;
  const config = configured('kill', {
    steps,
    batch: 4,
    log: { everySteps: 1, evaluateEverySteps: 25, evaluatePairs: 1, picturesEverySteps: 0, checkpointEverySteps: 4 },
  });
  await run('', 0, pretrain('undisturbed', config, '--threads', '1'));
  const expected = bytesOf('undisturbed');
  const [afterKill, killedRanks, codes] = [[], {}, {}];
  let [kills, runs, hung, lost, starts] = [0, 0, 0, 0, 0];
  while (kills < times) {
    const out = `killed-${runs}`;
    for (let done = false; !done; ) {
      const [name, launcher] = among(launchers);
      const ranks = 2 + Math.floor(random() * 3);
      const resume = existsSync(at(out, 'run.json')) || existsSync(at(out, 'last')) ? ['--resume'] : [];
      const { ended, child } = start(launcher, ranks, pretrain(out, config, '--threads', '1', ...resume));
      starts++;
      let over = false;
      ended.then(() => (over = true));
      if (kills < times) {
        const untilMs = performance.now() + 300 + random() * 5000;
        while (!over && performance.now() < untilMs) await sleep(20);
        const alive = over ? [] : ranksOf(at(out));
        if (alive.length > 0) {
          const victim = among(alive);
          const killedMs = performance.now();
          process.kill(victim.pid, 'SIGKILL');
          kills++;
          killedRanks[victim.rank] = (killedRanks[victim.rank] ?? 0) + 1;
          while ((!over || ranksOf(at(out)).length > 0) && performance.now() - killedMs < 1000 * MOST_SECONDS) await sleep(20);
          afterKill.push((performance.now() - killedMs) / 1000);
          if (!over || ranksOf(at(out)).length > 0) {
            hung++;
            for (const { pid } of ranksOf(at(out))) process.kill(pid, 'SIGKILL');
            child.kill('SIGKILL');
          }
        }
      }
      const { code, text } = await ended;
      codes[`${name} ${code}`] = (codes[`${name} ${code}`] ?? 0) + 1;
      done = code === 0;
      if (!done && /is damaged|cannot resume|different runs/.test(text)) {
        lost++;
        process.stderr.write(text);
        break;
      }
    }
    if (!existsSync(at(out, 'last')) || bytesOf(out) !== expected) lost++;
    rmSync(at(out), { recursive: true, force: true });
    runs++;
  }
  afterKill.sort((a, b) => a - b);
  const round = (seconds) => Number(seconds.toFixed(2));
  say({
    what,
    kills,
    killedRanks,
    starts,
    runs,
    hung,
    lost,
    exitCodes: codes,
    secondsUntilAllEnded: { median: round(afterKill[afterKill.length >> 1]), most: round(afterKill.at(-1)) },
  });
  if (hung + lost > 0) process.exitCode = 1;
}

async function trySignals() {
  const config = configured('signals', { steps: 60 });
  await run('', 0, pretrain('undisturbed', config, '--threads', '1'));
  const expected = bytesOf('undisturbed');
  for (const [name, launcher] of launchers)
    for (const [signal, target] of [
      ['SIGUSR1', 'rank'],
      ['SIGTERM', 'rank'],
      ['SIGUSR1', 'launcher'],
      ['SIGTERM', 'launcher'],
      ['SIGINT', 'launcher'],
    ]) {
      const out = `${name}-${signal}-${target}`;
      const { child, ended } = start(launcher, 3, pretrain(out, config, '--threads', '1'));
      while (linesOf(out) < 6) await sleep(20);
      const sentMs = performance.now();
      if (target === 'launcher') child.kill(signal);
      else process.kill(ranksOf(at(out)).at(-1).pid, signal);
      const { code, text } = await ended;
      const seconds = Number(((performance.now() - sentMs) / 1000).toFixed(2));
      await sleep(200);
      const left = ranksOf(at(out)).length;
      await run(launcher, 2, pretrain(out, config, '--threads', '1', '--resume'));
      say({
        what,
        mpi: name,
        signal,
        to: target,
        exitCode: code,
        seconds,
        left,
        checkpoint: /stopped after step/.test(text),
        resumedSame: bytesOf(out) === expected,
      });
      if (bytesOf(out) !== expected || left > 0) process.exitCode = 1;
    }
}

async function tryTime() {
  const patch = Number(optionOf('patch') ?? 32);
  const width = Number(optionOf('width') ?? 0.25);
  const steps = Number(optionOf('steps') ?? 6);
  const rounds = Number(optionOf('rounds') ?? 3);
  const batch = Number(optionOf('batch') ?? 2);
  const config = configured('time', {
    steps,
    batch,
    model: { width },
    data: { patch, heldOut: 2 },
    log: { everySteps: 1, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 0 },
  });
  const secondsOf = (out) => {
    const lines = readFileSync(at(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ kind }) => kind === 'step')
      .slice(2);
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    return {
      step: mean(lines.map(({ stepSeconds }) => stepSeconds)),
      ...(lines[0].sharing && {
        wait: mean(lines.map(({ sharing }) => sharing.waitSeconds)),
        exchange: mean(lines.map(({ sharing }) => sharing.exchangeSeconds)),
        sentMb: lines[0].sharing.sentBytes / 1e6,
      }),
    };
  };
  const variants = [
    ['1 rank x 2 threads', '', 0, 2],
    ...launchers.map(([name, path]) => [`2 ranks x 1 thread, ${name}`, path, 2, 1]),
  ];
  const found = new Map(variants.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, launcher, ranks, threads] of variants) {
      const out = `${name.replaceAll(' ', '-')}-${round}`;
      await run(launcher, ranks, pretrain(out, config, '--threads', String(threads)));
      found.get(name).push(secondsOf(out));
      rmSync(at(out), { recursive: true, force: true });
    }
  const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const base = found.get(variants[0][0]);
  for (const [name, times] of found)
    say({
      what,
      patch,
      width,
      batch,
      rounds,
      name,
      stepSeconds: Number(median(times.map(({ step }) => step)).toFixed(4)),
      ratio: Number(median(times.map(({ step }, i) => step / base[i].step)).toFixed(3)),
      ...(times[0].wait !== undefined && {
        waitShare: Number(median(times.map(({ wait, step }) => wait / step)).toFixed(3)),
        exchangeShare: Number(median(times.map(({ exchange, step }) => exchange / step)).toFixed(3)),
        sentMb: Number(times[0].sentMb.toFixed(1)),
      }),
    });
}

await cohort();
const tries = { bytes: tryBytes, kill: () => tryKill(Number(count)), signals: trySignals, time: tryTime };
if (!(what in tries)) throw new Error(`expected one of ${Object.keys(tries).join(', ')}; found '${what}'`);
await tries[what]();
process.exit();
