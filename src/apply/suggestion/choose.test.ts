import { describe, expect, it } from 'vitest';
import { chooseNext, inPlane, standardised } from './choose.ts';

/** Points on a line: two clusters, and one by itself far away. */
const LINE = [0, 1, 2, 20, 21, 22, 60].map((x) => [x, 7]);
const all = LINE.map((_, i) => i);

describe('chooseNext', () => {
  it('covers: first the middle of the whole, then what brings most nearer', () => {
    const { chosen, meanDistance } = chooseNext(standardised(LINE), [], all, 3, 'coverage');
    expect(chosen[0].point).toBe(3);
    expect(chosen[0].distance).toBe(null);
    // the three of the other cluster together gain more than the odd one
    expect(chosen.map(({ point }) => point)).toEqual([3, 1, 6]);
    expect(chosen.map(({ standsFor }) => standsFor)).toEqual([3, 3, 1]);
    expect(meanDistance.before).toBe(null);
  });

  it('k-centre takes the extremes first', () => {
    const { chosen } = chooseNext(standardised(LINE), [], all, 3, 'k-centre');
    expect(chosen.map(({ point }) => point)).toEqual([3, 6, 0]);
  });

  it('does not suggest again what labelled subjects stand for', () => {
    const points = standardised(LINE);
    const { chosen, meanDistance } = chooseNext(points, [4], [0, 1, 2, 3, 5], 1, 'coverage');
    expect(chosen[0].point).toBe(1);
    expect(meanDistance.after).toBeLessThan(meanDistance.before!);
    expect(() => chooseNext(points, [4], [0], 2, 'coverage')).toThrow('2 of 1 candidates');
  });

  it('counts every feature alike, whatever its scale, and none that is constant', () => {
    const { values } = standardised([
      [0, 1000, 5],
      [1, 3000, 5],
    ]);
    const expected = 1 / Math.sqrt(3);
    expect(Array.from(values)).toEqual(
      [-expected, -expected, 0, expected, expected, 0].map((value) => expect.closeTo(value, 12)),
    );
    expect(
      inPlane(standardised(LINE))
        .map(([x]) => Math.sign(x))
        .slice(0, 2),
    ).toEqual(Array(2).fill(-Math.sign(inPlane(standardised(LINE))[6][0])));
  });
});
