/** One line that the typed arrays of labels need: TypeScript cannot see that a copy of a Uint8Array is one. */

import type { VoxelArray } from '../geometry/volume.ts';

/** An array of the same type and length, all zero. */
export const emptyLike = <Data extends VoxelArray>(data: Data): Data => data.slice().fill(0) as Data;
