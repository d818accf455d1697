/** The backends by name, as the command line offers them. */

import { UsageError } from '../../common/errors.ts';
import { BACKENDS, type Backend, type BackendName } from '../../engine/backend.ts';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import { type WebGpuHost, webGpuBackend } from '../../engine/backends/webgpu/backend.ts';
import { nodeCpuBackend } from './cpu-host.ts';
import { availableThreads } from './limits.ts';
import { nodeWebGpuHost } from './webgpu-host.ts';

/** What every WebGPU device has by default (W3C WebGPU, "limits"); a device below is one of the compatibility mode, which is not enough. */
const MIN_LIMITS = {
  maxStorageBufferBindingSize: 2 ** 27,
  maxBufferSize: 2 ** 28,
  maxStorageBuffersPerShaderStage: 8,
} as const;

/**
 * The GPU that `auto` takes: a real one (no driver in software) with WebGPU's default limits. A rule, and no measurement, so that the same
 * machine always gives the same answer: backends agree within rounding, not bit by bit.
 */
async function realGpu(): Promise<WebGpuHost | undefined> {
  const host = await nodeWebGpuHost().catch(() => undefined);
  if (!host || host.software) return undefined;
  const { limits } = host.device;
  return Object.entries(MIN_LIMITS).every(([name, least]) => limits[name as keyof typeof MIN_LIMITS] >= least) ? host : undefined;
}

/**
 * The backend of that name. `threads` default: all that are of use.
 * @throws UsageError where there is no such backend, or no GPU
 */
export async function createBackend(name: string, threads: number = availableThreads().threads): Promise<Backend> {
  switch (name as BackendName) {
    case 'auto': {
      const host = await realGpu();
      return host ? webGpuBackend(host) : nodeCpuBackend(threads);
    }
    case 'cpu':
      return nodeCpuBackend(threads);
    case 'webgpu':
      return webGpuBackend(await nodeWebGpuHost());
    case 'webgpu-f16':
      return webGpuBackend(await nodeWebGpuHost(), { half: true });
    case 'reference':
      return referenceBackend();
    default:
      throw new UsageError(`\`backend\`: expected one of ${BACKENDS.join(', ')}, got '${name}'`);
  }
}
