/** A slice is a part of its root's memory, with the root's distance between samples: operations must read it as they read a whole. */
import { describe, expect, it } from 'vitest';
import { nodeCpuBackend } from '../../../platform/node/cpu-host.ts';
import { elementCount, type Graph, type Node, type Shape } from '../../graph.ts';
import { slice } from '../../ops/concat/concat.ts';
import { type OperationCase, runCases, type Tensor } from '../../testing/case.ts';
import { difference } from '../../testing/compare.ts';
import { randomCases, TESTED_OPERATIONS } from '../../testing/random-cases.ts';
import { referenceBackend } from '../reference/backend.ts';

/** Samples and channels before the slice, and after it. A whole block of channels, so that slices of blocks stay in their root. */
const [SAMPLES, CHANNELS] = [1, 8];

/** A tensor of twos around the given one. */
function surrounded({ shape: [batch, channels, ...size], values }: Tensor): Tensor {
  const shape: Shape = [batch + 2 * SAMPLES, channels + 2 * CHANNELS, ...size];
  const around = new Float32Array(elementCount(shape)).fill(2);
  const voxels = elementCount(size);
  for (let n = 0; n < batch; n++) {
    const row = values.subarray(n * channels * voxels, (n + 1) * channels * voxels);
    around.set(row, ((n + SAMPLES) * (channels + 2 * CHANNELS) + CHANNELS) * voxels);
  }
  return { shape, values: around };
}

/** The case with every input of two axes or more, but for parameters, as a slice of a slice. */
function sliced(each: OperationCase): OperationCase {
  const names = Object.keys(each.inputs).filter((name) => each.inputs[name].shape.length > 1 && !each.parameters?.includes(name));
  const around = Object.fromEntries(names.map((name) => [name, surrounded(each.inputs[name])]));
  const part = (graph: Graph, x: Node, [batch, channels]: Shape): Node =>
    slice(graph, slice(graph, x, 1, CHANNELS, channels), 0, SAMPLES, batch);
  return {
    ...each,
    inputs: { ...each.inputs, ...around },
    build: (graph, nodes) => {
      const parts = names.map((name) => [name, part(graph, nodes[name], each.inputs[name].shape)] as const);
      return each.build(graph, { ...nodes, ...Object.fromEntries(parts) });
    },
  };
}

describe('CPU slices', () => {
  it.each(TESTED_OPERATIONS)('%s: of slices, result and gradients are as the reference says', async (name) => {
    const cases = randomCases(name, 8, 4).map(sliced);
    const want = await runCases(referenceBackend(), cases);
    const got = await runCases(nodeCpuBackend(1), cases);
    const found = cases.flatMap(({ title, tolerance = 1e-5 }, i) =>
      Object.entries(want[i]).flatMap(([output, { values, shape }]) => {
        const fault = difference(got[i][output].values, values, shape, 2 * tolerance);
        return fault ? [`${title}, ${output}: ${fault}`] : [];
      }),
    );
    expect(found).toEqual([]);
  });
});
