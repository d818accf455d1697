import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { chiSquareTail, compareRanks, rangeQuantile, rangeTail, ranksOf } from './ranks.ts';

/** What SciPy found: scripts/make-cluster-goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('./testing/cluster-goldens.json', import.meta.url), 'utf8')) as {
  ranks: { scores: number[][]; ranks: number[]; statistic: number; p: number; criticalDifference: number }[];
};

describe('compareRanks', () => {
  it.each(goldens.ranks.map((golden, i) => [i, golden] as const))('agrees with SciPy, case %i', (_, golden) => {
    const found = compareRanks(golden.scores);
    expect(found.ranks.length).toBe(golden.ranks.length);
    golden.ranks.forEach((rank, i) => {
      expect(found.ranks[i]).toBeCloseTo(rank, 12);
    });
    expect(found.statistic).toBeCloseTo(golden.statistic, 10);
    expect(found.p! / golden.p).toBeCloseTo(1, 9);
    expect(found.criticalDifference).toBeCloseTo(golden.criticalDifference, 7);
    // lower scores better: the same the other way round
    const negative = golden.scores.map((task) => task.map((score) => -score));
    expect(compareRanks(negative, { higherIsBetter: false })).toEqual(found);
  });

  it("has Demsar's critical values", () => {
    // table 5 (a) of the paper: q at 0.05 and 0.10 for 2, 5 and 10 classifiers
    [
      [2, 1.96, 1.645],
      [5, 2.728, 2.4595],
      [10, 3.164, 2.92],
    ].forEach(([methods, five, ten]) => {
      expect(rangeQuantile(0.05, methods) / Math.SQRT2).toBeCloseTo(five, 3);
      expect(rangeQuantile(0.1, methods) / Math.SQRT2).toBeCloseTo(ten, 3);
    });
    expect(rangeTail(rangeQuantile(0.05, 7), 7)).toBeCloseTo(0.05, 10);
    expect(rangeTail(0, 3)).toBe(1);
  });

  it('groups methods that do not differ, the largest groups alone', () => {
    // ten tasks, always in the same order: mean ranks 1 to 6; the critical difference of 6 methods is 2.38
    const scores = Array.from({ length: 10 }, () => [1, 6, 3, 4, 5, 2]);
    const { ranks, groups, criticalDifference } = compareRanks(scores);
    expect(ranks).toEqual([6, 1, 4, 3, 2, 5]);
    expect(criticalDifference).toBeCloseTo(2.384, 3);
    expect(groups).toEqual([
      [1, 4, 3],
      [4, 3, 2],
      [3, 2, 5],
      [2, 5, 0],
    ]);
    // twice as far apart as may be: nobody is with anybody
    expect(compareRanks(Array.from({ length: 100 }, () => [3, 2, 1])).groups).toEqual([]);
    expect(
      compareRanks([
        [1, 2],
        [2, 1],
      ]).groups,
    ).toEqual([[0, 1]]);
  });

  it('shares ranks, and has no test where everything ties', () => {
    expect(ranksOf([0.5, 0.9, 0.5, 0.1])).toEqual([2.5, 1, 2.5, 4]);
    expect(ranksOf([0.5, 0.9, 0.5, 0.1], false)).toEqual([2.5, 4, 2.5, 1]);
    expect(
      compareRanks([
        [1, 1, 1],
        [2, 2, 2],
      ]),
    ).toMatchObject({ ranks: [2, 2, 2], statistic: null, p: null, groups: [[0, 1, 2]] });
  });

  it('says what it expected', () => {
    expect(() => compareRanks([[1, 2]])).toThrow('expected at least 2 tasks and 2 methods, got 1 and 2');
    expect(() => compareRanks([[1, 2], [1]])).toThrow('expected 2 scores in task 1, got 1');
    expect(() =>
      compareRanks([
        [1, 2],
        [1, Number.NaN],
      ]),
    ).toThrow('expected finite scores in task 1, got NaN');
  });
});

describe('chiSquareTail', () => {
  it('has the critical values of the tables', () => {
    for (const [x, degrees] of [
      [3.841, 1],
      [5.991, 2],
      [7.815, 3],
      [18.307, 10],
      [24.996, 15],
    ]) {
      expect(chiSquareTail(x, degrees)).toBeCloseTo(0.05, 4);
    }
    expect(chiSquareTail(0, 4)).toBe(1);
  });
});
