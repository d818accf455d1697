import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { applyAffine, voxelToPhysical } from '../geometry/affine.ts';
import { type Geometry, IDENTITY_3, type Matrix3, toXyz, toZyx, voxelCount, type Xyz, type Zyx } from '../geometry/volume.ts';
import { areaUnderCurve, averagePrecision, thresholdScores } from './classification.ts';
import { type ClassifiedCase, delongArea, delongTest } from './delong.ts';
import { shearedDistances, surfaceDistances } from './distance.ts';
import { overlapsOf, percentileOf, segmentationScores } from './segmentation.ts';
import { bootstrapDifference, bootstrapMean, holm, wilcoxonSignedRank } from './statistics.ts';
import { StructureMeter } from './structures.ts';

type Ellipsoid = readonly [centre: Zyx, radius: Zyx];
/** What SciPy and scikit-learn found: scripts/make-score-goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('./testing/goldens.json', import.meta.url), 'utf8')) as {
  size: Zyx;
  segmentation: {
    spacingMm: Zyx;
    toleranceMm: number;
    predicted: Ellipsoid;
    reference: Ellipsoid;
    scores: Record<string, number>;
  }[];
  classification: ({ scores: number[]; positive: boolean[] } & Record<
    'auc' | 'averagePrecision' | 'sensitivity' | 'specificity' | 'accuracy',
    number
  >)[];
  wilcoxon: { a: number[]; b: number[]; p: number; exact: boolean }[];
  delong: ({ positive: boolean[]; first: number[]; second: number[]; areas: number[]; variances: number[] } & Record<
    'difference' | 'variance' | 'p',
    number
  >)[];
  holm: { p: number[]; adjusted: number[] }[];
  clustered: ({
    positive: boolean[];
    patient: number[];
    first: number[];
    second: number[];
    areas: number[];
    variances: number[];
  } & Record<'difference' | 'variance' | 'p', number>)[];
  patients: { values: number[][]; mean: number; ends: number[]; error: number }[];
};

/** The masks' rule of the script, as label maps of one code. */
function ellipsoid(size: Zyx, [centre, radius]: Ellipsoid, code: number): Uint16Array {
  const out = new Uint16Array(voxelCount(size));
  let i = 0;
  for (let z = 0; z < size[0]; z++)
    for (let y = 0; y < size[1]; y++)
      for (let x = 0; x < size[2]; x++, i++) {
        const r = [z, y, x].reduce((sum, p, k) => sum + ((p - centre[k]) / radius[k]) ** 2, 0);
        const hole = (7 * z + 5 * y + 3 * x) % 11 === 0 && r > 0.6;
        if (r <= 1 && !hole) out[i] = code;
      }
  return out;
}

/** A grid of this size and spacing, z, y, x, along the patient's axes, or others. */
const gridOf = (size: Zyx, spacingMm: Zyx = [1, 1, 1], direction: Matrix3 = IDENTITY_3): Geometry => ({
  size: toXyz(size),
  spacingMm: toXyz(spacingMm),
  originMm: [0, 0, 0],
  direction,
});

describe('segmentationScores', () => {
  it.each(goldens.segmentation.map((golden, i) => [i, golden] as const))('agrees with SciPy, case %i', (_, golden) => {
    const { size } = goldens;
    const predicted = ellipsoid(size, golden.predicted, 205);
    const reference = ellipsoid(size, golden.reference, 205);
    const scores = segmentationScores(predicted, reference, 205, gridOf(size, golden.spacingMm), golden.toleranceMm);
    for (const [name, value] of Object.entries(golden.scores))
      expect(scores[name as keyof typeof scores], name).toBeCloseTo(value, 10);
  });

  it('says nothing of a class that is nowhere, and no distance where one side lacks it', () => {
    const size: Zyx = [2, 2, 2];
    const [empty, one] = [new Uint8Array(8), Uint8Array.of(0, 3, 0, 0, 0, 0, 0, 0)];
    expect(segmentationScores(empty, empty, 3, gridOf(size))).toMatchObject({
      dice: null,
      jaccard: null,
      hd95Mm: null,
      surfaceDistanceMm: null,
      surfaceDice: null,
      volumeError: null,
    });
    expect(segmentationScores(empty, one, 3, gridOf(size))).toMatchObject({
      dice: 0,
      hd95Mm: null,
      surfaceDice: 0,
      volumeError: -1,
    });
    expect(segmentationScores(one, empty, 3, gridOf(size))).toMatchObject({
      dice: 0,
      hd95Mm: null,
      surfaceDice: 0,
      volumeError: null,
    });
    expect(segmentationScores(one, one, 3, gridOf(size))).toMatchObject({
      dice: 1,
      hd95Mm: 0,
      surfaceDice: 1,
      volumeError: 0,
    });
  });
});

