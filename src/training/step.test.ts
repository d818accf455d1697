/** A step against PyTorch: AdamW, clipping, warm-up and decay, by scripts/make-optimizer-goldens.py. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../engine/backend.ts';
import { Graph } from '../engine/graph.ts';
import { accumulate } from '../engine/ops/adam/adam.ts';
import { view } from '../engine/ops/shape/shape.ts';
import { itOnEveryBackend } from '../engine/testing/backends.ts';
import { difference } from '../engine/testing/compare.ts';
import { openSafetensors, readSafetensors } from '../model/node/safetensors.ts';
import { STATES } from '../model/optimizer.ts';
import { rangesOf, tableOf, valuesOf } from '../model/parameters.ts';
import type { NamedTensor } from '../model/safetensors.ts';
import { trainingProgramOf } from '../model/training-program.ts';
import { AVERAGE, withAverage } from '../model/weight-average.ts';
import { learningRateOf, trainStep, updateRuleOf } from './step.ts';

const GOLDEN = fileURLToPath(new URL('../../test/goldens/optimizer.safetensors', import.meta.url));
const NAMES = ['bias', 'weight'] as const;
/** The bias first, as it lies behind the weight: the order of names is not that of the flat tensor. */
const TABLE = tableOf([
  { name: 'bias', shape: [5], start: { kind: 'constant', value: 0 } },
  { name: 'weight', shape: [5, 7], start: { kind: 'constant', value: 0 } },
]);

let tensors: ReadonlyMap<string, NamedTensor>;
let settings: { steps: number; learningRate: number; learningRateDecaySteps: number; learningRateEnd: number } & Record<
  'warmupSteps' | 'weightDecay' | 'gradientClip' | 'emaDecay',
  number
>;
const golden = (name: string): Float32Array => tensors.get(name)!.data;
const flatOf = (prefix: string): Float32Array => {
  const flat = new Float32Array(TABLE.flatLength);
  for (const parameter of TABLE.parameters) valuesOf(flat, parameter).set(golden(`${prefix}.${parameter.name}`));
  return flat;
};

beforeAll(async () => {
  ({ tensors } = await readSafetensors(GOLDEN));
  const file = await openSafetensors(GOLDEN);
  settings = Object.fromEntries(
    Object.entries(file.metadata).map(([name, text]) => [name, Number(text)]),
  ) as unknown as typeof settings;
  await file.close();
});

/** 'gradient' adds its input to the gradients. */
function program(batch: number) {
  const graph = new Graph();
  const flat = graph.state(STATES.gradients, [TABLE.flatLength]);
  for (const { name, shape, offset } of TABLE.parameters)
    accumulate(graph, view(graph, flat, offset, shape), graph.input(name, shape), 1 / batch);
  return withAverage(trainingProgramOf(TABLE, { gradient: graph }), TABLE, TABLE.parameters);
}

describe('a step', () => {
  const itIsPyTorchs = async (backend: Backend, batch: number, accumulate: number): Promise<void> => {
    const session = await backend.open(program(batch));
    for (const name of [STATES.parameters, AVERAGE]) await session.writeState(name, flatOf('before'));
    for (let step = 0; step < settings.steps; step++) {
      const samples = [0, 1].map((sample) =>
        Object.fromEntries(NAMES.map((name) => [name, golden(`gradient.${step}.${sample}.${name}`)])),
      );
      const gradient = async (sample: Record<string, Float32Array>) => {
        await session.run('gradient', sample);
        return { 'loss.total': Float32Array.of(0) };
      };
      const rule = updateRuleOf({ ...settings, accumulate }, step);
      expect(rule.learningRate).toBeCloseTo(golden('rates')[step], 8);
      const { clipFactor, finite } = await trainStep({ session, gradient }, samples, rule, step);
      expect(finite).toBe(true);
      expect(clipFactor).toBeCloseTo(golden('factors')[step], 6);
      // a few roundings of the parameters, and some 1e-5 of a step
      const got = await session.readState(STATES.parameters);
      expect(difference(got, flatOf(`after.${step}`), [TABLE.flatLength], 5e-7)).toBeUndefined();
      const average = await session.readState(AVERAGE);
      expect(difference(average, flatOf(`average.${step}`), [TABLE.flatLength], 5e-7)).toBeUndefined();
    }
    await session.close();
  };
  itOnEveryBackend("is PyTorch's AdamW with clipped gradients, a warm-up, a cosine and an average of the weights", (backend) =>
    itIsPyTorchs(backend, 2, 1),
  );
  itOnEveryBackend('is the same with its batch in two that are accumulated', (backend) => itIsPyTorchs(backend, 1, 2));

  it('decays weights and leaves biases: two ranges of the flat tensor', () => {
    expect(rangesOf(TABLE.parameters)).toEqual([
      { offset: 0, length: 48, decays: true },
      { offset: 48, length: 16, decays: false },
    ]);
    expect(rangesOf(TABLE.parameters.slice(0, 1))).toEqual([{ offset: 48, length: 16, decays: false }]);
  });
});

describe('the learning rate', () => {
  it("warms up and decays as PyTorch's schedulers, also nnU-Net's polynomial, which ends at zero", () => {
    for (let step = 0; step < settings.steps; step++) {
      const polynomial = { ...settings, learningRateDecay: 'polynomial' as const, learningRateEnd: 0 };
      expect(learningRateOf(polynomial, step)).toBeCloseTo(golden('rates.polynomial')[step], 8);
    }
    expect(learningRateOf({ ...settings, learningRateEnd: 0 }, 1000)).toBe(0);
  });

  it('is constant where nothing else is said', () => {
    for (const step of [0, 1, 1e6]) expect(learningRateOf({ learningRate: 0.1, learningRateDecaySteps: 0 }, step)).toBe(0.1);
  });
});
