import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { applyHoles, sampleHoles } from './holes.ts';
import { AWKWARD_SIZES, inUnit, isSame, meanOf, noiseImage, throughJson } from './testing/images.ts';

const SIZE: Zyx = [24, 40, 32];

describe('holes', () => {
  it('cover a quarter of the volume, and no more than the last box beyond it', () => {
    for (let seed = 0; seed < 40; seed++) {
      const plan = sampleHoles(randomStream(seed), SIZE);
      const { mask } = applyHoles(noiseImage(SIZE), SIZE, plan);
      const covered = meanOf(mask);
      expect(covered).toBeGreaterThanOrEqual(1 / 4);
      expect(covered).toBeLessThan(1 / 4 + 1 / 64);
      const { mask: before } = applyHoles(noiseImage(SIZE), SIZE, { ...plan, boxes: plan.boxes.slice(0, -1) });
      expect(meanOf(before)).toBeLessThan(1 / 4);
    }
  });

  it('have sides of an eighth to a quarter, evenly, anywhere in the volume', () => {
    const boxes = Array.from({ length: 60 }, (_, seed) => sampleHoles(randomStream(seed, 'sides'), SIZE).boxes).flat();
    [
      [3, 6],
      [5, 10],
      [4, 8],
    ].forEach(([least, most], axis) => {
      const counts = new Map<number, number>();
      for (const { size } of boxes) counts.set(size[axis], (counts.get(size[axis]) ?? 0) + 1);
      expect([...counts.keys()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: most - least + 1 }, (_, i) => least + i));
      const expected = boxes.length / (most - least + 1);
      for (const count of counts.values()) expect(Math.abs(count / expected - 1)).toBeLessThan(0.3);
      expect(Math.min(...boxes.map(({ start }) => start[axis]))).toBe(0);
      expect(Math.max(...boxes.map(({ start, size }) => start[axis] + size[axis]))).toBe(SIZE[axis]);
    });
  });

  it('hold uniform noise; what lies outside them is the image', () => {
    const image = new Float32Array(voxelCount(SIZE)).fill(-1);
    const { view, mask } = applyHoles(image, SIZE, sampleHoles(randomStream(3), SIZE));
    expect(view.every((value, i) => (mask[i] === 1 ? value >= 0 && value < 1 : mask[i] === 0 && value === -1))).toBe(true);
    const inside = view.filter((_, i) => mask[i] === 1);
    for (let k = 0; k < 4; k++) {
      const quarter = inside.filter((value) => value >= k / 4 && value < (k + 1) / 4).length;
      expect(Math.abs(quarter / inside.length - 0.25)).toBeLessThan(0.02);
    }
  });

  it('are the same again from the seed, and from the plan after JSON; the image given is left alone; any size will do', () => {
    for (const size of [SIZE, ...AWKWARD_SIZES]) {
      const image = noiseImage(size);
      const plan = sampleHoles(randomStream(8, 'a'), size);
      const holes = applyHoles(image, size, plan);
      expect(isSame(image, noiseImage(size))).toBe(true);
      expect(sampleHoles(randomStream(8, 'a'), size)).toEqual(plan);
      const again = applyHoles(image, size, throughJson(plan));
      expect(isSame(again.view, holes.view) && isSame(again.mask, holes.mask)).toBe(true);
      expect(inUnit(holes.view)).toBe(true);
      expect(meanOf(holes.mask)).toBeGreaterThanOrEqual(0.25);
    }
    expect(JSON.stringify(sampleHoles(randomStream(1), [128, 128, 128])).length).toBeLessThan(10_000);
  });

  it('can be larger or more, and say what they expected', () => {
    const plan = sampleHoles(randomStream(1), SIZE, { coverage: 0.6, shares: [0.5, 0.5] });
    expect(plan.boxes[0].size).toEqual([12, 20, 16]);
    expect(meanOf(applyHoles(noiseImage(SIZE), SIZE, plan).mask)).toBeGreaterThanOrEqual(0.6);
    expect(() => sampleHoles(randomStream(1), SIZE, { coverage: 1 })).toThrow('expected a coverage in (0, 1), got 1');
    expect(() => applyHoles(new Float32Array(5), [1, 2, 3], plan)).toThrow('expected 6 values for shape [1, 2, 3], got 5');
  });
});