describe('a sheared grid', () => {
  // a gantry tilted by 25 degrees: slices are shifted along y, and voxels are no boxes
  const tilt = (25 * Math.PI) / 180;
  const direction: Matrix3 = [1, 0, 0, 0, 1, Math.sin(tilt), 0, 0, Math.cos(tilt)];

  it('has voxels that are smaller than the product of their sides', () => {
    const one = Uint8Array.of(1, 0);
    const scores = segmentationScores(one, one, 1, gridOf([1, 1, 2], [5, 0.5, 0.5], direction));
    const volumeMl = (5 * 0.5 * 0.5 * Math.cos(tilt)) / 1000;
    expect(scores.predictedMl).toBeCloseTo(volumeMl, 12);
    const meter = new StructureMeter(gridOf([1, 1, 2], [5, 0.5, 0.5], direction), [1]);
    meter.add(0, one);
    expect(meter.measures()[0].volumeMl).toBeCloseTo(volumeMl, 12);
  });

  it('has distances between the places of its voxels, as a search through all of them finds', () => {
    const random = randomStream(5, 'sheared');
    for (let trial = 0; trial < 20; trial++) {
      const size: Zyx = [random.integer(1, 9), random.integer(1, 7), random.integer(1, 7)];
      const grid = gridOf(size, [random.uniform(0.3, 5), random.uniform(0.3, 3), random.uniform(0.3, 3)], direction);
      const mask = () => Uint8Array.from({ length: voxelCount(size) }, () => (random.chance(0.15) ? 1 : 0));
      const [from, to] = [mask(), mask()];
      const affine = voxelToPhysical(grid);
      const place = (i: number): Xyz =>
        applyAffine(affine, [i % size[2], Math.floor(i / size[2]) % size[1], Math.floor(i / (size[1] * size[2]))]);
      const placesIn = (set: Uint8Array): Xyz[] => [...set.keys()].filter((i) => set[i]).map(place);
      const wanted = placesIn(from).map((p) =>
        placesIn(to).reduce((least, q) => Math.min(least, Math.hypot(...p.map((v, k) => v - q[k]))), Number.POSITIVE_INFINITY),
      );
      const got = shearedDistances(from, to, size, grid);
      expect(got).toHaveLength(wanted.length);
      wanted.forEach((distance, k) => {
        if (Number.isFinite(distance)) expect(got[k]).toBeCloseTo(distance, 10);
        else expect(got[k]).toBe(distance);
      });
      // scores take the same distances
      const scores = segmentationScores(from, to, 1, grid, 2);
      if (scores.surfaceDistanceMm === null) continue;
      const straight = segmentationScores(from, to, 1, gridOf(size, toZyx(grid.spacingMm)), 2);
      expect(scores.dice).toBe(straight.dice);
    }
  });

  it('gives the scores of the same grid where the shear is that of rounding', () => {
    const [a, b] = [Uint8Array.of(1, 0, 0, 1, 0, 0, 0, 0), Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 1)];
    const nearly: Matrix3 = [1, 0, 0, 0, 1, 1e-7, 0, 0, 1];
    const scores = segmentationScores(a, b, 1, gridOf([2, 2, 2], [2, 1, 1], nearly));
    expect(scores).toEqual(segmentationScores(a, b, 1, gridOf([2, 2, 2], [2, 1, 1])));
  });
});

