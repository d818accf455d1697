import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { type Points, pointsOf, rowOf, unitPoints } from '../points.ts';
import { kMeans, kMeansFrom, nearestCentres, samplePoint, sampleStartPoints } from './k-means.ts';
import {
  clusteringDimensions,
  clusteringPoints,
  componentsOfPoints,
  principalComponents,
  whiten,
} from './principal-components.ts';
import { symmetricEigen } from './symmetric-eigen.ts';

/** What NumPy and scikit-learn found: scripts/make-cluster-goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('../testing/cluster-goldens.json', import.meta.url), 'utf8')) as {
  components: {
    points: number[][];
    count: number;
    variances: number[];
    explained: number[];
    directions: number[][];
    whitened: number[][];
    normalised: number[][];
  }[];
  kMeans: {
    points: number[][];
    start: number[][];
    iterations: number;
    assignment: number[];
    centres: number[][];
    inertia: number;
    done: number;
    converged: boolean;
  }[];
};

const normalPoints = (count: number, dimensions: number, seed = 1): Points & { values: Float64Array } => {
  const stream = randomStream(seed, 'points');
  return { count, dimensions, values: Float64Array.from({ length: count * dimensions }, () => stream.normal()) };
};

/** Largest difference of two lists of numbers; infinite if their lengths differ. */
const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length
    ? Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)
    : Number.POSITIVE_INFINITY;

describe('symmetricEigen', () => {
  it('does what one can do in the head', () => {
    const { values, vectors } = symmetricEigen(Float64Array.of(2, 1, 1, 2), 2);
    expect(values[0]).toBeCloseTo(3, 14);
    expect(values[1]).toBeCloseTo(1, 14);
    expect(Math.abs(vectors[0][0] - vectors[0][1])).toBeLessThan(1e-14);
    expect([...symmetricEigen(Float64Array.of(1, 0, 0, 0, 3, 0, 0, 0, 2), 3).values]).toEqual([3, 2, 1]);
    expect([...symmetricEigen(Float64Array.of(-4), 1).values]).toEqual([-4]);
    expect(symmetricEigen(new Float64Array(0), 0).vectors).toEqual([]);
    expect([...symmetricEigen(new Float64Array(9), 3).values]).toEqual([0, 0, 0]);
  });

  it('takes matrices apart so that they can be put together again, with vectors that are orthonormal', () => {
    for (const [n, rank] of [
      [2, 2],
      [7, 7],
      [40, 40],
      [40, 3],
      [120, 60],
    ] as const) {
      const { values: x } = normalPoints(rank, n, n);
      const a = new Float64Array(n * n);
      for (let k = 0; k < rank; k++) {
        for (let i = 0; i < n; i++)
          for (let j = 0; j < n; j++) a[i * n + j] += x[k * n + i] * x[k * n + j] * (k % 3 === 2 ? -1 : 1);
      }
      const { values, vectors } = symmetricEigen(a, n);
      const again = new Float64Array(n * n);
      const products = new Float64Array(n * n);
      for (let k = 0; k < n; k++) {
        for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) again[i * n + j] += values[k] * vectors[k][i] * vectors[k][j];
        for (let m = 0; m < n; m++) products[k * n + m] = vectors[k].reduce((sum, v, i) => sum + v * vectors[m][i], 0);
      }
      expect(apart(again, a)).toBeLessThan(1e-12 * n * Math.abs(values[0]));
      expect(
        apart(
          products,
          Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
        ),
      ).toBeLessThan(1e-12);
      expect(apart(values, values.toSorted().reverse())).toBe(0);
    }
  });

  it('says what it expected', () => {
    expect(() => symmetricEigen(new Float64Array(5), 2)).toThrow('expected 4 values, got 5');
    expect(() => symmetricEigen(Float64Array.of(1, Number.NaN, Number.NaN, 1), 2)).toThrow('expected finite values');
  });
});

