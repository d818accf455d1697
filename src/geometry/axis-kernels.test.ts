import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('the kernels of resampling are those of their source: node scripts/build-wasm.mjs writes them anew', async () => {
  const { axisKernels } = await import(String(new URL('../../scripts/axis-kernels.mjs', import.meta.url)));
  const stored = await readFile(new URL('axis-kernels.ts', import.meta.url), 'utf8');
  expect(stored).toBe((await axisKernels(fileURLToPath(new URL('../..', import.meta.url)))).text);
});
