/** Mirroring along axes: an exact permutation of the voxels. */

import type { RandomStream } from '../../common/random.ts';
import { checkVoxels } from '../../geometry/check-voxels.ts';
import { emptyLike } from '../../geometry/empty-like.ts';
import type { VoxelArray, Zyx } from '../../geometry/volume.ts';

/** Which axes are mirrored: z, y, x. */
export type Flip = readonly [boolean, boolean, boolean];

/** Mirrors nothing. */
export const NO_FLIP: Flip = [false, false, false];

/** Each axis with the same probability, independently. */
export const sampleFlip = (stream: RandomStream, probability: number): Flip => [
  stream.chance(probability),
  stream.chance(probability),
  stream.chance(probability),
];

/**
 * A copy of D * H * W values with some axes mirrored.
 * @throws RangeError if there are not that many values.
 */
export function flipAxes<Data extends VoxelArray>(values: Data, sizeZyx: Zyx, flip: Flip): Data {
  checkVoxels('flipAxes', values, sizeZyx);
  const out = emptyLike(values);
  const [depth, height, width] = sizeZyx;
  const along = (mirror: boolean, i: number, n: number): number => (mirror ? n - 1 - i : i);
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      const from = (along(flip[0], z, depth) * height + along(flip[1], y, height)) * width;
      const to = (z * height + y) * width;
      for (let x = 0; x < width; x++) out[to + x] = values[from + along(flip[2], x, width)];
    }
  }
  return out;
}
