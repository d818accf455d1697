/**
 * Volume Fusion (Wang et al., "MIS-FM: 3D medical image segmentation using foundation models pretrained on a large-scale unannotated dataset",
 * arXiv 2306.16925): crops a and b of two subjects are fused box by box, k/K a + (1 - k/K) b, and the network tells k at every voxel: a
 * segmentation that no one had to draw.
 *
 * Outside all boxes k is 0: the image is b. Each box has a k from 1 to K, equally likely; where boxes overlap, the later one counts. Ten to
 * forty boxes are what the authors use (their code, PyMIC, `VolumeFusion_block_range`).
 */

import type { RandomStream } from '../../common/random.ts';
import { checkChannels, checkVoxels } from '../../geometry/check-voxels.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { type Box, sampleBox, sideOfShare, visitBox } from './damage/box.ts';

export interface FusionOptions {
  /** K, from 1 to 255: k goes from 0 to K, so there are K + 1 classes. */
  readonly levels: number;
  /** Least and largest number of boxes. */
  readonly boxes: readonly [number, number];
  /** Least and largest side of a box as shares of the patch's side. */
  readonly shares: readonly [number, number];
}

export const DEFAULT_FUSION: FusionOptions = { levels: 4, boxes: [10, 40], shares: [1 / 8, 1 / 3] };

export interface FusedBox extends Box {
  /** The share of a, in parts of 1 / levels. */
  readonly k: number;
}

export interface FusionPlan {
  readonly levels: number;
  readonly boxes: readonly FusedBox[];
}

/**
 * Draws how two crops of `sizeZyx` voxels are fused. Options left out are the specification's.
 * @throws RangeError if the number of levels is not a whole one from 1 to 255.
 */
export function sampleFusion(stream: RandomStream, sizeZyx: Zyx, options: Partial<FusionOptions> = {}): FusionPlan {
  const { levels, boxes, shares } = { ...DEFAULT_FUSION, ...options };
  if (!(Number.isInteger(levels) && levels >= 1 && levels <= 255)) {
    throw new RangeError(`sampleFusion: expected 1 to 255 levels, got ${levels}`);
  }
  const sides = { least: sideOfShare(sizeZyx, shares[0], 1), most: sideOfShare(sizeZyx, shares[1], 1) };
  const count = stream.integer(boxes[0], boxes[1] + 1);
  return {
    levels,
    boxes: Array.from({ length: count }, () => ({ ...sampleBox(stream, sizeZyx, sides), k: stream.integer(1, levels + 1) })),
  };
}

export interface Fusion {
  /** (C, D, H, W) intensities; in [0, 1] if those of both crops are. */
  readonly fused: Float32Array<ArrayBuffer>;
  /** k of every voxel, in all channels alike. */
  readonly classes: Uint8Array<ArrayBuffer>;
}

/**
 * Fuses two crops.
 * @param a (C, D, H, W) intensities; not changed, like b.
 * @throws RangeError if one of them does not have that size.
 */
export function applyFusion(a: Float32Array, b: Float32Array, sizeZyx: Zyx, { levels, boxes }: FusionPlan): Fusion {
  const channels = checkChannels('applyFusion', a, sizeZyx);
  checkVoxels('applyFusion', b, sizeZyx, channels);
  const voxels = voxelCount(sizeZyx);
  const classes = new Uint8Array(voxels);
  for (const box of boxes) {
    visitBox(sizeZyx, box, (voxel) => {
      classes[voxel] = box.k;
    });
  }
  const fused = new Float32Array(b.length);
  for (let at = 0; at < fused.length; at++) {
    const share = classes[at % voxels] / levels;
    fused[at] = share * a[at] + (1 - share) * b[at];
  }
  return { fused, classes };
}
