/** What the four methods of restoration show the network, ask of it, and count. */
import { describe, expect, it } from 'vitest';
import { denoising } from '../denoising/method.ts';
import { inPainting } from '../in-painting/method.ts';
import { mae } from '../mae/method.ts';
import type { PretrainingMethod } from '../method.ts';
import { modelsGenesis } from '../models-genesis/method.ts';
import type { PretrainingConfiguration } from '../schema-parts.ts';
import { memoryReader, subjectOf } from '../testing/subjects.ts';
import { meanError } from './method.ts';

const SUBJECTS = [subjectOf('a', [16, 16, 16])];
const UPRIGHT = { data: { patch: 16, spatial: { enabled: false } } };

async function exampleOf<Configuration extends PretrainingConfiguration>(
  method: PretrainingMethod<Configuration>,
  given: object = {},
  sample = 0,
) {
  const configuration = method.schema.parse({ ...UPRIGHT, ...given });
  return method.examples(configuration, SUBJECTS, memoryReader)(0, sample);
}
const image = await memoryReader.readCrop(SUBJECTS[0], [0, 0, 0], [16, 16, 16]);
const share = (count: number): number => count / image.length;
const differing = (a: Float32Array, b: Float32Array): number => share(a.filter((value, i) => value !== b[i]).length);

describe('denoising', () => {
  it('shows noise of the strength that is asked for, and asks for the image', async () => {
    const { view, target, mask } = await exampleOf(denoising, { noise: { deviation: [0.1, 0.1] } });
    expect(target).toEqual(image);
    expect(mask).toBeUndefined();
    const square = view.reduce((sum, value, i) => sum + (value - image[i]) ** 2, 0);
    expect(Math.sqrt(share(square))).toBeCloseTo(0.1, 2);
  });
});

describe('in-painting', () => {
  it('shows holes over a quarter of the image; all voxels count, or those of the holes', async () => {
    const all = await exampleOf(inPainting);
    expect(all.mask).toBeUndefined();
    const { view, target, mask } = await exampleOf(inPainting, { loss: { over: 'holes' } });
    expect([view, target]).toEqual([all.view, image]);
    expect(share(mask.reduce((sum, value) => sum + value, 0))).toBeGreaterThanOrEqual(0.25);
    expect(differing(view, image)).toBeCloseTo(share(mask.filter((value) => value === 1).length), 2);
    for (const [i, value] of view.entries()) if (mask[i] === 0) expect(value).toBe(image[i]);
  });
});

describe('Models Genesis', () => {
  it('asks for the flipped image', async () => {
    const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0);
    const flips = new Set<string>();
    for (let sample = 0; sample < 12; sample++) {
      const { view, target, mask } = await exampleOf(modelsGenesis, {}, sample);
      expect(mask).toBeUndefined();
      expect([...target].sort()).toEqual([...image].sort());
      expect(sum(target)).toBeCloseTo(sum(image), 1);
      expect(differing(view, target)).toBeGreaterThan(0);
      flips.add(target.subarray(0, 3).join());
    }
    expect(flips.size).toBeGreaterThan(2);
  });
});

describe('MAE', () => {
  it('shows zeros in three of four cubes, where alone the error counts', async () => {
    const { view, target, mask } = await exampleOf(mae);
    expect(target).toEqual(image);
    expect(share(mask.filter((value) => value === 1).length)).toBe(0.75);
    for (const [i, value] of view.entries()) expect(value).toBe(mask[i] === 1 ? 0 : image[i]);
  });

  it('is compared with hidden voxels that are filled with the mean of the others, channel by channel', () => {
    const of = (...values: number[]): Float32Array => Float32Array.from(values);
    // two channels of four voxels, whose last two are hidden
    const example = {
      view: of(1, 3, 0, 0, 10, 10, 0, 0),
      target: of(1, 3, 2, 4, 10, 10, 7, 10),
      mask: of(0, 0, 1, 1, 0, 0, 1, 1),
    };
    expect(meanError(example, [1, 2, 2])).toBe((0 + 4 + 9 + 0) / 4);
    expect(meanError({ ...example, mask: of(1, 1, 1, 1, 1, 1, 1, 1), view: new Float32Array(8) }, [1, 2, 2])).toBe(
      (1 + 9 + 4 + 16 + 100 + 100 + 49 + 100) / 8,
    );
  });
});

it('transforms the image, not the damage: masks keep straight edges', async () => {
  const { view, mask, target } = await exampleOf(mae, { data: { patch: 16 } });
  expect(differing(target, image)).toBeGreaterThan(0.9);
  expect(share(mask.filter((value) => value === 1).length)).toBe(0.75);
  for (const [i, value] of view.entries()) if (mask[i] === 0) expect(value).toBe(target[i]);
});
