/** The backends by name, as the command line offers them. */
import { availableParallelism } from 'node:os';
import type { Backend } from '../engine/backend.ts';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import { webGpuBackend } from '../engine/backends/webgpu/backend.ts';
import { UsageError } from '../errors/errors.ts';
import { nodeCpuBackend } from './cpu-host.ts';
import { nodeWebGpuHost } from './webgpu-host.ts';

export const BACKENDS = ['auto', 'cpu', 'webgpu', 'reference'] as const;
export type BackendName = (typeof BACKENDS)[number];

/**
 * The backend of that name; 'auto' is the CPU: a GPU is used where it is asked for. `threads` default: all cores.
 * @throws UsageError where there is no such backend, or no GPU
 */
export async function createBackend(name: string, threads: number = availableParallelism()): Promise<Backend> {
  switch (name) {
    case 'auto':
    case 'cpu':
      return nodeCpuBackend(threads);
    case 'webgpu':
      return webGpuBackend(await nodeWebGpuHost());
    case 'reference':
      return referenceBackend();
    default:
      throw new UsageError(`--backend: expected one of ${BACKENDS.join(', ')}, got '${name}'`);
  }
}
