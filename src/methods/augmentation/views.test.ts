import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { sampleCropStart } from './crop-start.ts';
import { flipAxes } from './flips.ts';
import { applyIntensity, blur, lowerResolution, SAME_INTENSITY } from './intensity.ts';
import {
  AWKWARD_SIZES,
  deviationOf,
  inUnit,
  isSame,
  meanOf,
  noiseImage,
  numberedImage,
  shareOf,
  throughJson,
} from './testing/images.ts';
import { applyView, sampleOverlappingStarts, sampleView, sampleViews, type ViewPlan } from './views.ts';

const SIZE: Zyx = [24, 40, 32];
const OFF = {
  spatial: false,
  flipProbability: 0,
  noiseProbability: 0,
  blurProbability: 0,
  brightnessProbability: 0,
  contrastProbability: 0,
  resolutionProbability: 0,
  gammaProbability: 0,
} as const;
const UNCHANGED = sampleView(randomStream(1), SIZE, OFF);

describe('places of views', () => {
  it('lie in the volume and overlap by at least half along each axis, as far apart as that allows', () => {
    const [volume, patch]: [Zyx, Zyx] = [
      [100, 41, 70],
      [40, 31, 64],
    ];
    const apart = [new Set<number>(), new Set<number>(), new Set<number>()];
    const firsts = [new Set<number>(), new Set<number>(), new Set<number>()];
    for (let i = 0; i < 3000; i++) {
      const [a, b] = sampleOverlappingStarts(randomStream(i, 'starts'), volume, patch);
      for (let axis = 0; axis < 3; axis++) {
        expect(Math.min(a[axis], b[axis])).toBeGreaterThanOrEqual(0);
        expect(Math.max(a[axis], b[axis])).toBeLessThanOrEqual(volume[axis] - patch[axis]);
        expect(patch[axis] - Math.abs(a[axis] - b[axis])).toBeGreaterThanOrEqual(patch[axis] / 2);
        apart[axis].add(b[axis] - a[axis]);
        firsts[axis].add(a[axis]);
      }
    }
    // half of 40; all that a volume of 41 leaves to 31; and 70 to 64
    expect(apart.map((set) => [Math.min(...set), Math.max(...set), set.size])).toEqual([
      [-20, 20, 41],
      [-10, 10, 21],
      [-6, 6, 13],
    ]);
    expect(firsts.map((set) => set.size)).toEqual([61, 11, 7]);
  });

  it('are the middle of a volume that is smaller than the patch', () => {
    const [a, b] = sampleOverlappingStarts(randomStream(1), [5, 8, 9], [8, 8, 4]);
    expect([a[0], a[1]]).toEqual([-1, 0]);
    expect([b[0], b[1]]).toEqual([-1, 0]);
    expect(sampleCropStart(randomStream(1), [5, 8, 4], [8, 8, 4])).toEqual([-1, 0, 0]);
  });

  it('can be asked to be the same, or as far apart as may be', () => {
    for (let i = 0; i < 50; i++) {
      const [a, b] = sampleOverlappingStarts(randomStream(i), [50, 60, 70], [20, 20, 20], 1);
      expect(a).toEqual(b);
    }
    expect(() => sampleOverlappingStarts(randomStream(1), SIZE, SIZE, 1.5)).toThrow('expected an overlap in [0, 1], got 1.5');
  });

  it('of a single crop are all equally likely', () => {
    const counts = new Array<number>(5).fill(0);
    for (let i = 0; i < 2000; i++) counts[sampleCropStart(randomStream(i), [14, 10, 10], [10, 10, 10])[0]]++;
    for (const count of counts) expect(Math.abs(count - 400)).toBeLessThan(80);
  });
});

