/** One line that typed arrays of voxels need: TypeScript cannot see of which type one is that another's constructor makes. */

import type { VoxelArray } from './volume.ts';

/** An array of the same type, all zero. */
export const emptyLike = <Data extends VoxelArray>(data: Data, length = data.length): Data =>
  new (data.constructor as new (length: number) => Data)(length);
