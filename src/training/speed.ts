/** How long a step will take, before the first one: the network's arithmetic over the speed of a small convolution on this backend. */
import type { Backend } from '../engine/backend.ts';
import { elementCount, Graph } from '../engine/graph.ts';
import { conv3d } from '../engine/ops/conv3d/conv3d.ts';

/** Multiplications and additions of a graph's convolutions and their adjoints: nearly all of its arithmetic. */
export function convolutionFlops(graph: Graph): number {
  let flops = 0;
  for (const { op, inputs, shape } of graph.nodes) {
    if (op.name === 'conv3d') flops += 2 * elementCount(shape) * elementCount(inputs[1]!.shape.slice(1));
    else if (op.name === 'conv3dInputGradient') flops += (2 * elementCount(shape) * elementCount(inputs[1]!.shape)) / shape[1]!;
    else if (op.name === 'conv3dWeightGradient')
      flops += 2 * elementCount(shape) * elementCount([inputs[1]!.shape[0]!, ...inputs[1]!.shape.slice(2)]);
  }
  return flops;
}

/** Allows for everything beside convolution and for other work on the machine: a guess on the safe side, since the estimate only sets expectations. */
const OTHER_WORK = 1.5;

/** Measured floating-point operations a second of a convolution of 16 to 16 channels on 32^3 voxels. */
export async function measureConvolution(backend: Backend): Promise<number> {
  const [channels, size] = [16, 32];
  const graph = new Graph();
  const x = graph.input('x', [1, channels, size, size, size]);
  const weight = graph.state('weight', [channels, channels, 3, 3, 3]);
  let y = x;
  for (let i = 0; i < 4; i++) y = conv3d(graph, y, weight);
  graph.output('y', y);
  const session = await backend.open({ states: new Map([['weight', weight.shape]]), graphs: new Map([['main', graph]]) });
  try {
    const values = { x: new Float32Array(elementCount(x.shape)) };
    await session.run('main', values, []);
    const start = performance.now();
    let runs = 0;
    for (; runs < 3 || (performance.now() - start < 200 && runs < 50); runs++) await session.run('main', values, []);
    return (convolutionFlops(graph) * runs * 1000) / (performance.now() - start);
  } finally {
    await session.close();
  }
}

/** Seconds that a step of `batch` runs of a gradient graph will take, roughly. */
export async function estimateStepSeconds(backend: Backend, gradient: Graph, runs: number): Promise<number> {
  return (OTHER_WORK * runs * convolutionFlops(gradient)) / (await measureConvolution(backend));
}
