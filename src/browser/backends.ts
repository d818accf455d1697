/** The backends of this browser by name. */
import type { Backend } from '../engine/backend.ts';
import { type WebGpuHost, webGpuBackend } from '../engine/backends/webgpu/backend.ts';
import { describeAdapter, openDevice } from '../engine/backends/webgpu/device.ts';
import { WorkError } from '../errors/errors.ts';
import { availableThreads, browserCpuBackend } from './cpu-host.ts';

export type BackendName = 'webgpu' | 'cpu';

/** What can compute here, in words; null where there is no GPU. */
export interface Devices {
  readonly webgpu: string | null;
  readonly cpu: string;
}

const findAdapter = async (): Promise<GPUAdapter | null> =>
  (await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' })) ?? null;

export async function describeDevices(): Promise<Devices> {
  const adapter = await findAdapter();
  const threads = availableThreads();
  return {
    webgpu: adapter && describeAdapter(adapter),
    cpu: `${threads} thread${threads === 1 ? '' : 's'}${globalThis.crossOriginIsolated ? '' : ': this page is not isolated from other origins, which more would need'}`,
  };
}

let host: Promise<WebGpuHost> | undefined;

async function openHost(): Promise<WebGpuHost> {
  const adapter = await findAdapter();
  if (!adapter) throw new WorkError('this browser offers no GPU through WebGPU; compute on the CPU');
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
