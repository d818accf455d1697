import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { availableBuilds, nodeCpuHost } from '../../../platform/node/cpu-host.ts';
import { Graph } from '../../graph.ts';
import { cpuBackend } from './backend.ts';

it('is what the kernels take: otherwise run `npm run build:wasm` and commit it', async () => {
  const { kernelInterface } = await import(String(new URL('../../../../scripts/kernel-interface.mjs', import.meta.url)));
  const stored = await readFile(new URL('kernel-interface.ts', import.meta.url), 'utf8');
  expect(kernelInterface(fileURLToPath(new URL('../../../..', import.meta.url))).text).toBe(stored);
});

it('kernels of another build are refused before they compute', async () => {
  const graph = new Graph();
  graph.output('y', graph.input('x', [1]));
  // an empty module: magic number and version
  const module = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  const backend = cpuBackend({ ...nodeCpuHost(availableBuilds()[0]), module }, 1);
  await expect(backend.open({ states: new Map(), graphs: new Map([['g', graph]]) })).rejects.toThrow(
    'the WebAssembly kernels are of another build than the program; build them again (npm run build:wasm)',
  );
});
