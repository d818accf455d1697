import { describe, expect, it } from 'vitest';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import { Graph, type Program } from '../../engine/graph.ts';
import { conv3d } from '../../engine/ops/conv3d/conv3d.ts';
import { availableBuilds, nodeCpuBackend } from './cpu-host.ts';

/** One convolution, 16 to 8 channels. */
function convolutionProgram(): Program {
  const graph = new Graph();
  graph.output('y', conv3d(graph, graph.input('x', [2, 16, 3, 5, 7]), graph.input('weight', [8, 16, 3, 3, 3])));
  return { states: new Map(), graphs: new Map([['main', graph]]) };
}

const ramp = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(i));
const inputs = { x: ramp(2 * 16 * 105), weight: ramp(8 * 16 * 27) };

describe('nodeCpuBackend', () => {
  it.each(availableBuilds().flatMap((build) => [1, 2, 3].map((threads) => [build, threads] as const)))(
    'computes with the %s build on %i threads what the reference computes',
    async (build, threads) => {
      const want = await (await referenceBackend().open(convolutionProgram())).run('main', inputs);
      const session = await nodeCpuBackend(threads, build).open(convolutionProgram());
      for (let i = 0; i < 3; i++) {
        const { y } = await session.run('main', inputs);
        const worst = y.reduce((most, value, at) => Math.max(most, Math.abs(value - want.y[at])), 0);
        expect(worst).toBeLessThan(1e-4);
      }
      await session.close();
    },
  );
});
