import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { classScores } from '../classification.ts';
import { pointsOf, rowOf, unitPoints } from '../points.ts';
import { collapseMeasure } from './collapse.ts';
import { minimise } from './lbfgs.ts';
import { fitLinearProbe, linearProbeScore, probeProbabilities } from './linear-probe.ts';
import { type LabelledPoints, nearestNeighbourScore } from './nearest-neighbour.ts';

interface Labelled {
  points: number[][];
  classes: number[];
}
/** What SciPy and scikit-learn found: scripts/make-cluster-goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('../testing/cluster-goldens.json', import.meta.url), 'utf8')) as {
  nearestNeighbour: {
    reference: Labelled;
    queries: Labelled | null;
    neighbours: number;
    predicted: number[];
    accuracy: number;
    balancedAccuracy: number;
  }[];
  linearProbe: {
    training: Labelled;
    heldOut: Labelled;
    l2: number;
    standardise: boolean;
    loss: number;
    weights: number[][];
    probabilities: number[][];
    accuracy: number;
    balancedAccuracy: number;
    auc: number;
  }[];
  collapse: { z: number[][]; measure: number }[];
};
const labelled = ({ points, classes }: Labelled): LabelledPoints => ({ points: pointsOf(points), classes });
const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length
    ? Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)
    : Number.POSITIVE_INFINITY;

describe('nearestNeighbourScore', () => {
  it.each(goldens.nearestNeighbour.map((golden, i) => [i, golden] as const))('agrees with scikit-learn, case %i', (_, golden) => {
    const { reference, queries, neighbours } = golden;
    const found = nearestNeighbourScore(labelled(reference), queries ? labelled(queries) : undefined, { neighbours });
    expect(found.predicted).toEqual(golden.predicted);
    expect(found.accuracy).toBeCloseTo(golden.accuracy, 12);
    expect(found.balancedAccuracy).toBeCloseTo(golden.balancedAccuracy, 12);
  });

  it('looks at angles, not at lengths', () => {
    const reference = labelled({
      points: [
        [10, 0],
        [0, 0.1],
      ],
      classes: [0, 1],
    });
    const queries = labelled({
      points: [
        [0.1, 0.2],
        [5, 4],
      ],
      classes: [1, 0],
    });
    expect(nearestNeighbourScore(reference, queries, { neighbours: 1 })).toEqual({
      predicted: [1, 0],
      accuracy: 1,
      balancedAccuracy: 1,
    });
  });

  it('settles ties: of equal neighbours the first, of equal votes the more similar class, then the lower number', () => {
    const predict = (points: number[][], classes: number[], neighbours: number): number =>
      nearestNeighbourScore(labelled({ points, classes }), labelled({ points: [[1, 0]], classes: [0] }), { neighbours })
        .predicted[0];
    expect(
      predict(
        [
          [1, 1],
          [1, 1],
        ],
        [1, 0],
        1,
      ),
    ).toBe(1);
    expect(
      predict(
        [
          [1, 1],
          [1, 0.5],
        ],
        [0, 1],
        2,
      ),
    ).toBe(1);
    expect(
      predict(
        [
          [1, 1],
          [1, 1],
        ],
        [1, 0],
        2,
      ),
    ).toBe(0);
    // fewer points than neighbours: all vote
    expect(
      predict(
        [
          [1, 1],
          [1, 1],
          [1, 0],
        ],
        [1, 1, 0],
        5,
      ),
    ).toBe(1);
  });

  it('leaves a point out of its own vote, and with it all of its group', () => {
    const points = [
      [1, 0],
      [1, 0.01],
      [0, 1],
      [0.01, 1],
      [1, 0.3],
    ];
    const classes = [0, 0, 1, 1, 1];
    expect(nearestNeighbourScore(labelled({ points, classes }), undefined, { neighbours: 1 }).predicted).toEqual([0, 0, 1, 1, 0]);
    const groups = ['a', 'a', 'b', 'b', 'c'];
    // without its twin each of the first two has point 4 as its nearest
    const grouped = nearestNeighbourScore({ ...labelled({ points, classes }), groups }, undefined, { neighbours: 1 });
    expect(grouped.predicted).toEqual([1, 1, 1, 1, 0]);
  });

  it('says what it expected', () => {
    const one = labelled({ points: [[1, 0]], classes: [0] });
    expect(() => nearestNeighbourScore(one)).toThrow('expected neighbours of another group for point 0, got none');
    expect(() => nearestNeighbourScore({ ...one, classes: [] })).toThrow('expected 1 classes, got 0');
    expect(() => nearestNeighbourScore({ ...one, groups: [] })).toThrow('expected 1 groups, got 0');
    expect(() => nearestNeighbourScore({ ...one, classes: [-1] })).toThrow('expected classes from 0 on, got -1');
    expect(() => nearestNeighbourScore(one, one, { neighbours: 0 })).toThrow('expected at least 1 neighbour, got 0');
    expect(() => nearestNeighbourScore(one, labelled({ points: [[1]], classes: [0] }))).toThrow(
      'expected queries of 2 dimensions, got 1',
    );
  });
});

describe('minimise', () => {
  it('finds the minimum of a quadratic and of a function that is none', () => {
    const scales = [1, 10, 100, 0.1];
    const quadratic = minimise((x, gradient) => {
      let value = 0;
      scales.forEach((scale, i) => {
        value += (scale * (x[i] - i) ** 2) / 2;
        gradient[i] = scale * (x[i] - i);
      });
      return value;
    }, new Float64Array(4).fill(5));
    expect(quadratic.converged).toBe(true);
    expect(apart(quadratic.x, [0, 1, 2, 3])).toBeLessThan(1e-6);
    const cosh = minimise((x, gradient) => {
      gradient[0] = Math.sinh(x[0] - 2);
      return Math.cosh(x[0] - 2);
    }, Float64Array.of(-5));
    expect(cosh.x[0]).toBeCloseTo(2, 7);
    expect(minimise(() => 3, new Float64Array(2))).toMatchObject({ value: 3, iterations: 0, converged: true });
  });
});

describe('linear probe', () => {
  it.each(goldens.linearProbe.map((golden, i) => [i, golden] as const))("agrees with SciPy's minimiser, case %i", (_, golden) => {
    const [training, heldOut] = [labelled(golden.training), labelled(golden.heldOut)];
    const options = { l2: golden.l2, standardise: golden.standardise };
    const probe = fitLinearProbe(training, options);
    expect(probe.converged).toBe(true);
    expect(probe.loss).toBeCloseTo(golden.loss, 8);
    expect(apart(probe.weights, golden.weights.flat())).toBeLessThan(1e-5);
    expect(apart(probeProbabilities(probe, heldOut.points).values, golden.probabilities.flat())).toBeLessThan(1e-5);
    const score = linearProbeScore(training, heldOut, options);
    for (const name of ['accuracy', 'balancedAccuracy', 'auc'] as const) expect(score[name], name).toBeCloseTo(golden[name], 12);
    expect(linearProbeScore(training, heldOut, options)).toEqual(score);
  });

  it('does not depend on the scale of features, and stands a constant one and more dimensions than points', () => {
    const stream = randomStream(1, 'probe');
    const rows = Array.from({ length: 12 }, (_, i) => [
      3 * (i % 2) + stream.normal(),
      0.1,
      ...Array.from({ length: 40 }, () => stream.normal()),
    ]);
    const classes = rows.map((_, i) => i % 2);
    const probabilities = (scale: number): Float64Array => {
      const labels = labelled({ points: rows.map((row) => row.map((v) => scale * v)), classes });
      const probe = fitLinearProbe(labels);
      expect(probe.converged).toBe(true);
      expect(probe.weights[1]).toBeCloseTo(0, 12);
      return probeProbabilities(probe, labels.points).values;
    };
    expect(apart(probabilities(1), probabilities(1000))).toBeLessThan(1e-6);
    const found = probabilities(1);
    classes.forEach((one, i) => {
      expect(found[2 * i + one]).toBeGreaterThan(0.9);
    });
  });

  it('has no area where a class is missing, and takes classes that only the held-out points have', () => {
    const training = labelled({ points: [[0], [1], [2], [3]], classes: [0, 0, 1, 1] });
    expect(linearProbeScore(training, labelled({ points: [[0], [3]], classes: [0, 1] }))).toMatchObject({ accuracy: 1, auc: 1 });
    expect(linearProbeScore(training, labelled({ points: [[3]], classes: [1] }))).toMatchObject({ accuracy: 1, auc: null });
    expect(linearProbeScore(training, labelled({ points: [[3], [9]], classes: [1, 2] }))).toMatchObject({
      predicted: [1, 1],
      accuracy: 1 / 2,
      balancedAccuracy: 1 / 2,
    });
  });

  it('says what it expected', () => {
    const one = labelled({ points: [[1, 0]], classes: [0] });
    const two = labelled({
      points: [
        [1, 0],
        [0, 1],
      ],
      classes: [0, 1],
    });
    expect(() => fitLinearProbe(one)).toThrow('expected at least 2 classes, and points of those alone, got 1 classes');
    expect(() => fitLinearProbe(two, {}, 1)).toThrow('got 1 classes');
    expect(() => fitLinearProbe(two, { l2: 0 })).toThrow('expected a positive penalty, got 0');
    expect(() => fitLinearProbe(labelled({ points: [], classes: [] }))).toThrow('expected points, got none');
    expect(() => probeProbabilities(fitLinearProbe(two), pointsOf([[1]]))).toThrow('expected points of 2 dimensions, got 1');
  });
});

describe('classScores', () => {
  it('counts each class alike in the balanced one', () => {
    expect(classScores([0, 0, 0, 0], [0, 0, 0, 1])).toEqual({ accuracy: 0.75, balancedAccuracy: 0.5 });
    expect(classScores([], [])).toEqual({ accuracy: null, balancedAccuracy: null });
    expect(() => classScores([1], [])).toThrow('expected 0 predictions, got 1');
  });
});

describe('collapseMeasure', () => {
  it.each(goldens.collapse.map((golden, i) => [i, golden] as const))(
    'agrees with the definition in NumPy, case %i',
    (_, golden) => {
      expect(collapseMeasure(pointsOf(golden.z))).toBeCloseTo(golden.measure, 12);
    },
  );

  it('is 0 for one direction, whatever the lengths, and about 1 for many random ones', () => {
    expect(
      collapseMeasure(
        pointsOf([
          [1, 2, 3],
          [2, 4, 6],
          [0.5, 1, 1.5],
        ]),
      ),
    ).toBeCloseTo(0, 12);
    const random = (count: number, seed: number): number => {
      const stream = randomStream(seed, 'z');
      return collapseMeasure(pointsOf(Array.from({ length: count }, () => Array.from({ length: 256 }, () => stream.normal()))))!;
    };
    const mean = (count: number): number => Array.from({ length: 40 }, (_, i) => random(count, i)).reduce((a, b) => a + b) / 40;
    expect(random(500, 1)).toBeCloseTo(1, 2);
    expect(mean(2)).toBeCloseTo(0.798, 2);
    expect(mean(4)).toBeCloseTo(0.921, 2);
    expect(mean(8)).toBeCloseTo(0.965, 2);
    expect(collapseMeasure(pointsOf([[1, 2]]))).toBeNull();
    expect(() =>
      collapseMeasure(
        pointsOf([
          [1, Number.NaN],
          [1, 2],
        ]),
      ),
    ).toThrow('expected finite values, got NaN in point 0');
  });
});

describe('unitPoints', () => {
  it('leaves the origin, and its input', () => {
    const points = pointsOf([
      [3, 4],
      [0, 0],
    ]);
    expect([...unitPoints(points).values]).toEqual([0.6, 0.8, 0, 0]);
    expect([...rowOf(points, 0)]).toEqual([3, 4]);
  });
});
