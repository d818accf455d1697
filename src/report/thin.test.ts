import { describe, expect, it } from 'vitest';
import { aligned } from './thin.ts';

describe('curves on a screen', () => {
  it('stand as they are while they fit, over the steps of all', () => {
    const curves = [
      { steps: [1, 3, 5], values: [10, 30, 50] },
      { steps: [3, 4], values: [null, 4] },
    ];
    expect(aligned(curves, 1, 5, 10)).toEqual({
      steps: [1, 3, 4, 5],
      curves: [
        [10, 30, null, 50],
        [null, null, 4, null],
      ],
    });
    expect(aligned([], 0, 1, 10)).toEqual({ steps: [], curves: [] });
  });

  it('keep every spike of a hundred thousand steps', () => {
    const steps = Array.from({ length: 100_000 }, (_, i) => i + 1);
    const values = steps.map((step) => (step === 70_003 ? 9 : step === 20_001 ? -9 : Math.sin(step)));
    const { steps: at, curves } = aligned([{ steps, values }], 1, 100_000, 300);
    expect(at).toHaveLength(600);
    expect(at.toSorted((a, b) => a - b)).toEqual(at);
    for (const [spike, where] of [
      [9, 70_003],
      [-9, 20_001],
    ]) {
      const place = curves[0].indexOf(spike);
      expect(Math.abs(at[place] - where)).toBeLessThan(100_000 / 300);
    }
    expect(curves[0].filter((value) => value !== null && Math.abs(value) > 1)).toEqual([-9, 9]);
  });

  it('show a part of the steps in full, with the points beyond its edges', () => {
    const steps = Array.from({ length: 1000 }, (_, i) => i);
    const { steps: at } = aligned([{ steps, values: steps }], 500, 510, 20);
    expect(at).toEqual([499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510]);
  });
});
