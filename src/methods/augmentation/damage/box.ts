/**
 * Axis-parallel boxes of voxels inside a volume: where shuffling, in-painting, out-painting and fusion take place.
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
  /** Voxels that a box keeps from the border, as far as its side allows. Default 0. */
  readonly margin?: number;
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
    const room = sizeZyx[axis] - size[axis];
    const margin = Math.min(sides.margin ?? 0, room >> 1);
    start[axis] = stream.integer(margin, room - margin + 1);
  }
  return { start, size };
}

/** Calls `visit` with the index of every voxel of the box in a volume of `sizeZyx`, in memory order. */
export function visitBox(sizeZyx: Zyx, { start, size }: Box, visit: (voxel: number) => void): void {
  const [, rows, columns] = sizeZyx;
  for (let z = start[0]; z < start[0] + size[0]; z++) {
    for (let y = start[1]; y < start[1] + size[1]; y++) {
      const row = (z * rows + y) * columns;
      for (let x = start[2]; x < start[2] + size[2]; x++) visit(row + x);
    }
  }
}