describe('componentsOfPoints', () => {
  it.each(goldens.components.map((golden, i) => [i, golden] as const))('agrees with scikit-learn, case %i', (_, golden) => {
    const points = pointsOf(golden.points);
    const found = componentsOfPoints(points, golden.count);
    expect(apart(found.variances, golden.variances)).toBeLessThan(1e-10 * golden.variances[0]);
    expect(apart(found.explained, golden.explained)).toBeLessThan(1e-12);
    found.directions.forEach((direction, i) => {
      expect(apart(direction, golden.directions[i])).toBeLessThan(1e-9);
    });
    expect(apart(whiten(points, found).values, golden.whitened.flat())).toBeLessThan(1e-8);
    expect(apart(clusteringPoints(points, found).values, golden.normalised.flat())).toBeLessThan(1e-8);
  });

  it('whitens: the points get mean 0 and covariance 1; clustering gets them on the unit sphere', () => {
    const points = normalPoints(80, 10);
    const white = whiten(points, componentsOfPoints(points, 4));
    for (let a = 0; a < 4; a++) {
      for (let b = 0; b <= a; b++) {
        let sum = 0;
        for (let i = 0; i < 80; i++) sum += (white.values[4 * i + a] * white.values[4 * i + b]) / 79;
        expect(sum).toBeCloseTo(a === b ? 1 : 0, 10);
      }
    }
    const unit = clusteringPoints(points, componentsOfPoints(points, 4));
    for (let i = 0; i < 80; i++) expect(Math.hypot(...rowOf(unit, i))).toBeCloseTo(1, 12);
  });

  it('is the same by points as by dimensions', () => {
    const few = normalPoints(9, 10);
    const wide = componentsOfPoints(few, 5);
    // a tenth and an eleventh point at the mean change neither mean nor directions
    const mean = [...wide.mean];
    const more = pointsOf([...Array.from({ length: 9 }, (_, i) => [...rowOf(few, i)]), mean, mean]);
    const tall = componentsOfPoints(more, 5);
    tall.directions.forEach((direction, i) => {
      expect(apart(direction, wide.directions[i])).toBeLessThan(1e-10);
      expect((tall.variances[i] * 10) / 8 / wide.variances[i]).toBeCloseTo(1, 10);
    });
  });

  it('leaves out components that are rounding, and has none of equal points', () => {
    const line = pointsOf([0, 1, 2, 3].map((t) => [t, 2 * t, 1]));
    expect(componentsOfPoints(line, 3).directions.length).toBe(1);
    const equal = pointsOf([0, 1, 2].map(() => [0.1, 0.2]));
    const nowhere = clusteringPoints(equal, componentsOfPoints(equal, 2));
    expect(nowhere).toMatchObject({ count: 3, dimensions: 0 });
    expect([...kMeans(randomStream(1), nowhere, { clusters: 3 }).sizes]).toEqual([1, 1, 1]);
  });

  it('uses min(64, points / 4) of them for clustering', () => {
    const of = (count: number, dimensions: number): number => clusteringDimensions({ count, dimensions });
    expect([of(100, 512), of(400, 512), of(3, 512), of(400, 32)]).toEqual([25, 64, 1, 32]);
  });

  it('says what it expected', () => {
    const two = componentsOfPoints(normalPoints(8, 2), 2);
    expect(() => componentsOfPoints(normalPoints(1, 3), 1)).toThrow('expected at least 2 points, got 1');
    expect(() => componentsOfPoints({ count: 2, dimensions: 2, values: new Float32Array(3) }, 1)).toThrow(
      'expected 4 values for 2 points of 2, got 3',
    );
    expect(() => componentsOfPoints({ count: 2, dimensions: 2, values: Float32Array.of(1, 2, 3, Number.NaN) }, 1)).toThrow(
      'expected finite values, got NaN in point 1',
    );
    expect(() => whiten(normalPoints(4, 3), two)).toThrow('expected points of 2 dimensions, got 3');
    expect(() => pointsOf([[1, 2], [3]])).toThrow('expected rows of 2, got 1 in row 1');
  });
});

describe('principalComponents', () => {
  it('is that of the voxels that are chosen', () => {
    const points = normalPoints(30, 3);
    // (channels, voxels), with voxels in between that do not count
    const features = new Float32Array(3 * 60).fill(7);
    for (let i = 0; i < 30; i++) for (let c = 0; c < 3; c++) features[c * 60 + 2 * i] = points.values[3 * i + c];
    const found = principalComponents(features, 3, 3, (voxel) => voxel % 2 === 0);
    const wanted = componentsOfPoints({ ...points, values: Float32Array.from(points.values) }, 3);
    expect(apart(found.variances, wanted.variances)).toBeLessThan(1e-12);
    found.directions.forEach((direction, i) => {
      expect(apart(direction, wanted.directions[i])).toBeLessThan(1e-10);
    });
  });
});

