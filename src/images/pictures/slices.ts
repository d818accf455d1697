/**
 * Slices of volumes as radiologists look at them. Volumes lie in RAS order (x grows to the patient's right, y to anterior, z to
 * superior), so every axis is shown reversed: the patient's right is on the left of the picture, anterior and superior are up, and
 * in sagittal slices anterior is on the left.
 */
import type { Zyx } from '../../geometry/volume.ts';

export const PLANES = ['axial', 'coronal', 'sagittal'] as const;
export type Plane = (typeof PLANES)[number];

/** Tensor axes (0 = z, 1 = y, 2 = x) along the columns and rows of a picture, and the one looked along. */
const AXES = {
  axial: { column: 2, row: 1, normal: 0 },
  coronal: { column: 2, row: 0, normal: 1 },
  sagittal: { column: 1, row: 0, normal: 2 },
} as const satisfies Record<Plane, { column: number; row: number; normal: number }>;

/** Which voxels a slice shows, pixel by pixel. */
export interface Slice {
  readonly width: number;
  readonly height: number;
  /** Tensor axis along the columns, and along the rows; both run against the picture. */
  readonly columnAxis: 0 | 1 | 2;
  readonly rowAxis: 0 | 1 | 2;
  /** Index of a pixel's voxel in the volume's data. */
  offset(column: number, row: number): number;
}

/**
 * @param size of the volume, (z, y, x)
 * @param index along the axis that is looked along; the middle if left out
 */
export function sliceOf(size: Zyx, plane: Plane, index?: number): Slice {
  const { column: columnAxis, row: rowAxis, normal } = AXES[plane];
  const stride = [size[1] * size[2], size[2], 1];
  const [width, height] = [size[columnAxis], size[rowAxis]];
  const base = (index ?? size[normal] >> 1) * stride[normal];
  return {
    width,
    height,
    columnAxis,
    rowAxis,
    offset: (column, row) => base + (width - 1 - column) * stride[columnAxis] + (height - 1 - row) * stride[rowAxis],
  };
}