describe('overlapsOf', () => {
  it('counts every code of two maps of any types, and finds its box', () => {
    const random = randomStream(4, 'overlaps');
    for (let trial = 0; trial < 20; trial++) {
      const size: Zyx = [random.integer(1, 6), random.integer(1, 6), random.integer(1, 6)];
      const draw = (): number => (random.chance(0.4) ? 0 : random.integer(-2, 4));
      const predicted = Int16Array.from({ length: voxelCount(size) }, draw);
      const reference = Float32Array.from({ length: voxelCount(size) }, draw);
      const overlaps = overlapsOf(predicted, reference, size);
      expect([...overlaps.keys()].sort()).toEqual([...new Set([...predicted, ...reference])].sort());
      for (const [code, { low, high, ...counts }] of overlaps) {
        const where = [...predicted.keys()].filter((i) => predicted[i] === code || reference[i] === code);
        expect(counts).toEqual({
          predicted: predicted.filter((value) => value === code).length,
          reference: reference.filter((value) => value === code).length,
          both: predicted.filter((value, i) => value === code && reference[i] === code).length,
        });
        const places = where.map((i) => [Math.floor(i / (size[1] * size[2])), Math.floor(i / size[2]) % size[1], i % size[2]]);
        expect(low).toEqual([0, 1, 2].map((axis) => Math.min(...places.map((place) => place[axis]))));
        expect(high).toEqual([0, 1, 2].map((axis) => Math.max(...places.map((place) => place[axis]))));
      }
    }
  });

  it('takes the surface of structures that touch the edges, and of others in their box', () => {
    // both fill the volume: its outermost voxels are the surface
    const size: Zyx = [3, 4, 5];
    const full = new Uint8Array(60).fill(2);
    expect(segmentationScores(full, full, 2, gridOf(size))).toMatchObject({ dice: 1, hd95Mm: 0, surfaceDistanceMm: 0 });
    // the reference lacks the middle voxels, which are so surface of neither but of the prediction's neighbours
    const hollow = full.slice();
    for (const x of [1, 2, 3]) hollow[(1 * 4 + 1) * 5 + x] = 7;
    const scores = segmentationScores(full, hollow, 2, gridOf(size));
    expect(scores.volumeError).toBeCloseTo(3 / 57, 12);
    expect(scores.surfaceDice).toBe(1);
  });
});

describe('surfaceDistances', () => {
  it('is exact for any masks and spacing', () => {
    const random = randomStream(3, 'distances');
    for (let trial = 0; trial < 40; trial++) {
      const size: Zyx = [random.integer(1, 7), random.integer(1, 7), random.integer(1, 24)];
      const spacing: Zyx = [random.uniform(0.3, 3), random.uniform(0.3, 3), random.uniform(0.3, 3)];
      const mask = (share: number) => Uint8Array.from({ length: voxelCount(size) }, () => (random.chance(share) ? 1 : 0));
      const [from, to] = [mask(trial % 2 ? 0.1 : 0.5), mask(trial % 3 ? 0.15 : 0.02)];
      const got = surfaceDistances(from, to, size, spacing);
      const position = (i: number): Zyx => [Math.floor(i / (size[1] * size[2])), Math.floor(i / size[2]) % size[1], i % size[2]];
      const wanted = [...from.keys()]
        .filter((i) => from[i])
        .map((i) => {
          const p = position(i);
          let least = Number.POSITIVE_INFINITY;
          for (let j = 0; j < to.length; j++) {
            if (!to[j]) continue;
            const q = position(j);
            least = Math.min(
              least,
              p.reduce((sum, v, k) => sum + ((v - q[k]) * spacing[k]) ** 2, 0),
            );
          }
          return Math.sqrt(least);
        });
      expect(got.length).toBe(wanted.length);
      wanted.forEach((mm, k) => {
        if (mm === Number.POSITIVE_INFINITY) expect(got[k]).toBe(mm);
        else expect(got[k]).toBeCloseTo(mm, 9);
      });
    }
  });
});

describe('classification', () => {
  it.each(goldens.classification.map((golden, i) => [i, golden] as const))('agrees with scikit-learn, case %i', (_, golden) => {
    const { scores, positive } = golden;
    expect(areaUnderCurve(scores, positive)).toBeCloseTo(golden.auc, 12);
    expect(averagePrecision(scores, positive)).toBeCloseTo(golden.averagePrecision, 12);
    const at = thresholdScores(scores, positive);
    for (const name of ['sensitivity', 'specificity', 'accuracy'] as const) expect(at[name]).toBeCloseTo(golden[name], 12);
  });

  it('is not a number where a class has no case', () => {
    expect(areaUnderCurve([0.1, 0.9], [true, true])).toBeNull();
    expect(averagePrecision([0.1, 0.9], [false, false])).toBeNull();
    expect(thresholdScores([0.1], [false])).toEqual({ sensitivity: null, specificity: 1, accuracy: 1 });
    expect(thresholdScores([], []).accuracy).toBeNull();
  });
});

