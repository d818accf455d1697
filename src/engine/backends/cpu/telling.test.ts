/** Parts of a state are told when they are final, and not before; nothing else is different. */
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { nodeCpuBackend } from '../../../platform/node/cpu-host.ts';
import { differentiate } from '../../autodiff.ts';
import { Graph, type Program } from '../../graph.ts';
import { accumulate } from '../../ops/adam/adam.ts';
import { matmul } from '../../ops/matmul/matmul.ts';
import { mean } from '../../ops/reduce/reduce.ts';
import { view } from '../../ops/shape/shape.ts';

const SIDE = 64;
const LAYERS = 6;
const LENGTH = LAYERS * SIDE * SIDE;

/** The gradients of a chain of products: the last layer's is ready first. What follows the last layer is never written. */
function program(): Program {
  const graph = new Graph();
  const weights = graph.state('weights', [LENGTH]);
  const gradients = graph.state('gradients', [LENGTH + 100]);
  const layers = Array.from({ length: LAYERS }, (_, i) => view(graph, weights, i * SIDE * SIDE, [SIDE, SIDE]));
  const y = layers.reduce((x, layer) => matmul(graph, x, layer), graph.input('x', [SIDE, SIDE]));
  const loss = mean(graph, y);
  graph.output('loss', loss);
  differentiate(graph, loss, layers).forEach((gradient, i) => {
    accumulate(graph, view(graph, gradients, i * SIDE * SIDE, [SIDE, SIDE]), gradient);
  });
  return {
    states: new Map([
      ['weights', [LENGTH]],
      ['gradients', [LENGTH + 100]],
    ]),
    graphs: new Map([['gradient', graph]]),
  };
}

describe('a run that tells', () => {
  it.each([1, 2])('on %i threads', async (threads) => {
    const session = await nodeCpuBackend(threads).open(program());
    const stream = randomStream(3, 'telling');
    const random = (length: number): Float32Array => Float32Array.from({ length }, () => stream.normal());
    await session.writeState('weights', random(LENGTH));
    const x = random(SIDE * SIDE);
    const expected = await session.run('gradient', { x });
    const gradients = await session.readState('gradients');
    await session.writeState('gradients', new Float32Array(LENGTH + 100));

    // edges across the layers too
    const edges = [0, 1000, SIDE * SIDE, 3 * SIDE * SIDE + 7, 5 * SIDE * SIDE, LENGTH, LENGTH + 100];
    const told: number[] = [];
    const last: boolean[] = [];
    const outputs = await session.runTelling!('gradient', { x }, { state: 'gradients', edges }, (part) => {
      const range = [edges[part], edges[part + 1]] as const;
      expect(session.stateView!('gradients').subarray(...range)).toEqual(gradients.subarray(...range));
      told.push(part);
      last.push(session.stateView!('gradients')[0] !== 0);
    });
    expect(outputs).toEqual(expected);
    expect(await session.readState('gradients')).toEqual(gradients);
    // what nothing writes comes at once, and the first layer, whose gradient needs all others, at the end
    expect(told[0]).toBe(5);
    expect(told.slice(-2)).toEqual([0, 1]);
    expect([...told].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(last.slice(0, 4)).toEqual([false, false, false, false]);
    await session.close();
  });
});
