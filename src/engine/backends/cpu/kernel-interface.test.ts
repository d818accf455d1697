import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('is what the kernels take: otherwise run `npm run build:wasm` and commit it', async () => {
  const { kernelInterface } = await import(String(new URL('../../../../scripts/kernel-interface.mjs', import.meta.url)));
  const stored = await readFile(new URL('kernel-interface.ts', import.meta.url), 'utf8');
  expect(kernelInterface(fileURLToPath(new URL('../../../..', import.meta.url)))).toBe(stored);
});
