/**
 * Local shuffling: the voxels inside each of many small boxes are permuted, so that fine texture is lost while the coarse
 * anatomy stays (docs/method.md, section 7; the idea is Models Genesis', Zhou et al., MICCAI 2019).
 *
 * Every box has a permutation of its own. Boxes are worked on one after another, in place, so where they overlap their
 * permutations compose: the whole volume keeps exactly the values that it had. The plan holds a seed instead of thousands of
 * boxes: it stays small enough to be logged with every sample, and replays to the same voxels.
 */

import { childSeed } from '../../../common/child-seed.ts';
import { type RandomStream, randomStream } from '../../../common/random.ts';
import type { Zyx } from '../../../geometry/volume.ts';
import { type Box, type BoxSides, sampleBox, sideOfShare } from './box.ts';

export interface ShufflingPlan extends BoxSides {
  readonly boxes: number;
  /** Names the boxes and their permutations. */
  readonly seed: number;
}

/** The least side, in voxels, of a box whose shuffling changes anything. */
const MIN_SIDE = 2;

/** Draws the shuffling of a number of boxes whose sides are at most this share of the patch's. */
export const sampleShuffling = (
  stream: RandomStream,
  sizeZyx: Zyx,
  options: { readonly boxes: number; readonly share: number },
): ShufflingPlan => ({
  boxes: options.boxes,
  least: sideOfShare(sizeZyx, 0, MIN_SIDE),
  most: sideOfShare(sizeZyx, options.share, MIN_SIDE),
  seed: childSeed(stream),
});

/** Permutes the voxels of one box in place (Fisher-Yates on the box's own numbering of its voxels). */
export function shuffleBox(stream: RandomStream, image: Float32Array, sizeZyx: Zyx, box: Box): void {
  const [depth, height, width] = box.size;
  const [, rows, columns] = sizeZyx;
  const corner = (box.start[0] * rows + box.start[1]) * columns + box.start[2];
  const plane = height * width;
  const place = (voxel: number): number => {
    const z = (voxel / plane) | 0;
    const inPlane = voxel - z * plane;
    const y = (inPlane / width) | 0;
    return corner + (z * rows + y) * columns + (inPlane - y * width);
  };
  for (let voxel = depth * plane - 1; voxel > 0; voxel--) {
    const here = place(voxel);
    const there = place(stream.integer(0, voxel + 1));
    const held = image[here];
    image[here] = image[there];
    image[there] = held;
  }
}

/** Shuffles `image` (D * H * W, changed in place) inside every box of the plan. */
export function shuffleLocally(image: Float32Array, sizeZyx: Zyx, plan: ShufflingPlan): void {
  const stream = randomStream(plan.seed, 'local-shuffling');
  for (let i = 0; i < plan.boxes; i++) shuffleBox(stream, image, sizeZyx, sampleBox(stream, sizeZyx, plan));
}
