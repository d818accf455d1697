import { describe, expect, it } from 'vitest';
import { curvedTube, ellipsoid, halfSpace, intersection, mirrored, offset, placed, tube, union, without } from './shapes.ts';
import { rotation } from './vectors.ts';

describe('signed distances', () => {
  const ball = ellipsoid([1, 2, 3], [5, 5, 5]);

  it('are exact for a ball', () => {
    expect(ball.distance(1, 2, 11)).toBeCloseTo(3, 10);
    expect(ball.distance(1, 4, 3)).toBeCloseTo(-3, 10);
    expect(ball.distance(1, 2, 3)).toBe(-5);
    expect(offset(ball, 2).distance(1, 2, 11)).toBeCloseTo(1, 10);
  });

  it('are exact for a tube of one radius', () => {
    const bar = tube(
      [
        [0, 0, 0],
        [10, 0, 0],
      ],
      [2, 2],
    );
    expect(bar.distance(5, 5, 0)).toBeCloseTo(3, 10);
    expect(bar.distance(13, 4, 0)).toBeCloseTo(3, 10);
    expect(bar.box).toEqual({ low: [-2, -2, -2], high: [12, 2, 2] });
  });

  it('a curved tube passes through its points', () => {
    const bend = curvedTube(
      [
        [0, 0, 0],
        [10, 5, 0],
        [20, 0, 3],
      ],
      [1, 2, 1],
    );
    expect(bend.distance(10, 5, 0)).toBeCloseTo(-2, 6);
  });

  it('combine as sets do', () => {
    const other = ellipsoid([6, 2, 3], [5, 5, 5]);
    for (const [x, inA, inB] of [
      [-3, true, false],
      [3, true, true],
      [10, false, true],
      [12, false, false],
    ] as const) {
      expect(union([ball, other]).distance(x, 2, 3) < 0).toBe(inA || inB);
      expect(intersection(ball, other).distance(x, 2, 3) < 0).toBe(inA && inB);
      expect(without(ball, other).distance(x, 2, 3) < 0).toBe(inA && !inB);
      expect(mirrored(ball).distance(-x, 2, 3)).toBe(ball.distance(x, 2, 3));
    }
    expect(intersection(ball, halfSpace([1, 0, 0], [1, 0, 0])).distance(3, 2, 3)).toBeCloseTo(2, 10);
  });

  it('move with a frame, and the box with them', () => {
    const frame = { rotation: rotation([0, 0, 90]), scale: [2, 2, 2], origin: [10, 0, 0] } as const;
    // x to y: the centre (1, 2, 3) goes to (10 - 4, 2, 6), the radius to 10.
    const moved = placed(ball, frame);
    expect(moved.distance(6, 2, 19)).toBeCloseTo(3, 10);
    expect(moved.box.low.map((v) => Math.round(v * 1e6) / 1e6)).toEqual([-4, -8, -4]);
  });
});
