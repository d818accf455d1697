/** The CPU backend in Node: finds the best build of the kernels that this Node runs, and starts worker threads. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Backend } from '../../engine/backend.ts';
import { type CpuHost, cpuBackend } from '../../engine/backends/cpu/backend.ts';
import { TABLE_BASE } from '../../engine/backends/cpu/compile.ts';
import { understandsRelaxedSimd } from '../../engine/backends/cpu/relaxed-simd.ts';
import { type KernelThread, serveKernels, type ThreadOptions } from '../../engine/backends/cpu/threads.ts';
import { availableThreads } from './limits.ts';

/** The builds of the kernels, fastest first: see scripts/build-wasm.mjs. */
export const CPU_BUILDS = ['avx2', 'relaxed', 'portable'] as const;
export type CpuBuild = (typeof CPU_BUILDS)[number];

/** Node 20's V8 has relaxed SIMD behind a flag, which may be set until a module is compiled. */
function hasRelaxedSimd(): boolean {
  if (!understandsRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');
  return understandsRelaxedSimd();
}

/** V8 of Node 24: the first in which revectorization of all that the kernels use was found to work. */
const REVECTORIZING_V8 = 13;
const v8Major = Number.parseInt(process.versions.v8, 10);

/** Whether the processor has AVX2, as far as the system tells: Linux does; elsewhere an x64 machine is taken to (sold since 2013). */
export function hasAvx2(): boolean {
  try {
    return /^flags\s*:.*\bavx2\b.*\bfma\b|^flags\s*:.*\bfma\b.*\bavx2\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

export interface BuildReport {
  readonly build: CpuBuild;
  readonly available: boolean;
  /** What it uses, or what it lacks here and how to get that. */
  readonly why: string;
}

/** Every build, fastest first, with what speaks for or against it on this machine. */
export function describeBuilds(): BuildReport[] {
  const relaxed = hasRelaxedSimd();
  const lacking =
    process.arch !== 'x64'
      ? `needs an x64 processor, this is ${process.arch}`
      : !hasAvx2()
        ? 'needs a processor with AVX2 and FMA'
        : v8Major < REVECTORIZING_V8
          ? `needs Node 24 or newer, this is ${process.version}`
          : '';
  return [
    { build: 'avx2', available: relaxed && lacking === '', why: lacking || '256-bit arithmetic through V8 revectorization' },
    {
      build: 'relaxed',
      available: relaxed,
      why: relaxed
        ? 'fused multiply-add of 128 bits (relaxed SIMD)'
        : `needs relaxed SIMD, which Node ${process.version} lacks: use Node 20 or newer`,
    },
    { build: 'portable', available: true, why: 'baseline 128-bit SIMD' },
  ];
}

/** Every build that computes right here, fast or not: without revectorization the 'avx2' build is a slow 'relaxed' one. */
export const runnableBuilds = (): CpuBuild[] => CPU_BUILDS.filter((build) => build === 'portable' || hasRelaxedSimd());

/** The fastest build that this machine and this Node run. */
export const bestBuild = (): CpuBuild => describeBuilds().find(({ available }) => available)!.build;

/** Every build that is of use here, fastest first. */
export const availableBuilds = (): CpuBuild[] =>
  describeBuilds()
    .filter(({ available }) => available)
    .map(({ build }) => build);

const modules = new Map<CpuBuild, WebAssembly.Module>();

function loadModule(build: CpuBuild): WebAssembly.Module {
  const known = modules.get(build);
  if (known) return known;
  // asking whether it is there also switches it on
  if (build !== 'portable') hasRelaxedSimd();
  // V8 looks at the flag when it compiles, and ignores it on processors without AVX2
  if (build === 'avx2' && v8Major >= REVECTORIZING_V8) setFlagsFromString('--experimental-wasm-revectorize');
  const path = new URL(`../../../wasm/kernels-${build}.wasm`, import.meta.url);
  const module = new WebAssembly.Module(readFileSync(path));
  modules.set(build, module);
  return module;
}

/** What a worker runs: no file of its own, so that it is the same from sources, a build, or a bundle. */
const THREAD_SOURCE = `
const { parentPort, workerData } = require('node:worker_threads');
(${serveKernels.toString()})(workerData, () => parentPort.postMessage('ready'));
`;

function startThread(options: ThreadOptions): Promise<KernelThread> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(THREAD_SOURCE, { eval: true, workerData: options });
    worker.unref();
    let failure: string | undefined;
    const fail = (why: string): void => {
      failure ??= why;
      reject(new Error(why));
    };
    worker.on('error', (error: Error) => fail(error.message));
    worker.once('exit', (code) => fail(`exited with code ${code}`));
    worker.once('message', () => {
      resolve({
        failure: () => failure,
        stop: async () => {
          await worker.terminate();
        },
      });
    });
  });
}

/** What the CPU backend needs of Node, for that build. */
export const nodeCpuHost = (build: CpuBuild): CpuHost => ({ build, module: loadModule(build), startThread });

/** The CPU backend of this process. Default: all threads that are of use, and the best build. */
export function nodeCpuBackend(threads = availableThreads().threads, build: CpuBuild = bestBuild()): Backend {
  return cpuBackend(nodeCpuHost(build), threads);
}

/** Multiply-adds of 4 floats in a round of the kernel `multiplyAdds`: see peak.as.ts. */
const PEAK_ROUND_FLOPS = 16 * 4 * 2;

/** Floating-point operations a second of one thread that does nothing but multiply and add in registers: the best of several runs. */
export function peakMultiplyAdds(build: CpuBuild): number {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 65536, shared: true });
  const table = new WebAssembly.Table({ initial: TABLE_BASE, element: 'anyfunc' });
  const env = { memory, table, wait: () => {}, notify: () => {}, now: () => 0 };
  const { multiplyAdds } = new WebAssembly.Instance(loadModule(build), { env }).exports as {
    multiplyAdds: (rounds: number, out: number) => void;
  };
  const [rounds, out] = [1_000_000, 65536];
  let best = 0;
  // the first runs are in baseline code
  for (let i = 0; i < 30; i++) {
    const start = performance.now();
    multiplyAdds(rounds, out);
    best = Math.max(best, (rounds * PEAK_ROUND_FLOPS * 1000) / (performance.now() - start));
  }
  return best;
}
