/** `gvsl verify` of several files: one that cannot be replayed is listed, and the others are replayed. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gvsl } from '../testing/run-in-process.ts';

const GOLDEN = fileURLToPath(new URL('../../../test/goldens/classify-tiny.safetensors', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-verify-command-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('lists files that cannot be replayed as failed, replays the others, and ends with exit code 1', async () => {
  const [damaged, missing] = [join(folder, 'damaged.safetensors'), join(folder, 'missing.safetensors')];
  await writeFile(damaged, 'not a golden');
  const { code, stdout } = await gvsl('verify', damaged, GOLDEN, missing, '--json');
  expect(code).toBe(1);
  const { passed, reports, failed } = JSON.parse(stdout);
  expect(passed).toBe(false);
  expect(reports).toMatchObject([{ file: GOLDEN, passed: true }]);
  expect(failed).toMatchObject([
    { path: damaged, reason: expect.stringContaining('not a safetensors file') },
    { path: missing, reason: expect.stringContaining('no such file') },
  ]);
  const text = (await gvsl('verify', damaged, GOLDEN, missing)).stdout;
  expect(text).toMatch(/classify-tiny\.safetensors .*\n[\s\S]*passed: 87 of 87[\s\S]*2 of 3 files could not be replayed/);
  expect(text).toContain(damaged);
});
