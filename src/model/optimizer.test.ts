import { expect, it } from 'vitest';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import type { Shape } from '../engine/graph.ts';
import { adamStep } from '../engine/ops/adam/adam.ts';
import { partOf, STATES, updateGraph } from './optimizer.ts';
import { tableOf, valuesOf } from './parameters.ts';

const START = { kind: 'constant', value: 1 } as const;
const TABLE = tableOf([
  { name: 'unet.a.weight', shape: [2, 3], start: START },
  { name: 'fc_rot.weight', shape: [3, 2], start: START },
  { name: 'fc_rot.bias', shape: [3], start: START },
  { name: 'out_flow.bias', shape: [3], start: START },
]);

it('moves a part of the parameters at a multiple of the rate, decay and all', async () => {
  const [learningRate, weightDecay, factor] = [0.125, 0.5, 3];
  const session = await referenceBackend().open({
    states: new Map(Object.values(STATES).map((name) => [name, [TABLE.flatLength] as Shape])),
    graphs: new Map([
      ['update', updateGraph(TABLE, TABLE.parameters, (parameter) => (partOf(parameter) === 'affine' ? factor : 1))],
    ]),
  });
  await session.writeState(STATES.parameters, new Float32Array(TABLE.flatLength).fill(1));
  await session.writeState(STATES.gradients, new Float32Array(TABLE.flatLength).fill(2));
  await session.run('update', { step: adamStep(learningRate, 1, { weightDecay }) });
  const found = await session.readState(STATES.parameters);
  for (const parameter of TABLE.parameters) {
    const rate = learningRate * (partOf(parameter) === 'affine' ? factor : 1);
    const kept = parameter.shape.length > 1 ? 1 - rate * weightDecay : 1;
    // Adam's first step is the rate, whatever the gradient
    expect(valuesOf(found, parameter)[0], parameter.name).toBeCloseTo(kept - rate, 5);
  }
  expect((await session.readState(STATES.gradients)).every((value) => value === 0)).toBe(true);
});