describe('kMeans', () => {
  it.each(goldens.kMeans.map((golden, i) => [i, golden] as const))(
    'agrees with scikit-learn or the definition, case %i',
    (_, golden) => {
      const found = kMeansFrom(pointsOf(golden.points), pointsOf(golden.start), golden.iterations);
      expect([...found.assignment]).toEqual(golden.assignment);
      expect(apart(found.centres.values, golden.centres.flat())).toBeLessThan(1e-12);
      expect(found.inertia).toBeCloseTo(golden.inertia, 9);
      expect(found).toMatchObject({ iterations: golden.done, converged: golden.converged });
      expect(found.sizes.reduce((a, b) => a + b)).toBe(golden.points.length);
    },
  );

  it('finds clusters that are there, in any order of the points', () => {
    const stream = randomStream(3, 'blobs');
    const points = pointsOf(Array.from({ length: 90 }, (_, i) => [10 * (i % 3) + stream.normal(), stream.normal()]));
    const { assignment, sizes, converged } = kMeans(randomStream(1), points, { clusters: 3 });
    expect([...sizes]).toEqual([30, 30, 30]);
    expect(converged).toBe(true);
    assignment.forEach((cluster, i) => {
      expect(cluster).toBe(assignment[i % 3]);
    });
    expect(nearestCentres(pointsOf([[19, 1]]), kMeans(randomStream(1), points, { clusters: 3 }).centres)[0]).toBe(assignment[2]);
  });

  it('is the same again from the stream, and another from another', () => {
    const points = normalPoints(200, 8);
    const found = kMeans(randomStream(4, 'a'), points);
    expect(found).toEqual(kMeans(randomStream(4, 'a'), points));
    expect(found.assignment).not.toEqual(kMeans(randomStream(4, 'b'), points).assignment);
    expect(found.sizes.length).toBe(16);
    expect(found.iterations).toBeLessThanOrEqual(20);
  });

  it('starts from a point drawn uniformly, then in proportion to the squared distance from the nearest', () => {
    // 0, 1 and 3 on a line: from 0 the others are drawn 1 : 9, from 1 they are drawn 1 : 4, from 3 they are drawn 9 : 4
    const points = pointsOf([[0], [1], [3]]);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const drawn = sampleStartPoints(randomStream(i, 'start'), points, 2).join();
      counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
    }
    const expected = { '0,1': 1 / 10, '0,2': 9 / 10, '1,0': 1 / 5, '1,2': 4 / 5, '2,0': 9 / 13, '2,1': 4 / 13 };
    expect(counts.size).toBe(6);
    for (const [drawn, share] of Object.entries(expected)) {
      expect(Math.abs(counts.get(drawn)! / 6000 - share / 3)).toBeLessThan(0.02);
    }
  });

  it('never leaves a cluster empty: the largest is split, at its furthest point', () => {
    // all points go to the first centre; 9 is furthest from their mean 3.4, and 7 is nearer to it than to the mean
    const points = pointsOf([[0], [0], [1], [7], [9]]);
    const once = kMeansFrom(points, pointsOf([[4], [100]]), 1);
    expect([...once.assignment]).toEqual([0, 0, 0, 1, 1]);
    expect([...once.centres.values]).toEqual([1 / 3, 8]);
    for (let seed = 0; seed < 30; seed++) {
      const few = unitPoints(normalPoints(20, 2, seed));
      const { sizes } = kMeans(randomStream(seed), few, { clusters: 15 });
      expect(Math.min(...sizes)).toBeGreaterThan(0);
    }
  });

  it('gives each cluster a point even where points are equal, and each point a cluster of its own where there are as many', () => {
    const equal = pointsOf(Array.from({ length: 7 }, () => [1, 2]));
    const found = kMeans(randomStream(1), equal, { clusters: 3 });
    expect(Math.min(...found.sizes)).toBe(1);
    expect(found.inertia).toBe(0);
    expect(sampleStartPoints(randomStream(1), equal, 7).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const own = kMeans(randomStream(2), normalPoints(6, 2), { clusters: 6 });
    expect([...own.sizes]).toEqual([1, 1, 1, 1, 1, 1]);
    expect(kMeans(randomStream(2), normalPoints(6, 2), { clusters: 1 }).sizes[0]).toBe(6);
  });

  it('gives a point between two centres to the one of lower number', () => {
    expect([...nearestCentres(pointsOf([[1], [1.1]]), pointsOf([[2], [0], [2]]))]).toEqual([0, 0]);
  });

  it('draws points so that clusters come equally often, and points of one cluster too', () => {
    const clusters = { assignment: Int32Array.of(0, 1, 0, 0, 0), sizes: Int32Array.of(4, 1) };
    const counts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) counts[samplePoint(randomStream(i, 'points'), clusters)]++;
    [500, 2000, 500, 500, 500].forEach((expected, i) => {
      expect(Math.abs(counts[i] - expected)).toBeLessThan(4 * Math.sqrt(expected));
    });
    expect(() => samplePoint(randomStream(1), { ...clusters, sizes: Int32Array.of(0, 0) })).toThrow('expected points in cluster');
  });

  it('says what it expected', () => {
    const points = normalPoints(5, 2);
    expect(() => kMeans(randomStream(1), points)).toThrow('expected 1 to 5 clusters of 5 points, got 16');
    expect(() => kMeansFrom(points, normalPoints(2, 3))).toThrow('expected centres of 2 dimensions, got 3');
    expect(() => kMeansFrom(points, normalPoints(2, 2), 0)).toThrow('expected at least 1 iteration, got 0');
    expect(() => kMeans(randomStream(1), { ...points, count: 6 }, { clusters: 2 })).toThrow(
      'expected 12 values for 6 points of 2, got 10',
    );
  });
});
