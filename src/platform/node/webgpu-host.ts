/**
 * WebGPU in Node: the package `webgpu` (Dawn), an optional peer that is loaded when it is asked for. A device is opened once for the whole process.
 */

import { UsageError } from '../../common/errors.ts';
import type { WebGpuHost } from '../../engine/backends/webgpu/backend.ts';
import { describeAdapter, isSoftware, openDevice } from '../../engine/backends/webgpu/device.ts';
import { loadOptionalPackage } from './optional-packages.ts';
import { adviseVulkan, findVulkan } from './vulkan.ts';

/**
 * Drivers in software unroll Vulkan's own clearing of workgroup memory, and take ten times as long to compile a kernel and several times as long to
 * run it as with Dawn's loop, which clears the same memory.
 */
const FOR_SOFTWARE = ['disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension'];

/** @throws UsageError that says how to install the package */
async function loadGpu(flags: string[] = []): Promise<GPU> {
  const { create } = await loadOptionalPackage('webgpu', () => import('webgpu'), '`backend` webgpu', 'use `backend` cpu');
  return create(flags);
}

/** What to do where no adapter is found, on this system. */
const adviseDriver = (): string =>
  process.platform === 'linux'
    ? adviseVulkan(findVulkan())
    : 'install the current GPU driver; a virtual machine needs GPU passthrough';

/** An adapter, as `gvsl doctor` lists it. */
export interface AdapterSummary {
  readonly name: string;
  /** A driver that computes on the processor. */
  readonly software: boolean;
  /** The largest tensor in one binding, and the largest buffer. */
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly features: readonly string[];
}

/** Features that gvsl uses, or that its users ask for. */
const FEATURES = ['timestamp-query', 'shader-f16', 'subgroups'] as const;

/** The adapters that WebGPU offers: the quick one first, the thrifty one where it is another. @throws UsageError as {@link nodeWebGpuHost} */
export async function listAdapters(): Promise<readonly AdapterSummary[]> {
  const gpu = await loadGpu();
  const adapters = [
    await gpu.requestAdapter({ powerPreference: 'high-performance' }),
    await gpu.requestAdapter({ powerPreference: 'low-power' }),
  ];
  const summaries = adapters.flatMap((adapter) =>
    adapter
      ? {
          name: describeAdapter(adapter),
          software: isSoftware(adapter),
          maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
          maxBufferSize: adapter.limits.maxBufferSize,
          maxComputeWorkgroupsPerDimension: adapter.limits.maxComputeWorkgroupsPerDimension,
          features: FEATURES.filter((feature) => adapter.features.has(feature)),
        }
      : [],
  );
  if (summaries.length === 0) throw new UsageError(`no GPU usable by WebGPU: ${adviseDriver()}`);
  return summaries.filter(({ name }, i) => summaries.findIndex((other) => other.name === name) === i);
}

/** What a turn of the event loop lasts at least while something is waited for. */
const NAP_MS = 1;

/**
 * Dawn asks in every turn of the event loop whether the GPU is done, which keeps a core busy: one of those that a driver in software computes on. So
 * that it gets them, this thread sleeps a little in every turn.
 */
function napping(): NonNullable<WebGpuHost['waitFor']> {
  const never = new Int32Array(new SharedArrayBuffer(4));
  let waiting = 0;
  let going = false;
  const turn = (): void => {
    going = waiting > 0;
    if (!going) return;
    Atomics.wait(never, 0, 0, NAP_MS);
    setImmediate(turn);
  };
  return async (promise) => {
    waiting++;
    if (!going) setImmediate(turn);
    going = true;
    try {
      return await promise;
    } finally {
      waiting--;
    }
  };
}

async function openHost(): Promise<WebGpuHost> {
  const open = async (flags?: string[]) => {
    const gpu = await loadGpu(flags);
    return { gpu, adapter: await gpu.requestAdapter({ powerPreference: 'high-performance' }) };
  };
  const first = await open();
  const { gpu, adapter } = first.adapter && isSoftware(first.adapter) ? await open(FOR_SOFTWARE) : first;
  if (!adapter) throw new UsageError(`\`backend\` webgpu: no GPU usable by WebGPU: ${adviseDriver()}. Or use \`backend\` cpu`);
  // the process keeps the objects that the device depends on
  const host = await openDevice(adapter);
  return Object.assign(host, { gpu, adapter }, host.software && { waitFor: napping() });
}

let opened: Promise<WebGpuHost> | undefined;

/** The machine's GPU. @throws UsageError that says what is missing */
export function nodeWebGpuHost(): Promise<WebGpuHost> {
  opened ??= openHost().then((host) => {
    // whoever asks after a loss gets a new one
    host.device.lost.then(() => {
      opened = undefined;
    });
    return host;
  });
  return opened;
}
