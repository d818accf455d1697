/**
 * The mask of MAE (He et al., "Masked autoencoders are scalable vision learners", CVPR 2022, in 3D): the patch is cut into a grid of cubes, and
 * a given share of them is hidden, each choice of cubes equally likely. Hidden voxels are 0.
 *
 * The grid starts at the patch's first voxel. Where a side is not a multiple of the cube's, the last cubes along it are cut off by the border and
 * are hidden as often as whole ones: the number of hidden cubes is exact, the number of hidden voxels then is so on average.
 */

import { childSeed } from '../../common/child-seed.ts';
import { type RandomStream, randomStream } from '../../common/random.ts';
import { checkChannels } from '../../geometry/check-voxels.ts';
import { perAxis, voxelCount, type Zyx } from '../../geometry/volume.ts';
import { visitBox } from './damage/box.ts';
import type { Holes } from './holes.ts';

export interface CubeMaskOptions {
  /** Share of the cubes that are hidden, rounded to whole cubes; at least one is. */
  readonly share: number;
  /** Side of a cube; `auto`: 16, or 8 for patches with a side under 64. */
  readonly sideVoxels: number | 'auto';
}

export const DEFAULT_CUBE_MASK: CubeMaskOptions = { share: 0.75, sideVoxels: 'auto' };

export interface CubeMaskPlan {
  readonly sideVoxels: number;
  /** How many cubes are hidden. */
  readonly hidden: number;
  /** Names which. */
  readonly seed: number;
}

/** Patches with a side below this many voxels have cubes of half the side. */
const LARGE_PATCH = 64;

/** Cubes along each axis, cut-off ones included. */
const gridOf = (sizeZyx: Zyx, side: number): Zyx => [
  Math.ceil(sizeZyx[0] / side),
  Math.ceil(sizeZyx[1] / side),
  Math.ceil(sizeZyx[2] / side),
];

/**
 * Draws which cubes of a patch of `sizeZyx` voxels are hidden. Options left out are the specification's.
 * @throws RangeError if the share lies outside (0, 1], or the side is not a whole number of voxels.
 */
export function sampleCubeMask(stream: RandomStream, sizeZyx: Zyx, options: Partial<CubeMaskOptions> = {}): CubeMaskPlan {
  const { share, sideVoxels } = { ...DEFAULT_CUBE_MASK, ...options };
  const side = sideVoxels === 'auto' ? (Math.min(...sizeZyx) < LARGE_PATCH ? 8 : 16) : sideVoxels;
  if (!(share > 0 && share <= 1)) throw new RangeError(`sampleCubeMask: expected a share in (0, 1], got ${share}`);
  if (!(Number.isInteger(side) && side > 0)) {
    throw new RangeError(`sampleCubeMask: expected a side of whole voxels, at least 1, got ${side}`);
  }
  return {
    sideVoxels: side,
    hidden: Math.max(1, Math.round(share * voxelCount(gridOf(sizeZyx, side)))),
    seed: childSeed(stream),
  };
}

/**
 * The patch with cubes set to 0 in all channels (as a patch of MAE is hidden with all its colours), and the mask that is 1 there.
 * @param image (C, D, H, W) intensities; not changed.
 * @throws RangeError if the image does not have that size, or the plan hides more cubes than it has.
 */
export function applyCubeMask(image: Float32Array, sizeZyx: Zyx, { sideVoxels, hidden, seed }: CubeMaskPlan): Holes {
  const channels = checkChannels('applyCubeMask', image, sizeZyx);
  const voxels = voxelCount(sizeZyx);
  const grid = gridOf(sizeZyx, sideVoxels);
  const cubes = voxelCount(grid);
  if (hidden > cubes) {
    throw new RangeError(
      `applyCubeMask: expected at most ${cubes} hidden cubes for shape [${sizeZyx.join(', ')}], got ${hidden}`,
    );
  }
  const view = Float32Array.from(image);
  const mask = new Float32Array(image.length);
  for (const cube of randomStream(seed, 'cube-mask').permutation(cubes).subarray(0, hidden)) {
    const place = [Math.floor(cube / (grid[1] * grid[2])), Math.floor(cube / grid[2]) % grid[1], cube % grid[2]];
    const start = place.map((at) => at * sideVoxels) as unknown as Zyx;
    const size = perAxis(start, (from, axis) => Math.min(sideVoxels, sizeZyx[axis] - from));
    visitBox(sizeZyx, { start, size }, (voxel) => {
      for (let c = 0; c < channels; c++) {
        view[c * voxels + voxel] = 0;
        mask[c * voxels + voxel] = 1;
      }
    });
  }
  return { view, mask };
}
