/** What the machine can do at best, measured: the bounds that kernels are held against. */

import type { Backend } from '../../engine/backend.ts';
import { webGpuBackend } from '../../engine/backends/webgpu/backend.ts';
import { peakMultiplyAdds as gpuMultiplyAdds } from '../../engine/backends/webgpu/peaks.ts';
import { elementCount, Graph } from '../../engine/graph.ts';
import { scale } from '../../engine/ops/elementwise/elementwise.ts';
import { type CpuBuild, nodeCpuBackend, peakMultiplyAdds } from '../../platform/node/cpu-host.ts';
import { nodeWebGpuHost } from '../../platform/node/webgpu-host.ts';
import { median } from './machine.ts';

export interface Peaks {
  /** Multiply-adds from registers of one thread, two operations each; of a whole GPU. */
  readonly gflopsPerThread: number;
  /** Reading and writing 256 MiB with all threads, both counted. */
  readonly copyGbPerS: number;
}

const COPY_SHAPE = [1, 8, 64, 256, 256];

async function copyBandwidth(backend: Backend): Promise<number> {
  const graph = new Graph();
  graph.output('y', scale(graph, graph.input('x', COPY_SHAPE), 2));
  const session = await backend.open({ states: new Map(), graphs: new Map([['main', graph]]) });
  try {
    const inputs = { x: new Float32Array(elementCount(COPY_SHAPE)) };
    const rates: number[] = [];
    for (let i = 0; i < 5; i++) {
      const times = await session.profile!('main', inputs);
      const seconds = times.reduce((sum, each) => sum + each.seconds, 0);
      if (i > 0) rates.push((2 * 4 * elementCount(COPY_SHAPE)) / seconds / 1e9);
    }
    return median(rates);
  } finally {
    await session.close();
  }
}

export const measurePeaks = async (build: CpuBuild, threads: number): Promise<Peaks> => ({
  gflopsPerThread: peakMultiplyAdds(build) / 1e9,
  copyGbPerS: await copyBandwidth(nodeCpuBackend(threads, build)),
});

/** @throws UsageError where there is no GPU */
export async function measureGpuPeaks(): Promise<Peaks> {
  const host = await nodeWebGpuHost();
  return { gflopsPerThread: (await gpuMultiplyAdds(host)) / 1e9, copyGbPerS: await copyBandwidth(webGpuBackend(host)) };
}
