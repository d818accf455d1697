/** The effects: a step in the head, PyTorch's Adam over three steps, and sums of gradients, on every backend. */
import { describe, expect } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import type { Program } from '../../graph.ts';
import { Graph } from '../../graph.ts';
import { itOnEveryBackend } from '../../testing/backends.ts';
import { itRefuses } from '../../testing/checks.ts';
import { difference } from '../../testing/compare.ts';
import { readGoldens } from '../../testing/goldens.ts';
import { view } from '../shape/shape.ts';
import { accumulate, adam, adamStep, movingAverage } from './adam.ts';

const STATES = ['parameters', 'first', 'second', 'gradients'] as const;

/** 'add' adds an input to the gradients, in two pieces with a scale; 'update' is Adam. */
function program(size: number, scale = 1): Program {
  const states = new Map(STATES.map((name) => [name, [size]]));
  const [add, update] = [new Graph(), new Graph()];
  const split = Math.floor(size / 3);
  for (const [name, from, to] of [
    ['head', 0, split],
    ['tail', split, size],
  ] as const) {
    accumulate(add, view(add, add.state('gradients', [size]), from, [to - from]), add.input(name, [to - from]), scale);
  }
  const [parameters, first, second, gradients] = STATES.map((name) => update.state(name, [size]));
  adam(update, [parameters, first, second, gradients], update.input('step', [4]));
  return {
    states,
    graphs: new Map([
      ['add', add],
      ['update', update],
    ]),
  };
}

describe('adam', () => {
  itOnEveryBackend(
    'the first step moves every parameter by the learning rate against its gradient, which is then zero',
    async (backend) => {
      const session = await backend.open(program(3));
      await session.writeState('parameters', Float32Array.of(1, 1, 1));
      await session.writeState('gradients', Float32Array.of(1e-3, -100, 0));
      await session.run('update', { step: adamStep(0.1, 1) });
      expect(difference(await session.readState('parameters'), [0.9, 1.1, 1], [3], 2e-6)).toBeUndefined();
      expect([...(await session.readState('gradients'))]).toEqual([0, 0, 0]);
      await session.close();
    },
  );

  itOnEveryBackend("is PyTorch's for three steps", async (backend) => {
    const goldens = await readGoldens();
    const before = goldens.get('adam.before')!.values;
    const session = await backend.open(program(before.length));
    await session.writeState('parameters', before);
    for (const step of [1, 2, 3]) {
      const gradient = goldens.get(`adam.gradient.${step}`)!.values;
      const split = Math.floor(before.length / 3);
      await session.run('add', { head: gradient.slice(0, split), tail: gradient.slice(split) });
      await session.run('update', { step: adamStep(0.01, step) });
      // Compared as what changed, since the parameters are a hundred times greater.
      const got = (await session.readState('parameters')).map((value, i) => value - before[i]);
      const want = goldens.get(`adam.after.${step}`)!.values.map((value, i) => value - before[i]);
      expect(difference(got, want, [before.length], 2e-5)).toBeUndefined();
    }
    await session.close();
  });

  itOnEveryBackend('weights decay by themselves, and gradients are scaled before they count', async (backend) => {
    const session = await backend.open(program(5));
    await session.writeState('parameters', Float32Array.of(2, 2, 2, 2, 2));
    await session.writeState('gradients', Float32Array.of(0, 8, -8, 0, 0));
    await session.run('update', { step: adamStep(0.1, 1, { weightDecay: 0.5, gradientScale: 0.25 }) });
    expect(difference(await session.readState('parameters'), [1.9, 1.8, 2, 1.9, 1.9], [5], 2e-6)).toBeUndefined();
    expect(difference(await session.readState('first'), [0, 0.2, -0.2, 0, 0], [5], 2e-6)).toBeUndefined();
    await session.close();
  });

  itOnEveryBackend('gradients add up over samples, each part at its place', async (backend) => {
    const size = 77;
    const session = await backend.open(program(size, 0.5));
    const random = randomStream(1, 'gradients');
    const [one, two] = [1, 2].map(() => Float32Array.from({ length: size }, () => random.normal()));
    const split = Math.floor(size / 3);
    for (const part of [one, two]) await session.run('add', { head: part.slice(0, split), tail: part.slice(split) });
    expect(
      difference(
        await session.readState('gradients'),
        one.map((value, i) => 0.5 * (value + two[i])),
        [size],
        1e-6,
      ),
    ).toBeUndefined();
    await session.close();
  });

  itOnEveryBackend("follows a state as PyTorch's in-place sum does, each part by its own tau", async (backend) => {
    const goldens = await readGoldens();
    const [before, source] = ['target', 'source'].map((name) => goldens.get(`movingAverage.${name}`)!.values);
    const size = before.length;
    const split = 16;
    const graph = new Graph();
    for (const [name, from, to] of [
      ['first', 0, split],
      ['second', split, size],
    ] as const) {
      const [target, online] = ['target', 'online'].map((state) => view(graph, graph.state(state, [size]), from, [to - from]));
      movingAverage(graph, target, online, graph.input(name, [1]));
    }
    const states = new Map(['target', 'online'].map((state) => [state, [size]]));
    const session = await backend.open({ states, graphs: new Map([['follow', graph]]) });
    await session.writeState('target', before);
    await session.writeState('online', source);
    const taus = { first: Float32Array.of(0.99), second: Float32Array.of(0.5) };
    for (const step of [1, 2]) {
      await session.run('follow', taus);
      const want = goldens.get(`movingAverage.after.${step}`)!.values;
      expect(difference(await session.readState('target'), want, [size], 1e-6)).toBeUndefined();
    }
    await session.run('follow', { first: Float32Array.of(0), second: Float32Array.of(1) });
    const got = await session.readState('target');
    expect(got.slice(0, split)).toEqual(source.slice(0, split));
    expect(
      difference(got.slice(split), goldens.get('movingAverage.after.2')!.values.slice(split), [size - split], 1e-6),
    ).toBeUndefined();
    expect(await session.readState('online')).toEqual(source);
    await session.close();
  });

  itRefuses(
    'moments of another size',
    (graph) =>
      adam(
        graph,
        [graph.state('p', [4]), graph.state('m', [4]), graph.state('v', [5]), graph.state('g', [4])],
        graph.input('s', [4]),
      ),
    'adam: four states of one shape and step [4], got [4], [4], [5], [4], [4]',
  );
  itRefuses(
    'a sum of other values',
    (graph) => accumulate(graph, graph.state('g', [4]), graph.input('v', [5])),
    'accumulate: target [4], values [5]',
  );
  itRefuses(
    'an average of another state',
    (graph) => movingAverage(graph, graph.state('t', [4]), graph.state('s', [5]), graph.input('tau', [1])),
    'movingAverage: target and source of one shape and tau [1], got [4], [5], [1]',
  );
});
