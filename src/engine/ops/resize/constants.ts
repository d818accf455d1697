/** What the kernels (AssemblyScript) and the lowering (TypeScript) of resizing agree on: both read this file. */

/** A thread's scratch: a table of (address, weight), 4 rows forward and at most 25 backward; then a row of the larger volume. */
export const TABLE_BYTES = 256;
