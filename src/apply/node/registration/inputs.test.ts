import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rasGeometry } from '../../../geometry/orientation.ts';
import type { Geometry } from '../../../geometry/volume.ts';
import { writeImage } from '../../../images/node/write.ts';
import { readLabelsOf } from './inputs.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-labels-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('a label map that was cut to what it marks has background around it, and that is said', async () => {
  // x to the left and z down: not as RAS has them
  const grid: Geometry = {
    size: [4, 3, 3],
    spacingMm: [1, 2, 3],
    originMm: [10, 20, 30],
    direction: [1, 0, 0, 0, -1, 0, 0, 0, -1],
  };
  const path = join(folder, 'cut.nii.gz');
  // the voxels x 1 to 2, y 1, z 1 to 2
  await writeImage(path, {
    geometry: { ...grid, size: [2, 1, 2], originMm: [11, 18, 27] },
    data: Uint8Array.of(5, 5, 5, 5),
  });
  const { volume, codes, warnings } = await readLabelsOf(path, { path: 'image.nii.gz', grid, ras: rasGeometry(grid) });
  const expected = new Uint8Array(36);
  for (const z of [1, 2]) for (const x of [1, 2]) expected[(z * 3 + 1) * 4 + x] = 5;
  expect([...volume.data]).toEqual([...expected]);
  expect([...codes]).toEqual([5]);
  expect(warnings).toEqual([`${path}: covers a box of the image's grid alone; background around it`]);
});
