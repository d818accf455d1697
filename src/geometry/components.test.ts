import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { componentsOf } from './components.ts';
import type { Xyz } from './volume.ts';

/** By flooding, voxel by voxel. */
function flooded(data: Uint8Array, [nx, ny, nz]: Xyz): number[] {
  const of = new Array<number>(data.length).fill(-1);
  let count = 0;
  for (let seed = 0; seed < data.length; seed++) {
    if (data[seed] === 0 || of[seed] >= 0) continue;
    const open = [seed];
    of[seed] = count;
    for (let i = open.pop(); i !== undefined; i = open.pop()) {
      const [x, y, z] = [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))];
      for (let dz = -1; dz <= 1; dz++)
        for (let dy = -1; dy <= 1; dy++)
          for (let dx = -1; dx <= 1; dx++) {
            const [u, v, w] = [x + dx, y + dy, z + dz];
            if (u < 0 || v < 0 || w < 0 || u >= nx || v >= ny || w >= nz) continue;
            const j = (w * ny + v) * nx + u;
            if (data[j] !== data[i] || of[j] >= 0) continue;
            of[j] = count;
            open.push(j);
          }
    }
    count++;
  }
  return of;
}

describe('componentsOf', () => {
  it('finds two parts of a structure in a row, one of another that touch at a corner', () => {
    const data = Uint8Array.of(1, 0, 1, 2, 2, 0, 0, 2);
    //                         1 0 1 2 | 2 0 0 2
    const { components } = componentsOf(data, [4, 2, 1]);
    expect(components).toEqual([
      { code: 1, voxels: 1 },
      { code: 1, voxels: 1 },
      { code: 2, voxels: 2 },
      { code: 2, voxels: 1 },
    ]);
  });

  it('agrees with flooding on random label maps', () => {
    for (let k = 0; k < 60; k++) {
      const stream = randomStream(5, 'components', k);
      const size: Xyz = [1 + (k % 9), 1 + (k % 7), 1 + (k % 5)];
      const data = Uint8Array.from({ length: size[0] * size[1] * size[2] }, () => Math.floor(stream.uniform(0, 3.5)) % 3);
      const { components, starts, lengths, of } = componentsOf(data, size);
      const found = new Array<number>(data.length).fill(-1);
      starts.forEach((start, run) => {
        found.fill(of[run], start, start + lengths[run]);
      });
      expect(found).toEqual(flooded(data, size));
      for (const [c, { voxels }] of components.entries()) expect(found.filter((one) => one === c).length).toBe(voxels);
    }
  });
});
