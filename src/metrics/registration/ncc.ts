/**
 * Local normalised cross-correlation as a measure: the mean, over all voxels, of the squared correlation of two volumes in a
 * cubic window. It is 1 minus the loss of the paper's equation 7, in double precision and without the engine, for held-out pairs and
 * whole images. It says how alike the intensities are, not whether the anatomy is matched (docs/method.md, section 10).
 *
 * With sums over a window of n voxels (zero padded at the border) of a, b, a^2, b^2 and ab,
 *   cross = S_ab - S_a S_b / n,  var = S_aa - S_a^2 / n,  result = mean of cross^2 / (var_a var_b + 1e-5).
 * These differences lose all digits on Hounsfield-sized input, so the sums are taken of a' = a - c with c the middle of the
 * volume's range. Of a window's n voxels only m lie inside and are shifted, hence the exact correction, zero away from the border:
 *   var = S_a'a' - S_a'^2 / n + (1 - m / n) (2 c S_a' + m c^2), and for cross accordingly.
 * What rounding can still do (a negative variance, a ratio above 1) is bounded.
 *
 * Sums are running ones along each axis, one plane at a time: memory is for as many planes as the window has.
 */

import { checkVoxels } from '../../geometry/check-voxels.ts';
import type { Zyx } from '../../geometry/volume.ts';

/** Of the published loss: keeps the quotient finite where a window is constant. */
const EPSILON = 1e-5;
/** The sums that a window needs: a, b, a^2, b^2, ab. */
const SUMS = 5;

/** The middle of the range. A constant volume minus it is exactly zero. */
function middle(values: Float32Array): number {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return least / 2 + most / 2;
}

/** Window sums along one axis of a plane: `lines` lines, `lineStride` apart, of `length` values, `stride` apart. */
function windowSums(
  source: Float64Array,
  out: Float64Array,
  axis: { length: number; stride: number; lines: number; lineStride: number },
  radius: number,
): void {
  const { length, stride, lines, lineStride } = axis;
  for (let line = 0; line < lines; line++) {
    const start = line * lineStride;
    let sum = 0;
    for (let i = 0; i < Math.min(radius, length); i++) sum += source[start + i * stride];
    for (let i = 0; i < length; i++) {
      if (i + radius < length) sum += source[start + (i + radius) * stride];
      if (i - radius > 0) sum -= source[start + (i - radius - 1) * stride];
      out[start + i * stride] = sum;
    }
  }
}

/** Voxels of a window about `i` that lie inside an axis. */
const insideWindow = (i: number, length: number, radius: number): number =>
  Math.min(length - 1, i + radius) - Math.max(0, i - radius) + 1;

/**
 * Similarity in [0, 1] of two finite volumes of D * H * W voxels; 1 is a locally linear relation everywhere.
 * @param window odd side of the window in voxels; the paper's is 9.
 * @throws RangeError if a volume does not have that size or the window is not odd.
 */
export function ncc(a: Float32Array, b: Float32Array, sizeZyx: Zyx, window = 9): number {
  const voxels = checkVoxels('ncc', a, sizeZyx);
  checkVoxels('ncc', b, sizeZyx);
  if (!(window > 0 && window % 2 === 1)) throw new RangeError(`ncc: expected an odd window, got ${window}`);
  const [depth, height, width] = sizeZyx;
  const radius = (window - 1) / 2;
  const n = window ** 3;
  const plane = height * width;
  const [shiftA, shiftB] = [middle(a), middle(b)];

  const buffers = (count: number): Float64Array[] => Array.from({ length: count }, () => new Float64Array(plane));
  const products = buffers(SUMS);
  const alongX = new Float64Array(plane);
  const totals = buffers(SUMS);
  /** The in-plane sums of the last `window` planes; slot of plane z is z modulo window. */
  const recent = Array.from({ length: Math.min(window, depth) }, () => buffers(SUMS));

  const enter = (z: number): void => {
    for (let i = 0; i < plane; i++) {
      const valueA = a[z * plane + i] - shiftA;
      const valueB = b[z * plane + i] - shiftB;
      products[0][i] = valueA;
      products[1][i] = valueB;
      products[2][i] = valueA * valueA;
      products[3][i] = valueB * valueB;
      products[4][i] = valueA * valueB;
    }
    for (let s = 0; s < SUMS; s++) {
      const sums = recent[z % window][s];
      windowSums(products[s], alongX, { length: width, stride: 1, lines: height, lineStride: width }, radius);
      windowSums(alongX, sums, { length: height, stride: width, lines: width, lineStride: 1 }, radius);
      const total = totals[s];
      for (let i = 0; i < plane; i++) total[i] += sums[i];
    }
  };
  const leave = (z: number): void => {
    for (let s = 0; s < SUMS; s++) {
      const [total, sums] = [totals[s], recent[z % window][s]];
      for (let i = 0; i < plane; i++) total[i] -= sums[i];
    }
  };

  let similarity = 0;
  for (let z = 0; z < Math.min(radius, depth); z++) enter(z);
  for (let z = 0; z < depth; z++) {
    if (z > radius) leave(z - radius - 1);
    if (z + radius < depth) enter(z + radius);
    const [sumA, sumB, sumAA, sumBB, sumAB] = totals;
    for (let y = 0, i = 0; y < height; y++) {
      const inPlane = insideWindow(z, depth, radius) * insideWindow(y, height, radius);
      for (let x = 0; x < width; x++, i++) {
        const m = inPlane * insideWindow(x, width, radius);
        const outside = 1 - m / n;
        const cross = sumAB[i] - (sumA[i] * sumB[i]) / n + outside * (shiftA * sumB[i] + shiftB * sumA[i] + m * shiftA * shiftB);
        const varianceA = sumAA[i] - (sumA[i] * sumA[i]) / n + outside * shiftA * (2 * sumA[i] + m * shiftA);
        const varianceB = sumBB[i] - (sumB[i] * sumB[i]) / n + outside * shiftB * (2 * sumB[i] + m * shiftB);
        similarity += Math.min(1, (cross * cross) / (Math.max(0, varianceA) * Math.max(0, varianceB) + EPSILON));
      }
    }
  }
  return similarity / voxels;
}
