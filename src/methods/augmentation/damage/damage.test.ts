import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { voxelCount, type Zyx } from '../../../geometry/volume.ts';
import { sampleBox, sideOfShare } from './box.ts';
import { applyDamage, type DamagePlan, sampleDamage } from './damage.ts';
import { inPaint } from './in-painting.ts';
import { changeIntensity, intensityTable, sampleIntensity } from './intensity-curve.ts';
import { shuffleBox, shuffleLocally } from './local-shuffling.ts';

const SIZE: Zyx = [24, 40, 32];
const numbered = (size: Zyx): Float32Array => Float32Array.from({ length: voxelCount(size) }, (_, i) => i);
const noise = (size: Zyx): Float32Array => {
  const stream = randomStream(1, 'test-image');
  return Float32Array.from({ length: voxelCount(size) }, () => stream.uniform());
};
const NOTHING: DamagePlan = { shuffling: null, intensity: null, inPainting: null };

describe('local shuffling', () => {
  it('permutes the voxels of a box and leaves all others', () => {
    const image = numbered([3, 4, 5]);
    const box = { start: [1, 1, 2], size: [2, 2, 3] } as const;
    shuffleBox(randomStream(1), image, [3, 4, 5], box);
    const inside = (i: number): boolean => i >= 20 && i % 20 >= 5 && i % 20 < 15 && i % 5 >= 2;
    const before = [...numbered([3, 4, 5])];
    expect([...image].filter((_, i) => !inside(i))).toEqual(before.filter((i) => !inside(i)));
    const shuffled = [...image].filter((_, i) => inside(i));
    expect(shuffled).not.toEqual(before.filter(inside));
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(before.filter(inside));
  });

  it('gives each box a permutation of its own', () => {
    const stream = randomStream(5);
    const orders = Array.from({ length: 20 }, () => {
      const image = numbered([3, 3, 3]);
      shuffleBox(stream, image, [3, 3, 3], { start: [0, 0, 0], size: [3, 3, 3] });
      return image.join();
    });
    expect(new Set(orders).size).toBe(20);
  });

  it('makes every order of a box equally likely', () => {
    const stream = randomStream(6);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const image = Float32Array.of(0, 1, 2);
      shuffleBox(stream, image, [1, 1, 3], { start: [0, 0, 0], size: [1, 1, 3] });
      counts.set(image.join(), (counts.get(image.join()) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('keeps the values of the whole volume, of which it moves the share that the boxes cover', () => {
    const image = numbered(SIZE);
    const plan = sampleDamage(randomStream(2), SIZE, { shufflingProbability: 1, shufflingBoxes: 300 }).shuffling!;
    shuffleLocally(image, SIZE, plan);
    expect([...image.toSorted()]).toEqual([...numbered(SIZE)]);
    const moved = image.filter((value, i) => value !== i).length / image.length;
    expect(moved).toBeGreaterThan(0.03);
    expect(moved).toBeLessThan(0.15);
  });

  it('still works below twenty voxels and on axes of one voxel', () => {
    for (const size of [
      [7, 5, 9],
      [1, 12, 12],
      [1, 1, 3],
      [1, 1, 1],
    ] as Zyx[]) {
      const image = numbered(size);
      const damaged = applyDamage(image, size, {
        ...NOTHING,
        shuffling: sampleDamage(randomStream(3), size, { shufflingProbability: 1 }).shuffling,
      });
      expect([...damaged.toSorted()]).toEqual([...image]);
      if (image.length > 2) expect(damaged).not.toEqual(image);
    }
  });

  it('takes sides of two voxels to a twentieth of the size', () => {
    const plan = sampleDamage(randomStream(2), [96, 128, 30], { shufflingProbability: 1 }).shuffling!;
    expect(plan).toMatchObject({ boxes: 5000, least: [2, 2, 2], most: [4, 6, 2] });
  });
});

describe('random boxes', () => {
  it('have every side that is allowed and never leave the volume', () => {
    const stream = randomStream(4);
    const sides = { least: sideOfShare(SIZE, 0.1, 1), most: sideOfShare(SIZE, 0.2, 1) };
    const seen = new Set<number>();
    for (let i = 0; i < 2000; i++) {
      const { start, size } = sampleBox(stream, SIZE, sides);
      seen.add(size[1]);
      for (let axis = 0; axis < 3; axis++) {
        expect(start[axis]).toBeGreaterThanOrEqual(0);
        expect(start[axis] + size[axis]).toBeLessThanOrEqual(SIZE[axis]);
      }
    }
    expect([...seen].toSorted()).toEqual([4, 5, 6, 7, 8]);
  });
});

describe('intensity curve', () => {
  it('is the identity for control points on the diagonal at thirds', () => {
    const third = 1 / 3;
    const table = intensityTable({
      points: [
        [third, third],
        [2 * third, 2 * third],
      ],
    });
    for (let i = 0; i <= 4096; i += 64) expect(table[i]).toBeCloseTo(i / 4096, 12);
  });

  it('meets the curve: control points (1, 0) and (0, 1) give (1/2, 1/2) and, at t = 1/4, (7/16, 5/32)', () => {
    const table = intensityTable({
      points: [
        [1, 0],
        [0, 1],
      ],
    });
    expect(table[4096 * (7 / 16)]).toBeCloseTo(5 / 32, 6);
    // Here the curve is vertical, so that a step of the table in x is a wide one in y.
    expect(Math.abs(table[2048] - 0.5)).toBeLessThan(0.05);
  });

  it('is monotone from (0, 0) to (1, 1) for any control points', () => {
    const stream = randomStream(9);
    for (let i = 0; i < 200; i++) {
      const table = intensityTable(sampleIntensity(stream));
      expect([table[0], table[4096]]).toEqual([0, 1]);
      expect(table.every((value, entry) => entry === 0 || value >= table[entry - 1])).toBe(true);
    }
    const corners = [0, 1].flatMap((a) => [0, 1].map((b) => [a, b] as const));
    for (const first of corners) {
      for (const second of corners) {
        const table = intensityTable({ points: [first, second] });
        expect(table.every((value, entry) => Number.isFinite(value) && (entry === 0 || value >= table[entry - 1]))).toBe(true);
      }
    }
  });

  it('keeps the order of voxels and takes the end values outside [0, 1]', () => {
    const image = Float32Array.of(-3, 0, 0.2, 0.4, 0.9, 1, 7);
    changeIntensity(image, {
      points: [
        [0.1, 0.8],
        [0.3, 0.9],
      ],
    });
    expect([image[0], image[1], image[5], image[6]]).toEqual([0, 0, 1, 1]);
    expect([...image]).toEqual([...image.toSorted()]);
    expect(image[2]).toBeGreaterThan(0.5);
  });
});

describe('in-painting', () => {
  it('fills exactly its boxes, with uniform noise', () => {
    const image = new Float32Array(voxelCount(SIZE)).fill(-1);
    inPaint(image, SIZE, { boxes: [{ start: [2, 3, 4], size: [5, 6, 7] }], seed: 3 });
    const filled = image.filter((value) => value >= 0);
    expect(filled.length).toBe(5 * 6 * 7);
    expect(filled.every((value) => value < 1)).toBe(true);
    expect(filled.reduce((a, b) => a + b) / filled.length).toBeCloseTo(0.5, 1);
    expect(image[(2 * 40 + 3) * 32 + 4]).toBeGreaterThanOrEqual(0);
    expect(image[(2 * 40 + 3) * 32 + 3]).toBe(-1);
  });

  it('draws as many boxes as thirty chances of 0.95 give: 14.9 on average', () => {
    const counts = Array.from({ length: 2000 }, (_, i) => sampleDamage(randomStream(i), SIZE).inPainting?.boxes.length ?? 0);
    const mean = counts.reduce((a, b) => a + b) / counts.length;
    const expected = (0.95 * (1 - 0.95 ** 30)) / 0.05;
    expect(Math.abs(mean - expected)).toBeLessThan(0.7);
    expect(Math.max(...counts)).toBe(30);
    expect(counts.filter((count) => count === 0).length / 2000).toBeCloseTo(0.05, 1);
  });
});

describe('damage', () => {
  it('has the probabilities of the specification', () => {
    const plans = Array.from({ length: 4000 }, (_, i) => sampleDamage(randomStream(i, 'plans'), SIZE));
    const share = (of: (plan: DamagePlan) => unknown): number => plans.filter(of).length / plans.length;
    expect(Math.abs(share((plan) => plan.shuffling) - 0.8)).toBeLessThan(0.025);
    expect(Math.abs(share((plan) => plan.intensity) - 0.9)).toBeLessThan(0.02);
    expect(Math.abs(share((plan) => plan.inPainting) - 0.95)).toBeLessThan(0.015);
  });

  it('can be switched off part by part', () => {
    const off = { shufflingProbability: 0, intensityProbability: 0, inPaintingProbability: 0 };
    expect(sampleDamage(randomStream(1), SIZE, off)).toEqual(NOTHING);
    expect(applyDamage(noise(SIZE), SIZE, NOTHING)).toEqual(noise(SIZE));
  });

  it('is the same again from the seed, and from the plan after JSON; the image given is left alone', () => {
    const image = noise(SIZE);
    const plan = sampleDamage(randomStream(8, 'a'), SIZE);
    const damaged = applyDamage(image, SIZE, plan);
    expect(image).toEqual(noise(SIZE));
    expect(damaged).not.toEqual(image);
    expect(sampleDamage(randomStream(8, 'a'), SIZE)).toEqual(plan);
    expect(sampleDamage(randomStream(8, 'b'), SIZE)).not.toEqual(plan);
    expect(applyDamage(image, SIZE, JSON.parse(JSON.stringify(plan)))).toEqual(damaged);
    expect(JSON.stringify(plan).length).toBeLessThan(5000);
  });

  it('stays in [0, 1] and works on any size', () => {
    for (const size of [
      [1, 1, 1],
      [1, 16, 16],
      [3, 2, 19],
      [33, 20, 21],
    ] as Zyx[]) {
      for (let seed = 0; seed < 20; seed++) {
        const damaged = applyDamage(noise(size), size, sampleDamage(randomStream(seed), size));
        expect(damaged.every((value) => value >= 0 && value <= 1)).toBe(true);
      }
    }
  });

  it('says what it expected of an image of another size', () => {
    expect(() => applyDamage(new Float32Array(5), [1, 2, 3], NOTHING)).toThrow('expected 6 values for shape [1, 2, 3], got 5');
  });
});
