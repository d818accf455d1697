/**
 * WebGPU in Node: the optional package `webgpu` (Dawn), loaded when it is asked for. A device is opened once for the whole process.
 */
import type { WebGpuHost } from '../engine/backends/webgpu/backend.ts';
import { UsageError } from '../errors/errors.ts';

/** Loads the package. @throws UsageError that says how to install it */
async function loadGpu(): Promise<GPU> {
  let webgpu: typeof import('webgpu');
  try {
    webgpu = await import('webgpu');
  } catch (error) {
    throw new UsageError(
      `--backend webgpu: the optional package webgpu could not be loaded (${(error as Error).message.split('\n')[0]}); install it with npm install webgpu, or use --backend cpu`,
    );
  }
  return webgpu.create([]);
}

const describe = ({ vendor, architecture, device, description }: GPUAdapterInfo): string =>
  [vendor, architecture, device, description].filter((part) => part !== '').join(' ');

async function openHost(): Promise<WebGpuHost> {
  const gpu = await loadGpu();
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter)
    throw new UsageError(
      '--backend webgpu: no adapter found. On Linux the Vulkan loader (libvulkan.so.1, Debian: libvulkan1) and a driver with its file in /usr/share/vulkan/icd.d are needed; VK_DRIVER_FILES names another. Or use --backend cpu',
    );
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('timestamp-query') ? ['timestamp-query'] : [],
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage },
  });
  // the process keeps the objects that the device depends on
  return Object.assign({ device, description: describe(adapter.info) }, { gpu, adapter });
}

let opened: Promise<WebGpuHost> | undefined;

/** The machine's GPU. @throws UsageError that says what is missing */
export function nodeWebGpuHost(): Promise<WebGpuHost> {
  opened ??= openHost();
  return opened;
}