describe('sampleView', () => {
  const plans = Array.from({ length: 4000 }, (_, i) => sampleView(randomStream(i, 'views'), SIZE));

  it('has the probabilities of the specification', () => {
    const expectShare = (holds: (plan: ViewPlan) => unknown, expected: number): void =>
      expect(Math.abs(shareOf(plans, holds) - expected)).toBeLessThan(0.025);
    for (const axis of [0, 1, 2]) expectShare((plan) => plan.flip[axis], 0.5);
    expectShare((plan) => plan.spatial, 1);
    expectShare((plan) => plan.noise, 0.1);
    expectShare((plan) => plan.blurSigmaVoxels !== null, 0.2);
    expectShare((plan) => plan.brightness !== null, 0.15);
    expectShare((plan) => plan.contrast !== null, 0.15);
    expectShare((plan) => plan.resolution !== null, 0.1);
    expectShare((plan) => plan.gamma !== null, 0.3);
    // each by itself
    expectShare((plan) => plan.brightness !== null && plan.contrast !== null, 0.15 ** 2);
  });

  it('fills the ranges of the specification and stays in them', () => {
    const expectRange = (of: (plan: ViewPlan) => number | null | undefined, low: number, high: number): void => {
      const values = plans.flatMap((plan) => of(plan) ?? []);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...values)).toBeLessThan(high);
      expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(0.97 * (high - low));
      expect(Math.abs(meanOf(values) - (low + high) / 2)).toBeLessThan(0.05 * (high - low));
    };
    expectRange((plan) => plan.noise?.deviation, 0, 0.1);
    expectRange((plan) => plan.blurSigmaVoxels, 0.5, 1);
    expectRange((plan) => plan.brightness, 0.75, 1.25);
    expectRange((plan) => plan.contrast, 0.75, 1.25);
    expectRange((plan) => plan.resolution, 0.5, 1);
    expectRange((plan) => plan.gamma, 0.7, 1.5);
  });

  it('leaves the other parts as they were when one is switched off', () => {
    const [all, less] = [0.1, 0].map((noiseProbability) =>
      Array.from({ length: 100 }, (_, i) => ({ ...sampleView(randomStream(i), SIZE, { noiseProbability }), noise: null })),
    );
    expect(all).toEqual(less);
  });
});

describe('applyView', () => {
  const image = noiseImage(SIZE);
  const changed = (plan: Partial<ViewPlan>): Float32Array => applyView(image, SIZE, { ...UNCHANGED, ...plan });

  it('is a copy where nothing is changed', () => {
    expect(UNCHANGED).toMatchObject({ spatial: null, noise: null, gamma: null });
    expect(isSame(changed({}), image)).toBe(true);
    expect(changed({})).not.toBe(image);
  });

  it('changes intensities as it says: brightness from 0, contrast from 1/2, gamma, clipped', () => {
    const expectValues = (view: Float32Array, of: (value: number) => number): void =>
      expect(view.every((value, i) => Math.abs(value - Math.min(1, Math.max(0, of(image[i])))) < 1e-6)).toBe(true);
    expectValues(changed({ brightness: 1.25 }), (v) => 1.25 * v);
    expectValues(changed({ contrast: 0.75 }), (v) => (v - 0.5) * 0.75 + 0.5);
    expectValues(changed({ gamma: 1.5 }), (v) => v ** 1.5);
    expectValues(changed({ brightness: 0.8, contrast: 1.2, gamma: 0.7 }), (v) => Math.max(0, (0.8 * v - 0.5) * 1.2 + 0.5) ** 0.7);
  });

  it('adds noise, and clips it', () => {
    const noisy = applyView(new Float32Array(voxelCount(SIZE)).fill(0.5), SIZE, {
      ...UNCHANGED,
      noise: { deviation: 0.1, seed: 1 },
    });
    expect(Math.abs(deviationOf(noisy) - 0.1)).toBeLessThan(0.003);
    expect(
      applyIntensity(new Float32Array(1000), { ...SAME_INTENSITY, noise: { deviation: 1, seed: 1 } }).every(
        (v) => v >= 0 && v <= 1,
      ),
    ).toBe(true);
  });

  it('mirrors, and moves with the spatial transformation of the plan', () => {
    expect(isSame(changed({ flip: [true, false, true] }), flipAxes(image, SIZE, [true, false, true]))).toBe(true);
    const plan = sampleView(randomStream(3), SIZE, { ...OFF, spatial: { rotationRadians: 0.2 } });
    expect(plan.spatial).not.toBeNull();
    expect(isSame(applyView(image, SIZE, plan), image)).toBe(false);
  });

  it('is the same again from the seed, and from the plan after JSON; in [0, 1]; the image given is left alone; any size will do', () => {
    const all = Object.fromEntries(Object.keys(OFF).flatMap((key) => (key === 'spatial' ? [] : [[key, 0.8]])));
    for (const size of [SIZE, ...AWKWARD_SIZES]) {
      const crop = noiseImage(size);
      for (let seed = 0; seed < 8; seed++) {
        const plan = sampleView(randomStream(seed, 'a'), size, all);
        const view = applyView(crop, size, plan);
        expect(isSame(crop, noiseImage(size))).toBe(true);
        expect(isSame(applyView(crop, size, throughJson(plan)), view)).toBe(true);
        expect(inUnit(view)).toBe(true);
        expect(view.length).toBe(crop.length);
      }
    }
    const plan = sampleViews(randomStream(5, 'a'), [60, 60, 60], SIZE);
    expect(sampleViews(randomStream(5, 'a'), [60, 60, 60], SIZE)).toEqual(plan);
    expect(sampleViews(randomStream(5, 'b'), [60, 60, 60], SIZE)).not.toEqual(plan);
    expect(plan.views[0]).not.toEqual(plan.views[1]);
  });

  it('says what it expected of a crop of another size', () => {
    expect(() => applyView(new Float32Array(5), [1, 2, 3], UNCHANGED)).toThrow('expected 6 values for shape [1, 2, 3], got 5');
    expect(() => flipAxes(new Float32Array(5), [1, 2, 3], [true, true, true])).toThrow('expected 6 values');
  });
});

