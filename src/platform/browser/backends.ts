/** The backends of this browser by name. */

import { counted } from '../../common/counted.ts';
import { RunError } from '../../common/errors.ts';
import type { Backend } from '../../engine/backend.ts';
import { type WebGpuHost, webGpuBackend } from '../../engine/backends/webgpu/backend.ts';
import { describeAdapter, isSoftware, openDevice } from '../../engine/backends/webgpu/device.ts';
import { availableThreads, browserCpuBackend } from './cpu-host.ts';

export type BackendName = 'webgpu' | 'cpu';

/** What can compute here. */
export interface Devices {
  /** The fastest first. */
  readonly choices: readonly { readonly name: BackendName; readonly label: string }[];
  /** Why it is not more, a sentence each. */
  readonly notes: readonly string[];
}

const findAdapter = async (): Promise<GPUAdapter | null> =>
  (await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' })) ?? null;

export async function describeDevices(): Promise<Devices> {
  const adapter = await findAdapter();
  const threads = availableThreads();
  const cpu = { name: 'cpu', label: `CPU: ${counted(threads, 'thread')}` } as const;
  const gpu = adapter && ({ name: 'webgpu', label: `GPU: ${describeAdapter(adapter)}` } as const);
  const software = adapter !== null && isSoftware(adapter);
  const notes = [
    ...(navigator.gpu ? [] : ['This browser has no WebGPU; using the CPU.']),
    ...(navigator.gpu && !gpu ? ['WebGPU found no GPU; using the CPU.'] : []),
    ...(software ? ['The GPU is emulated in software; the CPU is faster.'] : []),
    ...(globalThis.crossOriginIsolated
      ? []
      : ['Single-threaded: a server with cross-origin isolation, such as gvsl page, allows more threads.']),
  ];
  return { choices: !gpu ? [cpu] : software ? [cpu, gpu] : [gpu, cpu], notes };
}

let host: Promise<WebGpuHost> | undefined;

async function openHost(): Promise<WebGpuHost> {
  const adapter = await findAdapter();
  if (!adapter) throw new RunError('WebGPU no longer finds a GPU; use the CPU');
  const opened = await openDevice(adapter);
  // the next call asks for a new one
  opened.device.lost.then(() => {
    host = undefined;
  });
  return opened;
}

export async function openBackend(name: BackendName): Promise<Backend> {
  if (name === 'cpu') return browserCpuBackend();
  host ??= openHost();
  try {
    return webGpuBackend(await host);
  } catch (error) {
    host = undefined;
    throw error;
  }
}
