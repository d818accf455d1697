import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { addNoise, sampleNoise } from './noise.ts';
import { AWKWARD_SIZES, deviationOf, isSame, meanOf, noiseImage, throughJson } from './testing/images.ts';

const SIZE: Zyx = [24, 40, 32];

describe('noise', () => {
  it('has a standard deviation drawn from the range of the specification, evenly', () => {
    const deviations = Array.from({ length: 4000 }, (_, i) => sampleNoise(randomStream(i, 'noise')).deviation);
    expect(Math.min(...deviations)).toBeGreaterThanOrEqual(0.05);
    expect(Math.max(...deviations)).toBeLessThan(0.2);
    for (let k = 0; k < 5; k++) {
      const inFifth = deviations.filter((d) => d >= 0.05 + 0.03 * k && d < 0.05 + 0.03 * (k + 1)).length;
      expect(Math.abs(inFifth - 800)).toBeLessThan(120);
    }
    expect(sampleNoise(randomStream(1), { deviation: [0.3, 0.3] }).deviation).toBe(0.3);
  });

  it('is normal around the image: mean 0, the deviation of the plan, 4.6 % beyond two of them; not clipped', () => {
    const image = noiseImage(SIZE);
    const noisy = addNoise(image, SIZE, { deviation: 0.2, seed: 3 });
    const noise = noisy.map((value, i) => value - image[i]);
    expect(Math.abs(meanOf(noise))).toBeLessThan(0.004);
    expect(Math.abs(deviationOf(noise) - 0.2)).toBeLessThan(0.003);
    expect(Math.abs(noise.filter((value) => Math.abs(value) > 0.4).length / noise.length - 0.0455)).toBeLessThan(0.005);
    expect(Math.min(...noisy)).toBeLessThan(0);
    expect(Math.max(...noisy)).toBeGreaterThan(1);
  });

  it('is the same again from the seed, and from the plan after JSON; the image given is left alone', () => {
    for (const size of [SIZE, ...AWKWARD_SIZES]) {
      const image = noiseImage(size);
      const plan = sampleNoise(randomStream(8, 'a'));
      const noisy = addNoise(image, size, plan);
      expect(isSame(image, noiseImage(size))).toBe(true);
      expect(isSame(noisy, image)).toBe(false);
      expect(sampleNoise(randomStream(8, 'a'))).toEqual(plan);
      expect(sampleNoise(randomStream(8, 'b'))).not.toEqual(plan);
      expect(isSame(addNoise(image, size, throughJson(plan)), noisy)).toBe(true);
    }
  });

  it('says what it expected of an image of another size', () => {
    const plan = sampleNoise(randomStream(1));
    expect(() => addNoise(new Float32Array(5), [1, 2, 3], plan)).toThrow('expected 6 values for shape [1, 2, 3], got 5');
  });
});
