/** Computing again: the same bits, in less memory, with effects as early as they may be and no earlier. */
import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { differentiate } from './autodiff.ts';
import { elementCount, Graph, type Node, type Program, type Shape } from './graph.ts';
import { accumulate, adam } from './ops/adam/adam.ts';
import { concat, slice } from './ops/concat/concat.ts';
import { conv3d } from './ops/conv3d/conv3d.ts';
import { add, scale } from './ops/elementwise/elementwise.ts';
import { groupNorm } from './ops/group-norm/group-norm.ts';
import { mseLoss } from './ops/mse/mse.ts';
import { maxPool } from './ops/pool/pool.ts';
import { upsample } from './ops/resize/resize.ts';
import { view } from './ops/shape/shape.ts';
import { warp } from './ops/warp/warp.ts';
import { planMemory } from './plan.ts';
import { recomputeCheap } from './recompute.ts';
import { itOnEveryBackend } from './testing/backends.ts';
import { verifyProgram } from './verify.ts';

const SIZE = [8, 6, 8] as const;
const WEIGHTS: readonly Shape[] = [
  [8, 1, 3, 3, 3],
  [8],
  [8],
  [16, 8, 3, 3, 3],
  [16],
  [16],
  [8, 24, 3, 3, 3],
  [8],
  [8],
  [3, 16, 3, 3, 3],
];
const LENGTH = WEIGHTS.reduce((sum, shape) => sum + elementCount(shape), 0);

/** A U of two levels over two images, one laid onto the other: every kind of result that is computed again. */
function trainingGraph(): { graph: Graph; forwardNodes: number } {
  const graph = new Graph();
  const images = graph.input('images', [2, 1, ...SIZE]);
  const parameters = graph.state('parameters', [LENGTH]);
  let offset = 0;
  const weights = WEIGHTS.map((shape) => {
    offset += elementCount(shape);
    return view(graph, parameters, offset - elementCount(shape), shape);
  });
  const block = (x: Node, at: number): Node =>
    groupNorm(graph, conv3d(graph, x, weights[at]), weights[at + 1], weights[at + 2], { groups: 2, eps: 1e-5, slope: 0.2 });
  const top = block(images, 0);
  const low = block(maxPool(graph, top), 3);
  const features = block(concat(graph, 1, top, upsample(graph, low)), 6);
  const [a, b] = [slice(graph, features, 0, 0, 1), slice(graph, features, 0, 1, 1)];
  const flow = scale(graph, conv3d(graph, concat(graph, 1, a, b), weights[9]), 0.3);
  const loss = add(graph, mseLoss(graph, warp(graph, a, flow), b), mseLoss(graph, top, features));
  graph.output('loss', loss);
  graph.output('features', features);
  const forwardNodes = graph.nodes.length;
  const gradients = differentiate(graph, loss, weights);
  const flat = graph.state('gradients', [LENGTH]);
  offset = 0;
  WEIGHTS.forEach((shape, i) => {
    accumulate(graph, view(graph, flat, offset, shape), gradients[i], 0.5);
    offset += elementCount(shape);
  });
  return { graph, forwardNodes };
}

const states = new Map<string, Shape>([
  ['parameters', [LENGTH]],
  ['gradients', [LENGTH]],
]);
const programOf = (graph: Graph): Program => ({ states, graphs: new Map([['main', graph]]) });
const bytesOf = (graph: Graph): number =>
  planMemory(
    graph,
    ({ op, shape }) => (op.name === 'state' || op.alias ? 0 : 4 * elementCount(shape)),
    () => 0,
  ).arenaBytes;

describe('recomputeCheap', () => {
  itOnEveryBackend('changes no bit of any result or gradient', async (backend) => {
    const random = randomStream(3, 'recompute');
    const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
    const [values, images] = [draw(LENGTH), draw(2 * elementCount(SIZE))];
    const { graph, forwardNodes } = trainingGraph();
    const results: Record<string, Float32Array>[] = [];
    for (const each of [graph, recomputeCheap(graph, forwardNodes)]) {
      const session = await backend.open(programOf(each));
      await session.writeState('parameters', values);
      const outputs = await session.run('main', { images });
      results.push({ ...outputs, gradients: await session.readState('gradients') });
      await session.close();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[0].gradients.some((value) => value !== 0)).toBe(true);
  });

  it('keeps less of the forward pass', () => {
    const { graph, forwardNodes } = trainingGraph();
    const again = recomputeCheap(graph, forwardNodes);
    verifyProgram(programOf(again));
    expect(again.nodes.length).toBeGreaterThan(graph.nodes.length);
    expect(bytesOf(again)).toBeLessThan(0.8 * bytesOf(graph));
    // the first normalised features, which the last gradients need, do not wait for them
    const lastUse = (node: Node): number =>
      again.nodes.reduce((last, each) => (each.inputs.includes(node) ? Math.max(last, each.id) : last), node.id);
    const firstNorm = again.nodes.find(({ op }) => op.name === 'groupNorm')!;
    expect(lastUse(firstNorm)).toBeLessThan(forwardNodes + 12);
    expect(again.nodes.length).toBeGreaterThan(forwardNodes + 40);
  });

  it('adds a gradient to its state as soon as it is there, unless something else reads the state', () => {
    const { graph, forwardNodes } = trainingGraph();
    const effects = (each: Graph): number[] => each.nodes.filter(({ op }) => op.writes).map(({ id }) => id);
    const again = recomputeCheap(graph, forwardNodes);
    expect(effects(again)).toHaveLength(WEIGHTS.length);
    expect(Math.min(...effects(again))).toBeLessThan(again.nodes.length - 40);

    const reader = trainingGraph();
    const flat = reader.graph.state('gradients', [LENGTH]);
    reader.graph.output('first', scale(reader.graph, view(reader.graph, flat, 0, [8]), 2));
    const kept = recomputeCheap(reader.graph, reader.forwardNodes);
    expect(Math.min(...effects(kept))).toBeGreaterThan(kept.nodes.length - 40);
  });

  it('leaves a graph without a backward part as it is', () => {
    const graph = new Graph();
    const [p, m, v, g] = ['p', 'm', 'v', 'g'].map((name) => graph.state(name, [4])) as [Node, Node, Node, Node];
    adam(graph, [p, m, v, g], graph.input('step', [4]));
    const again = recomputeCheap(graph, graph.nodes.length);
    expect(again.nodes.map(({ op }) => op.name)).toEqual(graph.nodes.map(({ op }) => op.name));
  });
});
