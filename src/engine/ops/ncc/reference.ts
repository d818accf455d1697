/**
 * Local NCC, as the formulas in ncc.ts say. Window sums run axis by axis and are added up anew for every voxel: a running sum
 * would carry the rounding error of a bright region into a dark one.
 */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import { EPSILON, VARIANCE_FLOOR } from './constants.ts';
import type { NccAttributes } from './ncc.ts';

/** Values of one volume. */
type Field = Float64Array;

/** Sums of the window^3 neighbourhood of each voxel of a volume (D, H, W), zeros outside. */
function boxSum(values: Field, size: readonly number[], window: number): Field {
  const half = (window - 1) / 2;
  let stride = values.length;
  return size.reduce((field, length) => {
    stride /= length;
    const step = stride;
    return field.map((_, at) => {
      const place = Math.floor(at / step) % length;
      let sum = 0;
      for (let k = Math.max(-half, -place); k <= Math.min(half, length - 1 - place); k++) sum += field[at + k * step];
      return sum;
    });
  }, values);
}

/** What the loss and its gradient need of each window; a variance of nothing but rounding error is 0, and then so is `cross`. */
interface Windows {
  readonly meanA: Field;
  readonly meanB: Field;
  readonly varianceA: Field;
  readonly varianceB: Field;
  readonly cross: Field;
}

/** Without a mask every window counts window^3 voxels, those outside the volume as zeros. */
function windowsOf(a: Field, b: Field, mask: Field | undefined, size: readonly number[], window: number): Windows {
  const box = (values: Field): Field => boxSum(mask ? values.map((value, p) => value * mask[p]) : values, size, window);
  const n = mask ? boxSum(mask, size, window).map((count) => Math.max(1, count)) : a.map(() => window ** 3);
  const variance = (values: Field, sums: Field): Field => {
    const squares = box(values.map((value) => value * value));
    return squares.map((square, p) => {
      const difference = square - (sums[p] * sums[p]) / n[p];
      return difference > VARIANCE_FLOOR * square ? difference : 0;
    });
  };
  const [sumA, sumB] = [box(a), box(b)];
  const [varianceA, varianceB] = [variance(a, sumA), variance(b, sumB)];
  const cross = box(a.map((value, p) => value * b[p])).map((sum, p) =>
    varianceA[p] > 0 && varianceB[p] > 0 && (mask?.[p] ?? 1) > 0 ? sum - (sumA[p] * sumB[p]) / n[p] : 0,
  );
  return { meanA: sumA.map((sum, p) => sum / n[p]), meanB: sumB.map((sum, p) => sum / n[p]), varianceA, varianceB, cross };
}

/** Windows that the mean runs over. */
const windowCount = (a: Field, mask: Field | undefined): number =>
  mask ? mask.reduce((sum, value) => sum + value, 0) : a.length;

export const ncc: ReferenceKernel<NccAttributes> = ({
  inputs: [a, b, mask],
  inputShapes: [[batch, , ...size]],
  out,
  attributes: { window },
}) => {
  const voxels = a.length / batch;
  let sum = 0;
  for (let from = 0; from < a.length; from += voxels) {
    const part = (values: Field): Field => values.subarray(from, from + voxels);
    const { cross, varianceA, varianceB } = windowsOf(part(a), part(b), mask && part(mask), size, window);
    cross.forEach((value, p) => {
      sum += Math.min(1, value ** 2 / (varianceA[p] * varianceB[p] + EPSILON));
    });
  }
  out[0] = Math.max(0, 1 - sum / Math.max(1, windowCount(a, mask)));
};

export const nccGradient: ReferenceKernel<NccAttributes> = ({
  inputs: [a, b, [dOut], mask],
  out,
  shape: [batch, , ...size],
  attributes: { window },
}) => {
  const voxels = a.length / batch;
  const factor = -dOut / Math.max(1, windowCount(a, mask));
  for (let from = 0; from < a.length; from += voxels) {
    const part = (values: Field): Field => values.subarray(from, from + voxels);
    const [partA, partB, partMask] = [part(a), part(b), mask && part(mask)];
    const { meanA, meanB, varianceA, varianceB, cross } = windowsOf(partA, partB, partMask, size, window);
    const q = cross.map((_, p) => varianceA[p] * varianceB[p] + EPSILON);
    const u = cross.map((value, p) => (2 * value) / q[p]);
    const v = cross.map((value, p) => (value / q[p]) ** 2 * varianceB[p]);
    const box = (values: Field): Field => boxSum(values, size, window);
    const [boxU, boxUMeanB, boxV, boxVMeanA] = [
      u,
      u.map((value, p) => value * meanB[p]),
      v,
      v.map((value, p) => value * meanA[p]),
    ].map(box);
    for (let p = 0; p < voxels; p++) {
      const sum = partB[p] * boxU[p] - boxUMeanB[p] - 2 * partA[p] * boxV[p] + 2 * boxVMeanA[p];
      out[from + p] = factor * sum * (partMask?.[p] ?? 1);
    }
  }
};
