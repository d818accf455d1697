/** The backends by name, as the command line offers them. */
import { availableParallelism } from 'node:os';
import type { Backend } from '../engine/backend.ts';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import { UsageError } from '../errors/errors.ts';
import { nodeCpuBackend } from './cpu-host.ts';

export const BACKENDS = ['auto', 'cpu', 'reference'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** The backend of that name; 'auto' is the fastest there is. `threads` default: all cores. */
export function createBackend(name: string, threads: number = availableParallelism()): Backend {
  switch (name) {
    case 'auto':
    case 'cpu':
      return nodeCpuBackend(threads);
    case 'reference':
      return referenceBackend();
    default:
      throw new UsageError(`--backend: expected one of ${BACKENDS.join(', ')}, got '${name}'`);
  }
}
