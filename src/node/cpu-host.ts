/** The CPU backend in Node: finds the best build of the kernels that this Node runs, and starts worker threads. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Backend } from '../engine/backend.ts';
import { type CpuHost, cpuBackend, type ThreadOptions } from '../engine/backends/cpu/backend.ts';

export type CpuBuild = 'relaxed' | 'portable';

/**
 * A function that uses f32x4.relaxed_madd: valid only where relaxed SIMD is understood.
 * (module (func (param v128) (result v128) local.get 0 local.get 0 local.get 0 f32x4.relaxed_madd))
 */
const RELAXED_PROBE = Buffer.from('0061736d0100000001060160017b017b030201000a0d010b00200020002000fd85020b', 'hex');

const hasRelaxedSimd = (): boolean => WebAssembly.validate(RELAXED_PROBE);

/** The best build for this Node. Node 20's V8 has relaxed SIMD behind a flag, which may be set until a module is compiled. */
export function bestBuild(): CpuBuild {
  if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');
  return hasRelaxedSimd() ? 'relaxed' : 'portable';
}

const modules = new Map<CpuBuild, WebAssembly.Module>();

function loadModule(build: CpuBuild): WebAssembly.Module {
  const known = modules.get(build);
  if (known) return known;
  const path = new URL(`../../wasm/kernels-${build}.wasm`, import.meta.url);
  const module = new WebAssembly.Module(readFileSync(path));
  modules.set(build, module);
  return module;
}

/** What a worker runs: no file of its own, so that it is the same from sources, a build, or a bundle. */
const THREAD_SOURCE = `
const { parentPort, workerData } = require('node:worker_threads');
const { module, memory, kernelNames, tableBase, controlAddress, scratchAddress, thread, threads } = workerData;
const table = new WebAssembly.Table({ initial: tableBase + kernelNames.length, element: 'anyfunc' });
const words = new Int32Array(memory.buffer);
const wait = (at, value) => void Atomics.wait(words, at >> 2, value);
const notify = (at) => void Atomics.notify(words, at >> 2);
const { exports } = new WebAssembly.Instance(module, { env: { memory, table, wait, notify } });
kernelNames.forEach((name, i) => table.set(tableBase + i, exports[name]));
parentPort.postMessage('ready');
exports.serve(controlAddress, scratchAddress, thread, threads);
`;

function startThread(options: ThreadOptions): Promise<{ stop(): Promise<void> }> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(THREAD_SOURCE, { eval: true, workerData: options });
    worker.unref();
    worker.once('error', reject);
    worker.once('message', () => {
      resolve({
        stop: async () => {
          await worker.terminate();
        },
      });
    });
  });
}

/** The CPU backend of this process. Default: all cores, and the best build. */
export function nodeCpuBackend(threads = availableParallelism(), build: CpuBuild = bestBuild()): Backend {
  const host: CpuHost = { build, module: loadModule(build), startThread };
  return cpuBackend(host, threads);
}
