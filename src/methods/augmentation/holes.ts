/**
 * Holes for in-painting: boxes of uniform noise until a given share of the volume is covered, and where they are
 * (Pathak et al., "Context encoders: feature learning by inpainting", CVPR 2016; boxes of noise as in Models Genesis).
 */

import { childSeed } from '../../common/child-seed.ts';
import type { RandomStream } from '../../common/random.ts';
import { splitChannels } from '../../geometry/channels.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { type Box, sampleBox, sideOfShare, visitBox } from './damage/box.ts';
import { type InPaintingPlan, inPaint } from './damage/in-painting.ts';

export interface HoleOptions {
  /** Boxes are drawn until they cover this share of the volume. The last one may go beyond it, by less than its own volume. */
  readonly coverage: number;
  /** Least and largest side of a box as shares of the patch's side. */
  readonly shares: readonly [number, number];
}

export const DEFAULT_HOLES: HoleOptions = { coverage: 1 / 4, shares: [1 / 8, 1 / 4] };

/**
 * Draws holes for a patch of `sizeZyx` voxels. Options left out are the specification's.
 * @throws RangeError if the coverage lies outside (0, 1).
 */
export function sampleHoles(stream: RandomStream, sizeZyx: Zyx, options: Partial<HoleOptions> = {}): InPaintingPlan {
  const { coverage, shares } = { ...DEFAULT_HOLES, ...options };
  // at 1 the last voxels would be waited for, box by box
  if (!(coverage > 0 && coverage < 1)) throw new RangeError(`sampleHoles: expected a coverage in (0, 1), got ${coverage}`);
  const sides = { least: sideOfShare(sizeZyx, shares[0], 1), most: sideOfShare(sizeZyx, shares[1], 1) };
  const wanted = coverage * voxelCount(sizeZyx);
  const covered = new Uint8Array(voxelCount(sizeZyx));
  const boxes: Box[] = [];
  let count = 0;
  while (count < wanted) {
    const box = sampleBox(stream, sizeZyx, sides);
    boxes.push(box);
    visitBox(sizeZyx, box, (voxel) => {
      count += 1 - covered[voxel];
      covered[voxel] = 1;
    });
  }
  return { boxes, seed: childSeed(stream) };
}

/** What the network sees, and where. */
export interface Holes {
  /** (C, D, H, W) intensities in [0, 1]. */
  readonly view: Float32Array<ArrayBuffer>;
  /** 1 inside the holes, which are in all channels, 0 elsewhere; of the view's shape. */
  readonly mask: Float32Array<ArrayBuffer>;
}

/**
 * A patch with holes, in all channels: another contrast would give the answer away.
 * @param image (C, D, H, W) intensities in [0, 1]; not changed.
 * @throws RangeError if the image does not have that size.
 */
export function applyHoles(image: Float32Array, sizeZyx: Zyx, plan: InPaintingPlan): Holes {
  const view = Float32Array.from(image);
  const mask = new Float32Array(image.length);
  inPaint(view, sizeZyx, plan);
  for (const channel of splitChannels(mask, sizeZyx))
    for (const box of plan.boxes)
      visitBox(sizeZyx, box, (voxel) => {
        channel[voxel] = 1;
      });
  return { view, mask };
}
