/**
 * Slices of volumes as radiologists look at them. Volumes lie in RAS order (x grows to the patient's right, y to anterior, z to
 * superior), so every axis is shown reversed: the patient's right is on the left of the picture, anterior and superior are up, and
 * in sagittal slices anterior is on the left.
 */
import type { Zyx } from '../../geometry/volume.ts';
import { type Colour, type Picture, paint } from './picture.ts';

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

/** Voxels of no known size: as if they were cubes. */
const CUBES: Zyx = [1, 1, 1];

/**
 * Pixels a voxel along each tensor axis (z, y, x), so that pixels are squares in the patient: a whole number along the axis of the finest spacing.
 * @param longest about the pixels of the longest side
 */
export function zoomFor(size: Zyx, longest: number, spacingMm: Zyx = CUBES): Zyx {
  const longestSide = Math.max(...size.map((n, axis) => n * spacingMm[axis])) / Math.min(...spacingMm);
  return zoomBy(Math.max(1, Math.round(longest / longestSide)), spacingMm);
}

/** The same of `zoom` pixels for each voxel of the finest spacing. */
export function zoomBy(zoom: number, spacingMm: Zyx = CUBES): Zyx {
  const finest = Math.min(...spacingMm);
  const along = (mm: number): number => zoom * (mm / finest);
  return [along(spacingMm[0]), along(spacingMm[1]), along(spacingMm[2])];
}

/** A slice in pixels. */
export interface SlicePixels {
  readonly width: number;
  readonly height: number;
  /** Pixels a voxel along columns and rows. */
  readonly zoom: readonly [column: number, row: number];
  /** Index of a pixel's voxel in the volume's data. */
  voxel(x: number, y: number): number;
}

export function pixelsOf(slice: Slice, zoom: Zyx): SlicePixels {
  const [across, down] = [zoom[slice.columnAxis], zoom[slice.rowAxis]];
  const at = (pixel: number, along: number, voxels: number): number => Math.min(voxels - 1, Math.floor((pixel + 0.5) / along));
  return {
    width: Math.max(1, Math.round(slice.width * across)),
    height: Math.max(1, Math.round(slice.height * down)),
    zoom: [across, down],
    voxel: (x, y) => slice.offset(at(x, across, slice.width), at(y, down, slice.height)),
  };
}

/** A slice whose voxels have the colours of `colourOf`. */
export function paintSlice(slice: Slice, zoom: Zyx, colourOf: (voxel: number) => Colour): Picture {
  const { width, height, voxel } = pixelsOf(slice, zoom);
  return paint(width, height, (x, y) => colourOf(voxel(x, y)));
}
