/**
 * The CPU backend in a browser: threads are workers, which share memory only where the page is isolated from other origins (the headers
 * Cross-Origin-Opener-Policy and -Embedder-Policy, which `gvsl page` sends); elsewhere one thread computes.
 */
import portableUrl from '../../../wasm/kernels-portable.wasm?url';
import relaxedUrl from '../../../wasm/kernels-relaxed.wasm?url';
import { RunError } from '../../common/errors.ts';
import type { Backend } from '../../engine/backend.ts';
import { type CpuHost, cpuBackend } from '../../engine/backends/cpu/backend.ts';
import { understandsRelaxedSimd } from '../../engine/backends/cpu/relaxed-simd.ts';
import type { KernelThread, ThreadOptions } from '../../engine/backends/cpu/threads.ts';

async function startThread(options: ThreadOptions): Promise<KernelThread> {
  const worker = new Worker(new URL('./kernel-thread.ts', import.meta.url), { type: 'module' });
  let failure: string | undefined;
  await new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = (event) => {
      failure ??= event.message;
      reject(new RunError(`cannot start a thread (${event.message})`));
    };
    worker.postMessage(options);
  });
  return {
    failure: () => failure,
    stop: async () => {
      worker.terminate();
    },
  };
}

let module: Promise<WebAssembly.Module> | undefined;

/** Threads that this page may use. */
export const availableThreads = (): number => (globalThis.crossOriginIsolated ? (navigator.hardwareConcurrency ?? 1) : 1);

/** The CPU backend of this page, for a worker: it waits, which a page's own thread may not. */
export async function browserCpuBackend(): Promise<Backend> {
  const relaxed = understandsRelaxedSimd();
  module ??= WebAssembly.compileStreaming(fetch(relaxed ? relaxedUrl : portableUrl));
  const host: CpuHost = { build: relaxed ? 'relaxed' : 'portable', module: await module, startThread };
  return cpuBackend(host, availableThreads());
}
