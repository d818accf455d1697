/** A thread of the CPU backend: binds the kernels to the shared memory and serves until it is terminated. */
import type { ThreadOptions } from '../engine/backends/cpu/backend.ts';

self.onmessage = ({ data }: MessageEvent<ThreadOptions>): void => {
  const { module, memory, kernelNames, tableBase, controlAddress, scratchAddress, thread, threads } = data;
  const table = new WebAssembly.Table({ initial: tableBase + kernelNames.length, element: 'anyfunc' });
  const words = new Int32Array(memory.buffer);
  const wait = (at: number, value: number): void => void Atomics.wait(words, at >> 2, value);
  const notify = (at: number): void => void Atomics.notify(words, at >> 2);
  const { exports } = new WebAssembly.Instance(module, { env: { memory, table, wait, notify } });
  kernelNames.forEach((name, i) => {
    table.set(tableBase + i, exports[name]);
  });
  self.postMessage('ready');
  (exports.serve as (...numbers: number[]) => void)(controlAddress, scratchAddress, thread, threads);
};
