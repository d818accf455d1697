/**
 * The scripts that look for trouble, briefly; docs/robustness.md has what their long versions found. Each prints its seed, and every case
 * that fails with what replays it. Needs `npm run build`, which `npm test` does.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-trouble-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('trouble', () => {
  it.each([
    ['mutation', '--count 80 --cli 3'],
    ['kill-storm', '--count 3 --only prepare,pretrain,segment'],
    ['two-at-once', '--count 1 --only prepare,segment'],
    // skips itself where nothing can be mounted
    ['disk-full', '--count 2 --only pretrain,prepare'],
    // too short to judge memory, which grows while a process warms up: threads and open files
    ['long-run', '--count 120 --growth 1'],
  ])('%s %s', (script, args) => {
    const file = fileURLToPath(new URL(`../scripts/trouble/${script}.mjs`, import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args.split(' '), '--world', join(folder, 'world')], {
      encoding: 'utf8',
    });
    if (stdout.startsWith('skipped')) console.log(stdout.trim());
    expect(status, `${stdout}\n${stderr}`).toBe(0);
  });
});
