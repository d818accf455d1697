/**
 * A trial of a study that processes share: 3 workers on one folder, killed (-9) at random moments and started again, one of them paused (SIGSTOP) for a
 * while; then the table and every model are compared, byte by byte, with those of one process.
 *
 * node scripts/trial-study.mjs [--rounds 3] [--kills 4] [--seed 1]     (after npm run build)
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomStream } from '../dist/common/random.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    kills: { type: 'string', default: '4' },
    seed: { type: 'string', default: '1' },
  },
});
const [rounds, kills, seed] = [values.rounds, values.kills, values.seed].map(Number);
const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'gvsl-trial-'));
const gvsl = (...args) => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`gvsl ${args.join(' ')}: ${status}: ${stderr}`);
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Every model and result of a study, and its table; times of computing differ from run to run. */
const filesOf = (folder) =>
  new Map(
    readdirSync(folder, { recursive: true })
      .filter((name) => /(^|\/)(table\.csv|labels\.svg|model\.safetensors|state\.safetensors|test\.json|probe\.json)$/.test(name))
      .sort()
      .map((name) => [name, readFileSync(join(folder, name))]),
  );

try {
  gvsl('phantom', join(root, 'scans'), '--kind', 'heart-ct', '--subjects', '8', '--spacing', '8');
  gvsl('prepare', join(root, 'scans'), join(root, 'cohort'), '--modality', 'ct', '--spacing', '8', '--crop', 'none');
  const study = join(root, 'study.json');
  const common = { threads: 1, model: { width: 0.125 } };
  writeFileSync(
    study,
    JSON.stringify({
      cohort: join(root, 'cohort'),
      methods: ['scratch', 'restoration-only', 'gvsl'],
      modes: ['linear', 'finetune'],
      labels: [2, 'all'],
      seeds: [1],
      pretraining: {
        configuration: {
          ...common,
          steps: 30,
          data: { patch: 16, heldOut: 0 },
          log: { checkpointEverySteps: 3, evaluateEverySteps: 0 },
        },
      },
      transfer: {
        configuration: {
          ...common,
          steps: 20,
          data: { patch: 16, validation: 2, test: 3 },
          log: { evaluateEverySteps: 10, picturesEverySteps: 0, checkpointEverySteps: 3 },
        },
      },
    }),
  );
  gvsl('compare', study, '--out', join(root, 'alone'));
  const alone = filesOf(join(root, 'alone'));
  for (let round = 0; round < rounds; round++) {
    const out = join(root, `shared-${round}`);
    const random = randomStream(seed, 'kills', round);
    let killed = 0;
    const worker = async (which) => {
      for (let k = 0; ; k++) {
        const child = spawn(process.execPath, [MAIN, 'compare', study, '--out', out], { stdio: ['ignore', 'ignore', 'pipe'] });
        let said = '';
        child.stderr.on('data', (text) => {
          said += text;
        });
        const ended = new Promise((resolve) => child.on('exit', (status, signal) => resolve(signal ?? status)));
        if (which === 0 && k < kills) {
          await Promise.race([sleep(random.uniform(1500, 9000)), ended]);
          child.kill('SIGKILL');
        } else if (which === 1) {
          await Promise.race([sleep(random.uniform(2000, 5000)), ended]);
          child.kill('SIGSTOP');
          await sleep(random.uniform(1000, 4000));
          child.kill('SIGCONT');
        }
        const code = await ended;
        if (code === 'SIGKILL') killed++;
        else if (code === 0) return;
        else throw new Error(`worker ${which} ended with ${code}: ${said.slice(-2000)}`);
      }
    };
    await Promise.all([0, 1, 2].map(worker));
    gvsl('compare', study, '--out', out, '--table');
    const shared = filesOf(out);
    const differing = [...new Set([...alone.keys(), ...shared.keys()])].filter(
      (name) => !alone.has(name) || !shared.has(name) || !alone.get(name).equals(shared.get(name)),
    );
    if (differing.length > 0) throw new Error(`round ${round}: differ: ${differing.slice(0, 8).join(', ')}`);
    const left = readdirSync(out).filter((name) => name === 'working');
    console.log(
      `round ${round}: 3 workers, one killed ${killed} times, one paused: ${alone.size} models, results and tables, the same bytes${left.length > 0 ? '; left: working' : ''}`,
    );
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
