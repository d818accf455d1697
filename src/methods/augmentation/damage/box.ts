/**
 * Axis-parallel boxes of voxels inside a volume: where shuffling and in-painting do their damage.
 */

import type { RandomStream } from '../../../common/random.ts';
import type { Zyx } from '../../../geometry/volume.ts';

/** The voxels start .. start + size - 1 on each axis, in (z, y, x). */
export interface Box {
  readonly start: Zyx;
  readonly size: Zyx;
}

/** The sides a random box may have, both bounds included, in voxels. */
export interface BoxSides {
  readonly least: Zyx;
  readonly most: Zyx;
}

/** The share of each axis as whole voxels, but no fewer than `floor` of them and no more than the axis has. */
export const sideOfShare = (sizeZyx: Zyx, share: number, floor: number): Zyx => {
  const side = (size: number): number => Math.min(size, Math.max(floor, Math.floor(size * share)));
  return [side(sizeZyx[0]), side(sizeZyx[1]), side(sizeZyx[2])];
};

/** A box with uniformly drawn sides at a uniformly drawn place, wholly inside the volume. */
export function sampleBox(stream: RandomStream, sizeZyx: Zyx, sides: BoxSides): Box {
  const start: [number, number, number] = [0, 0, 0];
  const size: [number, number, number] = [0, 0, 0];
  for (let axis = 0; axis < 3; axis++) {
    size[axis] = stream.integer(sides.least[axis], sides.most[axis] + 1);
    start[axis] = stream.integer(0, sizeZyx[axis] - size[axis] + 1);
  }
  return { start, size };
}
