import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { AWKWARD_SIZES, inUnit, isSame, noiseImage, throughJson } from './testing/images.ts';
import { applyFusion, sampleFusion } from './volume-fusion.ts';

const SIZE: Zyx = [24, 40, 32];

describe('volume fusion', () => {
  it('is k/K a + (1 - k/K) b in its boxes, the later ones on top, and b outside', () => {
    const [a, b] = [new Float32Array(20).fill(1), new Float32Array(20)];
    const { fused, classes } = applyFusion(a, b, [1, 4, 5], {
      levels: 4,
      boxes: [
        { start: [0, 0, 0], size: [1, 2, 3], k: 3 },
        { start: [0, 1, 2], size: [1, 2, 2], k: 1 },
      ],
    });
    // biome-ignore format: four rows
    expect([...classes]).toEqual([
      3, 3, 3, 0, 0,
      3, 3, 1, 1, 0,
      0, 0, 1, 1, 0,
      0, 0, 0, 0, 0,
    ]);
    expect([...fused]).toEqual([...classes].map((k) => k / 4));
  });

  it('has ten to forty boxes of an eighth to a third of a side, and all k but 0 equally often', () => {
    const plans = Array.from({ length: 500 }, (_, i) => sampleFusion(randomStream(i, 'fusion'), SIZE));
    const counts = plans.map(({ boxes }) => boxes.length);
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([10, 40]);
    expect(Math.abs(counts.reduce((sum, n) => sum + n) / 500 - 25)).toBeLessThan(1.5);
    const boxes = plans.flatMap((plan) => plan.boxes);
    [
      [3, 8],
      [5, 13],
      [4, 10],
    ].forEach(([least, most], axis) => {
      const sides = boxes.map(({ size }) => size[axis]);
      expect([Math.min(...sides), Math.max(...sides)]).toEqual([least, most]);
      expect(Math.max(...boxes.map(({ start, size }) => start[axis] + size[axis]))).toBe(SIZE[axis]);
    });
    for (const k of [1, 2, 3, 4]) {
      expect(Math.abs(boxes.filter((box) => box.k === k).length / boxes.length - 0.25)).toBeLessThan(0.02);
    }
    // all five classes are there, and none is rare
    const classes = plans.slice(0, 30).map((plan) => applyFusion(noiseImage(SIZE), noiseImage(SIZE), SIZE, plan).classes);
    for (let k = 0; k <= 4; k++) {
      const share = classes.reduce((sum, one) => sum + one.filter((value) => value === k).length / one.length / 30, 0);
      expect(share).toBeGreaterThan(0.05);
    }
  });

  it('shows a where k is K and b where it is 0, bit by bit, and stays in [0, 1]', () => {
    const [a, b] = [noiseImage(SIZE, 1), noiseImage(SIZE, 2)];
    const { fused, classes } = applyFusion(a, b, SIZE, sampleFusion(randomStream(3), SIZE));
    expect(fused.every((value, i) => classes[i] !== 4 || value === a[i])).toBe(true);
    expect(fused.every((value, i) => classes[i] !== 0 || value === b[i])).toBe(true);
    expect(classes).toContain(4);
    const ones = new Float32Array(voxelCount(SIZE)).fill(1);
    const thirds = applyFusion(ones, ones, SIZE, sampleFusion(randomStream(3), SIZE, { levels: 3 }));
    expect(isSame(thirds.fused, ones)).toBe(true);
    expect(Math.max(...thirds.classes)).toBe(3);
  });

  it('is the same again from the seed, and from the plan after JSON; the crops given are left alone; any size will do', () => {
    for (const size of [SIZE, ...AWKWARD_SIZES]) {
      const [a, b] = [noiseImage(size, 1), noiseImage(size, 2)];
      const plan = sampleFusion(randomStream(8, 'a'), size);
      const fusion = applyFusion(a, b, size, plan);
      expect(isSame(a, noiseImage(size, 1)) && isSame(b, noiseImage(size, 2))).toBe(true);
      expect(sampleFusion(randomStream(8, 'a'), size)).toEqual(plan);
      expect(sampleFusion(randomStream(8, 'b'), size)).not.toEqual(plan);
      const again = applyFusion(a, b, size, throughJson(plan));
      expect(isSame(again.fused, fusion.fused) && isSame(again.classes, fusion.classes)).toBe(true);
      expect(inUnit(fusion.fused)).toBe(true);
    }
  });

  it('says what it expected', () => {
    const plan = sampleFusion(randomStream(1), [1, 2, 3]);
    expect(() => sampleFusion(randomStream(1), SIZE, { levels: 256 })).toThrow('expected 1 to 255 levels, got 256');
    expect(() => applyFusion(new Float32Array(6), new Float32Array(5), [1, 2, 3], plan)).toThrow(
      'expected 6 values for shape [1, 2, 3], got 5',
    );
  });
});