describe('statistics', () => {
  it.each(goldens.wilcoxon.map((golden, i) => [i, golden] as const))('agrees with SciPy on Wilcoxon, case %i', (_, golden) => {
    const got = wilcoxonSignedRank(golden.a, golden.b)!;
    expect(got.exact).toBe(golden.exact);
    expect(got.p).toBeCloseTo(golden.p, 6);
  });

  it('has an interval around the mean that follows from the seed', () => {
    const values = Array.from({ length: 30 }, (_, i) => Math.sin(i) + 2);
    const interval = bootstrapMean(values)!;
    expect(interval.mean).toBeCloseTo(values.reduce((a, b) => a + b) / 30, 12);
    expect(interval.low).toBeLessThan(interval.mean);
    expect(interval.high).toBeGreaterThan(interval.mean);
    // the standard error of the mean is about 0.13
    expect(interval.high! - interval.low!).toBeCloseTo(2 * 1.96 * 0.13, 1);
    expect(bootstrapMean(values)).toEqual(interval);
    // other draws in between change nothing, nor do more than are kept
    bootstrapMean([1, 2, 3]);
    expect(bootstrapMean(values)).toEqual(interval);
    expect(bootstrapMean(values, 10_000, 2)).not.toEqual(interval);
    const many = Array.from({ length: 500 }, (_, k) => Math.sin(k));
    expect(bootstrapMean(many)).toEqual(bootstrapMean(many));
    expect(bootstrapMean([])).toBeNull();
    expect(bootstrapMean([4])).toEqual({ mean: 4, low: null, high: null, count: 1 });
    expect(bootstrapDifference([1], [3])).toEqual({ mean: 2, low: null, high: null, count: 1 });
    expect(bootstrapDifference([1, 2], [2, 3])).toMatchObject({ mean: 1, low: 1, high: 1 });
    expect(() => bootstrapDifference([1], [])).toThrow(RangeError);
    expect(wilcoxonSignedRank([1, 2], [1, 2])).toBeNull();
  });

  it.each(goldens.patients.map((golden, i) => [i, golden] as const))(
    'draws patients with all their values, as NumPy does, case %i',
    (_, { values, mean, ends, error }) => {
      const found = bootstrapMean(values)!;
      expect(found).toMatchObject({ count: values.flat().length, patients: values.length });
      expect(found.mean).toBeCloseTo(mean, 14);
      // the noise of 10,000 resamples
      expect(Math.abs(found.low! - ends[0])).toBeLessThan(0.08 * error);
      expect(Math.abs(found.high! - ends[1])).toBeLessThan(0.08 * error);
      // one by one they would seem to say more than they do
      const alone = bootstrapMean(values.flat())!;
      expect(alone).not.toHaveProperty('patients');
      expect(alone.high! - alone.low!).toBeLessThan(found.high! - found.low!);
    },
  );

  it('takes one value of each patient as values, bit by bit, and those of one patient alone as one', () => {
    const values = Array.from({ length: 20 }, (_, i) => Math.sin(i));
    expect(bootstrapMean(values.map((value) => [value]))).toEqual(bootstrapMean(values));
    expect(bootstrapMean([[0.25, 0.75], []])).toEqual({ mean: 0.5, low: null, high: null, count: 2, patients: 1 });
  });

  it('interpolates percentiles as NumPy does', () => {
    expect(percentileOf([1, 2, 4], 0.5)).toBe(2);
    expect(percentileOf([1, 2, 4], 0.75)).toBe(3);
    expect(percentileOf([5], 0.95)).toBe(5);
  });
});

describe('holm', () => {
  it.each(goldens.holm.map((golden, i) => [i, golden] as const))('agrees with statsmodels, case %i', (_, { p, adjusted }) => {
    for (const [i, value] of holm(p).entries()) expect(value).toBeCloseTo(adjusted[i], 14);
  });

  it('steps down, keeps the order of p, and leaves out what was not tested', () => {
    // worked by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04 raised to the one before it
    const adjusted = holm([0.01, null, 0.04, 0.03, 0.005]);
    [0.03, null, 0.06, 0.06, 0.02].forEach((expected, i) => {
      if (expected === null) expect(adjusted[i]).toBeNull();
      else expect(adjusted[i]).toBeCloseTo(expected, 14);
    });
    expect(holm([0.7, 0.8])).toEqual([1, 1]);
    expect(holm([])).toEqual([]);
  });
});

describe('areas of patients with several cases', () => {
  it.each(goldens.clustered.map((golden, i) => [i, golden] as const))(
    "agree with Obuchowski's definition in NumPy, case %i",
    (_, golden) => {
      const casesOf = (scores: readonly number[]): ClassifiedCase[] =>
        scores.map((p, i) => ({
          id: `${i}`,
          patient: `p${golden.patient[i]}`,
          truth: golden.positive[i] ? 1 : 0,
          probabilities: [p],
        }));
      const [a, b] = [casesOf(golden.first), casesOf(golden.second)];
      const [count, patients] = [a.length, new Set(golden.patient).size];
      [a, b].forEach((cases, i) => {
        const area = delongArea([cases])!;
        expect(area.mean).toBeCloseTo(golden.areas[i], 12);
        expect((area.high - area.mean) / 1.959963984540054).toBeCloseTo(Math.sqrt(golden.variances[i]), 12);
        expect(area).toMatchObject(patients < count ? { count, patients } : { count });
      });
      const test = delongTest([a], [b.toReversed()])!;
      expect(test.difference.mean).toBeCloseTo(golden.difference, 12);
      expect((test.difference.high - test.difference.low) / 2 / 1.959963984540054).toBeCloseTo(Math.sqrt(golden.variance), 12);
      expect(test.p! / golden.p).toBeCloseTo(1, 9);
      // one case a patient: what it is where nothing is known of patients, bit by bit
      if (patients === count)
        expect(test).toEqual(delongTest([a.map(({ patient: _, ...one }) => one)], [b.map(({ patient: _, ...one }) => one)]));
    },
  );

  it('of one patient in a class have no interval', () => {
    const cases = [true, true, false, false].map((ill, i) => ({
      id: `${i}`,
      patient: ill ? 'p0' : `p${i}`,
      truth: ill ? 1 : 0,
      probabilities: [i / 4],
    }));
    expect(delongArea([cases])).toBeNull();
  });
});

