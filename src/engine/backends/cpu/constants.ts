/**
 * Numbers that the kernels and what runs them agree on. TypeScript and AssemblyScript both read this file, so it holds only what means
 * the same in both: literals, and products of them.
 */

/** Channels in a block, and bytes of a voxel of a block. */
export const BLOCK = 8;
export const VOXEL_BYTES = 4 * BLOCK;

/** Bytes of a thread's scratch for inner buffers whose size is fixed (a convolution's 27 x 64 sums). What grows lies behind them. */
export const FIXED_SCRATCH = 65536;

/** Floats of a chunk (flat.as.ts): two of them stay in the first-level cache. */
export const CHUNK_FLOATS = 4096;

/**
 * Bytes from the threads' control words to those that the host knows: how many waves are over, and jobs were given, for which threads wait; whether
 * waits are timed, and every thread's, as doubles. The others are scheduler.as.ts's own; what is shared with nobody lies from FREE_WORDS on.
 */
export const WAVE = 64;
export const JOB = 128;
export const TIMED = 384;
export const FREE_WORDS = 1024;
export const WAITED = 2048;
/** A word for each thread from here on, each on a cache line of its own: see scheduler.as.ts. */
export const RANGES = 4096;
export const RANGE_BYTES = 64;
