import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { contoursOf, isInside } from './contours.ts';

const of = (...rows: string[]) => contoursOf(rows[0].length, rows.length, (x, y) => rows[y][x] === '#');

describe('contoursOf', () => {
  it('goes half-way between voxels inside and outside', () => {
    expect(of('#').map((polygon) => [...polygon])).toEqual([[0, -0.5, -0.5, 0, 0, 0.5, 0.5, 0]]);
    // an edge along voxels has its ends alone
    expect(of('....', '.##.', '....')[0].length / 2).toBe(6);
  });

  it('has a polygon for each part, and holes cut into what they lie in', () => {
    expect(of('#.#', '.#.').length).toBe(3);
    const [ring, core, ...others] = of('#####', '#...#', '#.#.#', '#...#', '#####');
    expect(others).toEqual([]);
    expect([isInside(0, 0, [ring]), isInside(1, 1, [ring]), isInside(2, 2, [ring]), isInside(2, 2, [core])]).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  it('gives every mask back', () => {
    for (let k = 0; k < 200; k++) {
      const stream = randomStream(7, 'contours', k);
      const [width, height] = [1 + (k % 11), 1 + (k % 13)];
      const mask = Uint8Array.from({ length: width * height }, () => (stream.uniform(0, 1) < 0.3 + 0.5 * (k % 2) ? 1 : 0));
      const polygons = contoursOf(width, height, (x, y) => mask[y * width + x] === 1);
      const back = mask.map((_, i) => (isInside(i % width, Math.floor(i / width), polygons) ? 1 : 0));
      expect(back).toEqual(mask);
    }
  });
});
