import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import type { Backend } from '../../engine/backend.ts';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { ALL_HEADS, type Architecture } from '../../model/architecture.ts';
import { STATES } from '../../model/optimizer.ts';
import { initialParameters } from '../../model/parameters.ts';
import { nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { type LossOptions, PAPER_LOSS, trainingProgram } from './program.ts';

const ARCHITECTURE: Architecture = { widths: Array(9).fill(8), affineHidden: 8, flowHidden: 8, heads: ALL_HEADS };
const SIZE: Zyx = [9, 10, 11];
const VOXELS = voxelCount(SIZE);

/** A smooth image, so that it differs little between neighbouring places. */
function image(name: string): Float32Array {
  const random = randomStream(3, name);
  const [a, b, c] = [0, 1, 2].map(() => random.uniform(0.3, 0.9));
  return Float32Array.from({ length: VOXELS }, (_, i) => {
    const [z, y, x] = [Math.floor(i / (SIZE[1] * SIZE[2])), Math.floor(i / SIZE[2]) % SIZE[1], i % SIZE[2]];
    return 0.5 + 0.2 * Math.sin(a * z + b * y) + 0.2 * Math.cos(c * x - b * z);
  });
}
const [A, B] = [image('a'), image('b')];
const { table: TABLE } = trainingProgram({ architecture: ARCHITECTURE, loss: PAPER_LOSS, size: SIZE, samples: 1, batch: 1 });
const START = initialParameters(TABLE, 1);
const noise = (name: string, scale: number): Float32Array => {
  const random = randomStream(5, name);
  return Float32Array.from({ length: START.length }, () => random.normal() * scale);
};
const sum = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value + b[i]);
/** With an affine and a flow that are not the identity. */
const PARAMETERS = sum(START, noise('start', 0.05));

/** A step's losses, what the network makes of the pair, and gradients. */
async function step(
  loss: Partial<LossOptions>,
  {
    moving = A,
    fixed = B,
    parameters = PARAMETERS,
    backend = nodeCpuBackend(1),
  }: { moving?: Float32Array; fixed?: Float32Array; parameters?: Float32Array; backend?: Backend } = {},
): Promise<{ readonly out: Readonly<Record<string, Float32Array>>; readonly gradients: Float32Array }> {
  const options = { architecture: ARCHITECTURE, loss: { ...PAPER_LOSS, ...loss }, size: SIZE, samples: 1, batch: 1 };
  const session = await backend.open(trainingProgram(options, true).program);
  await session.writeState(STATES.parameters, parameters);
  const out = await session.run('gradient', { movingView: moving, moving, fixed });
  const gradients = await session.readState(STATES.gradients);
  await session.close();
  return { out, gradients };
}
const value = (out: Readonly<Record<string, Float32Array>>, name: string): number => out[`loss.${name}`][0];

describe('losses beyond the paper', () => {
  const SWITCHES: readonly [string, Partial<LossOptions>, readonly [name: string, weight: number][]][] = [
    ['wide windows', { wideNccWeight: 0.5 }, [['wideNcc', 0.5]]],
    ['features', { featuresWeight: 0.3 }, [['features', 0.3]]],
    [
      'the other way',
      { reverseWeight: 0.5, smoothWeight: 3 },
      [
        ['reverseNcc', 0.5],
        ['reverseSmooth', 1.5],
      ],
    ],
    ['inverse consistency', { inverseWeight: 0.2 }, [['inverse', 0.2]]],
  ];
  it.each(SWITCHES)('%s: add to the total and change no other loss', async (_, loss, added) => {
    const { smoothWeight = 1 } = loss;
    const [plain, { out }] = [(await step({ smoothWeight })).out, await step(loss)];
    for (const name of ['ncc', 'smooth', 'mse']) expect(value(out, name)).toBe(value(plain, name));
    let total = value(plain, 'total');
    for (const [name, weight] of added) {
      expect(value(out, name)).toBeGreaterThan(1e-4);
      total += weight * value(out, name);
    }
    expect(value(out, 'total')).toBeCloseTo(total, 6);
  });

  it('the other way is the pair the other way round', async () => {
    const { out } = await step({ reverseWeight: 1 });
    const swapped = (await step({}, { moving: B, fixed: A })).out;
    expect(value(out, 'reverseNcc')).toBeCloseTo(value(swapped, 'ncc'), 6);
    expect(value(out, 'reverseSmooth')).toBeCloseTo(value(swapped, 'smooth'), 6);
  });

  it('inverse consistency is the distance between where a voxel starts and where it ends, there and back', async () => {
    const there = (await step({ inverseWeight: 1 })).out;
    const back = (await step({}, { moving: B, fixed: A })).out['out.dvf'];
    const field = there['out.dvf'];
    const at = (z: number, y: number, x: number): number => (z * SIZE[1] + y) * SIZE[2] + x;
    let [distance, counted] = [0, 0];
    for (let i = 0; i < VOXELS; i++) {
      const p = [Math.floor(i / (SIZE[1] * SIZE[2])), Math.floor(i / SIZE[2]) % SIZE[1], i % SIZE[2]];
      const q = p.map((place, k) => place + field[k * VOXELS + i]);
      if (q.some((place, k) => place < 0 || place > SIZE[k] - 1)) continue;
      counted++;
      const low = q.map((place, k) => Math.min(Math.floor(place), SIZE[k] - 2));
      for (let k = 0; k < 3; k++) {
        let reverse = 0;
        for (let n = 0; n < 8; n++) {
          const corner = [low[0] + (n >> 2), low[1] + ((n >> 1) & 1), low[2] + (n & 1)];
          const weight = corner.reduce((product, place, axis) => product * (1 - Math.abs(q[axis] - place)), 1);
          reverse += weight * back[k * VOXELS + at(corner[0], corner[1], corner[2])];
        }
        distance += (q[k] + reverse - p[k]) ** 2;
      }
    }
    expect(counted).toBeGreaterThan(VOXELS / 4);
    expect(value(there, 'inverse') / (distance / counted)).toBeCloseTo(1, 4);
  });

  it('features of an image that is laid onto itself are the same', async () => {
    const parameters = PARAMETERS.slice();
    for (const { name, offset, shape } of TABLE.parameters)
      if (/^(out_flow|fc_)/.test(name))
        parameters.fill(0, offset, offset + shape.reduce((product, length) => product * length, 1));
    const losses = async (fixed: Float32Array): Promise<number> =>
      value((await step({ featuresWeight: 1 }, { fixed, parameters })).out, 'features');
    expect(await losses(A)).toBeLessThan(0.01);
    expect(await losses(B)).toBeGreaterThan(0.1);
  });

  it('have the gradients that central differences give', async () => {
    const loss = { wideNccWeight: 0.5, featuresWeight: 0.3, reverseWeight: 0.5, inverseWeight: 0.02 };
    // in double precision
    const backend = referenceBackend();
    const { gradients } = await step(loss, { backend });
    const direction = noise('direction', 1);
    // small: voxels that cross the border change the mean of the inverse distance by a jump
    const size = 3e-6;
    const at = async (sign: number): Promise<number> => {
      const parameters = PARAMETERS.map((parameter, i) => parameter + sign * size * direction[i]);
      return value((await step(loss, { parameters, backend })).out, 'total');
    };
    const slope = ((await at(1)) - (await at(-1))) / (2 * size);
    const expected = gradients.reduce((total, gradient, i) => total + gradient * direction[i], 0);
    expect(Math.abs(slope / expected - 1)).toBeLessThan(0.02);
  });
});
