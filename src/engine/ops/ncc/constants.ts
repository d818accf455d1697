/** What the kernels (AssemblyScript) and the other sides (TypeScript) of local NCC agree on: both read this file. */

/** Added to the denominator, against division by zero. */
export const EPSILON = 1e-5;
/** A variance below this share of its sum of squares is rounding error of double running sums, and counts as zero. */
export const VARIANCE_FLOOR = 1e-11;

/** Fields of a window sum: of a, b, a^2, b^2, ab; and of the mask, if there is one. */
export const WINDOW_FIELDS = 5;
export const MASKED_FIELDS = 6;
/** Of u, v, and u mean_b - 2 v mean_a. */
export const GRADIENT_FIELDS = 3;

/** Doubles of a row: an even number, what is beyond the last voxel is zero. */
export function paddedWidth(width: number): number {
  return 2 * Math.ceil(width / 2);
}
/** Bytes of a line for sums over x: zeros for half a window before and after a row. */
export function lineBytes(width: number, window: number): number {
  return 8 * (paddedWidth(width) + window + 1);
}
/** Bytes of a unit's scratch: ring [window][field][x], lines [field][x]. */
export function unitBytes(width: number, window: number, fields: number): number {
  return fields * (8 * window * paddedWidth(width) + lineBytes(width, window));
}
