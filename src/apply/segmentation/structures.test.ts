import { expect, it } from 'vitest';
import { structuresOf } from './structures.ts';

it('measures volumes by how much space voxels take, sheared ones too', () => {
  // axes x and y at 60 degrees: a voxel of 2 x 2 x 5 mm takes 2 * 2 * sin(60) * 5 mm^3
  const geometry = {
    size: [4, 1, 1],
    spacingMm: [2, 2, 5],
    originMm: [0, 0, 0],
    direction: [1, 0.5, 0, 0, Math.sqrt(0.75), 0, 0, 0, 1],
  } as const;
  const labels = [0, 7, 9].map((code) => ({ code, name: `structure ${code}` }));
  const map = { geometry, data: Uint8Array.of(7, 0, 7, 7) };
  const [found, missing] = structuresOf(map, labels);
  expect(found).toMatchObject({ code: 7, voxels: 3 });
  expect(found.volumeMl).toBeCloseTo((3 * 20 * Math.sqrt(0.75)) / 1000, 12);
  expect(missing).toMatchObject({ code: 9, voxels: 0, volumeMl: 0 });
});
