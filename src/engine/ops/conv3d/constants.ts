/** What the kernels (AssemblyScript) and the lowering (TypeScript) of Winograd's convolutions agree on: both read this file. */

/** Results of a tile along y and x; places of a transformed tile with one first index, 6 along y and 6 along x. */
export const TILE = 4;
export const PLACES = 36;
/** By which the places of a transformed tensor are padded, so that they don't fall into the same cache sets. */
export const CACHE_LINE_BYTES = 64;
/** Input blocks whose weights are transformed at a time, where they are transformed where they are used. */
export const WEIGHT_BLOCKS = 4;