describe('DeLong', () => {
  const casesOf = (positive: readonly boolean[], scores: readonly number[]): ClassifiedCase[] =>
    scores.map((p, i) => ({ id: `${i}`, truth: positive[i] ? 1 : 0, probabilities: [p] }));

  it.each(goldens.delong.map((golden, i) => [i, golden] as const))(
    'agrees with the definition in NumPy, case %i',
    (_, golden) => {
      const [a, b] = [casesOf(golden.positive, golden.first), casesOf(golden.positive, golden.second)];
      [a, b].forEach((cases, i) => {
        const area = delongArea([cases])!;
        expect(area.mean).toBeCloseTo(golden.areas[i], 12);
        expect((area.high - area.mean) / 1.959963984540054).toBeCloseTo(Math.sqrt(golden.variances[i]), 12);
      });
      const test = delongTest([a], [b.toReversed()])!;
      expect(test.difference.mean).toBeCloseTo(golden.difference, 12);
      expect((test.difference.high - test.difference.low) / 2 / 1.959963984540054).toBeCloseTo(Math.sqrt(golden.variance), 12);
      expect(test.p! / golden.p).toBeCloseTo(1, 9);
      // several seeds that say the same are one, and the order of methods only turns the sign
      expect(delongTest([a, a], [b, b, b])!.p).toBeCloseTo(test.p!, 12);
      expect(delongTest([b], [a])).toMatchObject({ difference: { count: golden.first.length } });
      expect(delongTest([b], [a])!.difference.mean).toBeCloseTo(-golden.difference, 12);
    },
  );

  it('treats two classes with two outputs as with one, and averages classes', () => {
    const { positive, first, second, p } = goldens.delong[1];
    const both = (scores: readonly number[]): ClassifiedCase[] =>
      casesOf(positive, scores).map((one) => ({ ...one, probabilities: [1 - one.probabilities[0], one.probabilities[0]] }));
    expect(delongTest([both(first)], [both(second)])!.p! / p).toBeCloseTo(1, 9);
    // three classes: the interval must hold the truth about as often as it says (seeded)
    const random = randomStream(4, 'delong');
    const draw = (count: number): ClassifiedCase[] =>
      Array.from({ length: count }, (_, i) => ({
        id: `${i}`,
        truth: i % 3,
        probabilities: [0, 1, 2].map((output) => random.normal() + (output === i % 3 ? 1 : 0)),
      }));
    // two standard normals one apart: Phi(1 / sqrt(2))
    const truth = 0.7602499389;
    const trials = 400;
    let inside = 0;
    for (let trial = 0; trial < trials; trial++) {
      const { low, high } = delongArea([draw(90)])!;
      if (low <= truth && truth <= high) inside++;
    }
    expect(inside / trials).toBeGreaterThan(0.91);
    expect(inside / trials).toBeLessThan(0.985);
  });

  it('says when nothing can be tested, and refuses other cases', () => {
    const positive = [true, true, false, false];
    const perfect = casesOf(positive, [0.9, 0.8, 0.2, 0.1]);
    expect(delongTest([perfect], [perfect])).toMatchObject({ difference: { mean: 0, low: 0, high: 0 }, p: null });
    expect(delongArea([casesOf([true, false, false], [0.9, 0.2, 0.1])])).toBeNull();
    expect(delongArea([casesOf([true, true], [0.9, 0.2])])).toBeNull();
    expect(() => delongTest([perfect], [perfect.slice(1)])).toThrow(RangeError);
    expect(() => delongTest([perfect], [casesOf([false, true, true, false], [0.9, 0.8, 0.2, 0.1])])).toThrow(
      'its true class differs',
    );
  });
});
