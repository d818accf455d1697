import { describe, expect, it } from 'vitest';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import { Graph } from '../engine/graph.ts';
import { mseLoss } from '../engine/ops/mse/mse.ts';
import { gradientsOf, INITIAL_LOSS_SCALE, lossScaleInputs, nextLossScale } from './loss-scaling.ts';

describe('nextLossScale', () => {
  it('halves at an overflow, never below 1', () => {
    expect(nextLossScale({ factor: 65536, steadySteps: 12 }, true)).toEqual({ factor: 32768, steadySteps: 0 });
    expect(nextLossScale({ factor: 1, steadySteps: 0 }, true)).toEqual({ factor: 1, steadySteps: 0 });
  });

  it('doubles after 2000 steps without one, up to 2^24', () => {
    let scale = INITIAL_LOSS_SCALE;
    for (let step = 0; step < 1999; step++) scale = nextLossScale(scale, false);
    expect(scale).toEqual({ factor: 65536, steadySteps: 1999 });
    expect(nextLossScale(scale, false)).toEqual({ factor: 131072, steadySteps: 0 });
    expect(nextLossScale({ factor: 2 ** 24, steadySteps: 1999 }, false).factor).toBe(2 ** 24);
  });
});

describe('gradientsOf', () => {
  it('gives the gradients of the loss itself, whatever the scale', async () => {
    const gradients = async (scaled: boolean): Promise<number[]> => {
      const graph = new Graph();
      const [a, b] = [graph.input('a', [4]), graph.input('b', [4])];
      const [gradient] = gradientsOf(graph, mseLoss(graph, a, b), [a], scaled);
      graph.output('gradient', gradient);
      const session = await referenceBackend().open({ states: new Map(), graphs: new Map([['main', graph]]) });
      const inputs = { a: Float32Array.of(1, 2, 3, 4), b: Float32Array.of(1, 1, 1, 0) };
      const { gradient: values } = await session.run('main', {
        ...inputs,
        ...(scaled ? lossScaleInputs({ factor: 1024, steadySteps: 0 }) : {}),
      });
      return [...values];
    };
    expect(await gradients(true)).toEqual([0, 0.5, 1, 2]);
    expect(await gradients(true)).toEqual(await gradients(false));
  });
});
