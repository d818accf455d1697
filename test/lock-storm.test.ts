/** Many processes at one lock whose holder was killed: one at a time has it, whatever they meet. Needs the build. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

const LOCK = pathToFileURL(fileURLToPath(new URL('../dist/platform/node/lock.js', import.meta.url))).href;
const PROCESSES = 8;
const ROUNDS = 40;

/** Takes the lock again and again; every other time it "dies" with it: a lock of a process that is gone is left in its place. */
const CONTENDER = (folder: string, gone: number): string => `
import { closeSync, openSync, rmSync, writeFileSync, renameSync } from 'node:fs';
import { lockFolder } from ${JSON.stringify(LOCK)};
const folder = ${JSON.stringify(folder)};
let taken = 0;
for (let round = 0; round < ${ROUNDS};) {
  let unlock;
  try { unlock = lockFolder(folder); } catch (error) {
    if (error.name !== 'RunError') throw error;
    continue;
  }
  // who is alone here makes this file; a second one would find it
  closeSync(openSync(folder + '/inside', 'wx'));
  taken++;
  for (const until = performance.now() + 1; performance.now() < until;);
  rmSync(folder + '/inside');
  if (round++ % 2 === 0) unlock();
  else {
    const left = JSON.stringify({ pid: ${gone}, host: ${JSON.stringify(hostname())}, startedAt: null, nonce: process.pid + '/' + round });
    writeFileSync(folder + '/left.' + process.pid, left);
    renameSync(folder + '/left.' + process.pid, folder + '/.lock');
  }
}
process.stdout.write(String(taken));
`;

it(`lets one of ${PROCESSES} processes in at a time, ${ROUNDS} times each, half of which leave a stale lock`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gvsl-lock-storm-'));
  try {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: gone, host: hostname(), startedAt: null }));
    const results = await Promise.all(
      Array.from({ length: PROCESSES }, () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', CONTENDER(folder, gone)]);
        let [out, err] = ['', ''];
        child.stdout.on('data', (text) => (out += text));
        child.stderr.on('data', (text) => (err += text));
        return new Promise<string>((resolve) => child.on('close', () => resolve(out || err)));
      }),
    );
    expect(results).toEqual(Array.from({ length: PROCESSES }, () => String(ROUNDS)));
    expect(readdirSync(folder).filter((name) => name !== '.lock')).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
