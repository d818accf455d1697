/** How long a step will take, before the first one: the network's arithmetic over the speed of its largest convolution on this backend. */
import type { Backend } from '../engine/backend.ts';
import { elementCount, Graph, type Node, type Shape } from '../engine/graph.ts';
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

/** Allows for everything beside convolution, for deeper levels, and for other work on the machine: the estimate only sets expectations. */
const OTHER_WORK = 1.5;

/** Sides beyond this are as fast; smaller inputs are made sooner. */
const MEASURED_SIDE = 32;

/** Measured floating-point operations a second of a convolution of 3x3x3 from one shape (N, C, D, H, W) to some channels, counted as a direct sum. */
export async function measureConvolution(
  backend: Backend,
  shape: Shape = [1, 16, 32, 32, 32],
  channelsOut = 16,
): Promise<number> {
  const graph = new Graph();
  const [batch, channels, ...sides] = shape as [number, number, ...number[]];
  const x = graph.input('x', [batch, channels, ...sides.map((side) => Math.min(side, MEASURED_SIDE))]);
  const weight = graph.state('weight', [channelsOut, channels, 3, 3, 3]);
  for (let i = 0; i < 4; i++) graph.output(`y${i}`, conv3d(graph, x, weight));
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

/** Seconds that a step of `runs` runs of a gradient graph will take, roughly: its arithmetic at the speed of its largest convolution. */
export async function estimateStepSeconds(backend: Backend, gradient: Graph, runs: number): Promise<number> {
  const work = ({ inputs, shape }: Node): number => elementCount(shape) * elementCount(inputs[1]!.shape.slice(1));
  const largest = gradient.nodes
    .filter(({ op }) => op.name === 'conv3d')
    .reduce((most, node) => (work(node) > work(most) ? node : most));
  const rate = await measureConvolution(backend, largest.inputs[0]!.shape, largest.shape[1]!);
  return (OTHER_WORK * runs * convolutionFlops(gradient)) / rate;
}
