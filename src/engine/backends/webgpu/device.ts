/** From an adapter to a device with all that the backend can use of it. */
import type { WebGpuHost } from './backend.ts';

export const describeAdapter = ({ info }: GPUAdapter): string =>
  [info.vendor, info.architecture, info.device, info.description].filter((part) => part !== '').join(' ');

/** Whether it is a driver that computes on the processor; not all of them say so. */
export const isSoftware = (adapter: GPUAdapter): boolean =>
  adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(describeAdapter(adapter));

/** Asks for the adapter's own limits of buffers (a device has small ones unless asked) and for its clock. */
export async function openDevice(adapter: GPUAdapter): Promise<WebGpuHost> {
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('timestamp-query') ? ['timestamp-query'] : [],
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage },
  });
  return { device, description: describeAdapter(adapter), software: isSoftware(adapter) };
}
