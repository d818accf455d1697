/**
 * The one check that every function here makes of an array it is given: its length must be that of the volume it is said to be.
 * A mismatch is a defect of the caller, not of the user's input, hence a plain RangeError.
 */

import { voxelCount, type Zyx } from './volume.ts';

/**
 * Checks that `values` holds `channels` volumes of `sizeZyx`, and returns the voxels of one.
 * @throws RangeError naming the function, what it expected and what came.
 */
export function checkVoxels(caller: string, values: ArrayLike<number>, sizeZyx: Zyx, channels = 1): number {
  const voxels = voxelCount(sizeZyx);
  if (values.length !== channels * voxels) {
    const shape = [...(channels === 1 ? [] : [channels]), ...sizeZyx].join(', ');
    throw new RangeError(`${caller}: expected ${channels * voxels} values for shape [${shape}], got ${values.length}`);
  }
  return voxels;
}

/**
 * Checks that `values` holds one or more volumes of `sizeZyx`, and returns how many.
 * @throws RangeError naming the function, what it expected and what came.
 */
export function checkChannels(caller: string, values: ArrayLike<number>, sizeZyx: Zyx): number {
  const channels = Math.max(1, Math.floor(values.length / voxelCount(sizeZyx)));
  checkVoxels(caller, values, sizeZyx, channels);
  return channels;
}