describe('blur', () => {
  it('is a Gaussian: a point becomes exp(-d^2 / 2 sigma^2), and all of it stays', () => {
    const size: Zyx = [15, 15, 15];
    const point = new Float32Array(voxelCount(size));
    point[(7 * 15 + 7) * 15 + 7] = 1;
    const smooth = blur(point, size, 0.8);
    expect(smooth.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    const centre = smooth[(7 * 15 + 7) * 15 + 7];
    expect(smooth[(7 * 15 + 7) * 15 + 9] / centre).toBeCloseTo(Math.exp(-4 / (2 * 0.64)), 5);
    expect(smooth[(8 * 15 + 6) * 15 + 7] / centre).toBeCloseTo(Math.exp(-2 / (2 * 0.64)), 5);
  });

  it('leaves constants, 1 included, and the image given', () => {
    for (const size of AWKWARD_SIZES) {
      const ones = new Float32Array(voxelCount(size)).fill(1);
      for (const sigma of [0.5, 0.77, 1]) expect(Math.max(...blur(ones, size, sigma))).toBeLessThanOrEqual(1);
      expect(meanOf(blur(ones, size, 1))).toBeCloseTo(1, 6);
      expect(meanOf(lowerResolution(ones, size, 0.6))).toBeCloseTo(1, 6);
    }
    expect(() => blur(new Float32Array(5), [1, 2, 3], 1)).toThrow('expected 6 values for shape [1, 2, 3], got 5');
  });
});

describe('lower resolution', () => {
  it('keeps a ramp but at its ends, loses a checkerboard, and does nothing at a share of 1', () => {
    const size: Zyx = [1, 1, 40];
    const ramp = numberedImage(size).map((value) => value / 39);
    const lower = lowerResolution(ramp, size, 0.5);
    for (let i = 4; i < 36; i++) expect(Math.abs(lower[i] - ramp[i])).toBeLessThan(1e-4);
    const cube: Zyx = [16, 16, 16];
    const checkerboard = Float32Array.from({ length: 4096 }, (_, i) => ((i >> 8) + (i >> 4) + i) % 2);
    expect(deviationOf(lowerResolution(checkerboard, cube, 0.5))).toBeLessThan(0.02);
    expect(lowerResolution(checkerboard, cube, 1)).toEqual(checkerboard);
  });

  it('does not shift: the middle of a symmetric image stays the middle', () => {
    const size: Zyx = [1, 1, 31];
    const peak = Float32Array.from({ length: 31 }, (_, i) => Math.exp(-((i - 15) ** 2) / 20));
    for (const share of [0.5, 0.63, 0.9]) {
      const lower = lowerResolution(peak, size, share);
      const middle = lower.reduce((sum, value, i) => sum + value * i, 0) / lower.reduce((a, b) => a + b);
      expect(middle).toBeCloseTo(15, 3);
    }
  });

  it('says what it expected', () => {
    expect(() => lowerResolution(new Float32Array(6), [1, 2, 3], 0)).toThrow('expected a share in (0, 1], got 0');
    expect(() => lowerResolution(new Float32Array(5), [1, 2, 3], 1)).toThrow('expected 6 values for shape [1, 2, 3], got 5');
  });
});
