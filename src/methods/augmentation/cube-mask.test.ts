import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { applyCubeMask, type CubeMaskPlan, sampleCubeMask } from './cube-mask.ts';
import { AWKWARD_SIZES, isSame, meanOf, noiseImage, throughJson } from './testing/images.ts';

const SIZE: Zyx = [32, 40, 24];

/** Whether each cube of a grid is hidden; null where one is only in part. */
function hiddenCubes(mask: Float32Array, size: Zyx, side: number): (boolean | null)[] {
  const grid = size.map((n) => Math.ceil(n / side));
  const cubes: (number | undefined)[] = Array.from({ length: grid[0] * grid[1] * grid[2] });
  mask.forEach((value, i) => {
    const [z, y, x] = [Math.floor(i / (size[1] * size[2])), Math.floor(i / size[2]) % size[1], i % size[2]];
    const cube = (Math.floor(z / side) * grid[1] + Math.floor(y / side)) * grid[2] + Math.floor(x / side);
    cubes[cube] ??= value;
    if (cubes[cube] !== value) cubes[cube] = 0.5;
  });
  return cubes.map((value) => (value === 0.5 ? null : value === 1));
}

describe('cube mask', () => {
  it('hides exactly three quarters of the cubes, whole ones, of 16 voxels a side, or 8 for patches under 64', () => {
    for (const [size, side] of [
      [SIZE, 8],
      [[64, 64, 80], 16],
      [[64, 16, 64], 8],
    ] as [Zyx, number][]) {
      const plan = sampleCubeMask(randomStream(1), size);
      expect(plan.sideVoxels).toBe(side);
      const image = noiseImage(size).map((value) => value + 1);
      const { view, mask } = applyCubeMask(image, size, plan);
      const hidden = hiddenCubes(mask, size, side);
      expect(hidden).not.toContain(null);
      expect(hidden.filter(Boolean).length).toBe(0.75 * hidden.length);
      expect(meanOf(mask)).toBe(0.75);
      expect(view.every((value, i) => value === (mask[i] === 1 ? 0 : image[i]))).toBe(true);
    }
  });

  it('hides every cube as often as any other', () => {
    const counts = new Array<number>(60).fill(0);
    for (let seed = 0; seed < 2000; seed++) {
      const { mask } = applyCubeMask(
        new Float32Array(60),
        [3, 4, 5],
        sampleCubeMask(randomStream(seed), [3, 4, 5], { sideVoxels: 1 }),
      );
      mask.forEach((value, i) => {
        counts[i] += value;
      });
    }
    // standard deviation sqrt(2000 x 0.75 x 0.25) = 19
    for (const count of counts) expect(Math.abs(count - 1500)).toBeLessThan(80);
  });

  it('cuts off the cubes at the far border of a patch that is not a multiple, and hides them as often as whole ones', () => {
    const size: Zyx = [20, 17, 8];
    let [cutOff, voxels] = [0, 0];
    for (let seed = 0; seed < 600; seed++) {
      const { mask } = applyCubeMask(new Float32Array(20 * 17 * 8), size, sampleCubeMask(randomStream(seed), size));
      // 3 x 3 x 1 cubes: 7 of 9 is the nearest to three quarters
      const hidden = hiddenCubes(mask, size, 8);
      expect(hidden.filter(Boolean).length).toBe(7);
      expect(hidden.filter((cube) => cube === false).length).toBe(2);
      if (hidden[8]) cutOff++;
      voxels += meanOf(mask) / 600;
    }
    expect(Math.abs(cutOff / 600 - 7 / 9)).toBeLessThan(0.05);
    expect(Math.abs(voxels - 7 / 9)).toBeLessThan(0.01);
  });

  it('is the same again from the seed, and from the plan after JSON; the image given is left alone; any size will do', () => {
    for (const size of [SIZE, ...AWKWARD_SIZES]) {
      const image = noiseImage(size);
      const plan = sampleCubeMask(randomStream(8, 'a'), size);
      const masked = applyCubeMask(image, size, plan);
      expect(isSame(image, noiseImage(size))).toBe(true);
      expect(sampleCubeMask(randomStream(8, 'a'), size)).toEqual(plan);
      const again = applyCubeMask(image, size, throughJson(plan));
      expect(isSame(again.view, masked.view) && isSame(again.mask, masked.mask)).toBe(true);
      expect(masked.mask.includes(1)).toBe(true);
    }
    const other = sampleCubeMask(randomStream(8, 'b'), SIZE);
    expect(applyCubeMask(noiseImage(SIZE), SIZE, other).mask).not.toEqual(
      applyCubeMask(noiseImage(SIZE), SIZE, sampleCubeMask(randomStream(8, 'a'), SIZE)).mask,
    );
  });

  it('says what it expected', () => {
    const stream = randomStream(1);
    const plan: CubeMaskPlan = { sideVoxels: 8, hidden: 61, seed: 1 };
    expect(() => sampleCubeMask(stream, SIZE, { share: 0 })).toThrow('expected a share in (0, 1], got 0');
    expect(() => sampleCubeMask(stream, SIZE, { sideVoxels: 2.5 })).toThrow(
      'expected a side of whole voxels, at least 1, got 2.5',
    );
    expect(() => applyCubeMask(noiseImage(SIZE), SIZE, plan)).toThrow('at most 60 hidden cubes for shape [32, 40, 24], got 61');
    expect(() => applyCubeMask(new Float32Array(5), [1, 2, 3], plan)).toThrow('expected 6 values for shape [1, 2, 3], got 5');
  });
});
