/** The backends by name, as the command line offers them. */
import { availableParallelism } from 'node:os';
import { BACKENDS, type Backend, type BackendName } from '../engine/backend.ts';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import { type WebGpuHost, webGpuBackend } from '../engine/backends/webgpu/backend.ts';
import { peakMultiplyAdds as gpuMultiplyAdds } from '../engine/backends/webgpu/peaks.ts';
import { UsageError } from '../errors/errors.ts';
import { bestBuild, nodeCpuBackend, peakMultiplyAdds } from './cpu-host.ts';
import { nodeWebGpuHost } from './webgpu-host.ts';

/** A GPU is worth it from so many times the processor's own arithmetic on: its convolutions save less of it (docs/webgpu.md). */
const MUCH_FASTER = 4;

/** The GPU, if there is a real one and it is measured to be much faster than so many threads. */
async function fastGpu(threads: number): Promise<WebGpuHost | undefined> {
  const host = await nodeWebGpuHost().catch(() => undefined);
  if (!host || host.software) return undefined;
  const cpu = threads * peakMultiplyAdds(bestBuild());
  return (await gpuMultiplyAdds(host)) > MUCH_FASTER * cpu ? host : undefined;
}

/**
 * The backend of that name. `threads` default: all cores.
 * @throws UsageError where there is no such backend, or no GPU
 */
export async function createBackend(name: string, threads: number = availableParallelism()): Promise<Backend> {
  switch (name as BackendName) {
    case 'auto': {
      const host = await fastGpu(threads);
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
      throw new UsageError(`--backend: expected one of ${BACKENDS.join(', ')}, got '${name}'`);
  }
}
