/**
 * A trial of `gvsl prepare --part` as a cluster treats it: 7 parts, several at once, two of them run twice at the same time, each killed (-9) at random
 * moments and run again; then merged and compared with the cohort that one call makes, byte by byte.
 *
 * node scripts/trial-parts.mjs [--rounds 5] [--subjects 40] [--seed 1]     (after npm run build)
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomStream } from '../dist/common/random.js';
import { writeImage } from '../dist/images/node/write.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    subjects: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
  },
});
const [rounds, subjects, seed] = [values.rounds, values.subjects, values.seed].map(Number);
const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const PARTS = 7;
const root = mkdtempSync(join(tmpdir(), 'gvsl-trial-'));
const source = join(root, 'source');
const call = (out, ...more) => [MAIN, 'prepare', source, out, '--modality', 'ct', '--workers', '1', ...more];

const filesOf = (folder) =>
  new Map(
    readdirSync(folder, { recursive: true })
      .sort()
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => [name, readFileSync(join(folder, name))]),
  );

/** Runs a part until it ends by itself; killed after random times before that. @returns how often it was killed */
async function runPart(out, index, kills, random) {
  for (let k = 0; ; k++) {
    const child = spawn(process.execPath, call(out, '--part', `${index}/${PARTS}`), { stdio: 'ignore', detached: true });
    const timer = k < kills ? setTimeout(() => process.kill(-child.pid, 'SIGKILL'), random.uniform(200, 2500)) : undefined;
    const code = await new Promise((resolve) => child.on('exit', (status, signal) => resolve(signal ?? status)));
    clearTimeout(timer);
    if (code === 0) return k;
    if (code !== 'SIGKILL') throw new Error(`part ${index}: ended with ${code}`);
  }
}

try {
  const size = [48, 44, 40];
  for (let k = 0; k < subjects; k++) {
    const stream = randomStream(seed, 'trial', k);
    const data = Int16Array.from({ length: size[0] * size[1] * size[2] }, () => stream.integer(-1000, 600));
    const direction = [1, 0, 0, 0, 1, 0, 0, 0, 1];
    await writeImage(join(source, `s${k}`, 'ct.nii.gz'), {
      geometry: { size, spacingMm: [1.2, 1, 1.5], originMm: [0, 0, 0], direction },
      data,
    });
  }
  writeFileSync(join(source, 'damaged.nii.gz'), 'no image');
  spawnSync(process.execPath, call(join(root, 'whole')), { stdio: 'ignore' });
  const whole = filesOf(join(root, 'whole'));
  for (let round = 0; round < rounds; round++) {
    const out = join(root, `parts-${round}`);
    const random = randomStream(seed, 'kills', round);
    const order = [1, 2, 3, 4, 5, 6, 7, random.integer(1, 8), random.integer(1, 8)];
    const killed = await Promise.all(order.map((index) => runPart(out, index, random.integer(0, 4), random)));
    const { status, stderr } = spawnSync(process.execPath, call(out, '--merge'), { encoding: 'utf8' });
    if (status !== 1) throw new Error(`merge ended with ${status} (1 expected: an image is refused): ${stderr}`);
    const merged = filesOf(out);
    const differing = [...new Set([...whole.keys(), ...merged.keys()])].filter(
      (name) => !whole.has(name) || !merged.has(name) || !whole.get(name).equals(merged.get(name)),
    );
    if (differing.length > 0) throw new Error(`round ${round}: differ: ${differing.slice(0, 5).join(', ')}`);
    const times = killed.reduce((sum, n) => sum + n, 0);
    console.log(`round ${round}: 9 runs of 7 parts, killed ${times} times: ${whole.size} files, the same bytes`);
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
