/**
 * What a registration did, as volumes on the fixed image's grid that a viewer lays over it: checkerboard, difference, deformation grid, folds.
 * Lengths are in mm along the grid's own axes, so voxels may be of any shape and the grid may lie at any angle.
 */
import { mapInto } from '../../common/map-into.ts';
import { physicalToVoxel } from '../../geometry/affine.ts';
import { statisticsOf } from '../../geometry/statistics.ts';
import { type Geometry, type Volume, type VoxelArray, voxelCount } from '../../geometry/volume.ts';
import type { VectorField } from './physical-map.ts';

/** The values that are shown as black and white. */
export interface GreyWindow {
  readonly low: number;
  readonly high: number;
}

/** Black and white of an image: all but the lowest and highest hundredth of its values lie between. */
export function greyWindow({ data }: Volume): GreyWindow {
  const statistics = statisticsOf(data);
  const [low, high] = [statistics.percentile(0.01), statistics.percentile(0.99)];
  return high > low ? { low, high } : { low: statistics.min, high: Math.max(statistics.max, statistics.min + 1) };
}

/** From 0 to 1. */
const greyOf = (value: number, { low, high }: GreyWindow): number => Math.min(1, Math.max(0, (value - low) / (high - low)));

/** Two images on one grid, and how each is shown. */
export interface ShownPair {
  readonly geometry: Geometry;
  readonly fixed: VoxelArray;
  readonly moving: VoxelArray;
  readonly windows: { readonly fixed: GreyWindow; readonly moving: GreyWindow };
}

/** Cells are at least a voxel wide. */
const cellsAlong = ({ size, spacingMm }: Geometry, axis: number, cellMm: number): Uint8Array =>
  Uint8Array.from(
    { length: size[axis] },
    (_, i) => Math.floor((i * spacingMm[axis]) / Math.max(cellMm, spacingMm[axis]) + 1e-6) & 1,
  );

/** Cubes of `cellMm` of both images in turn: where anatomy agrees, edges go on from cube to cube. Greys from 1 to 255; the first cube is the fixed image's. */
export function checkerboard({ geometry, fixed, moving, windows }: ShownPair, cellMm: number): Volume<Uint8Array> {
  const [nx, ny, nz] = geometry.size;
  const [xs, ys, zs] = [0, 1, 2].map((axis) => cellsAlong(geometry, axis, cellMm));
  const data = new Uint8Array(nx * ny * nz);
  for (let k = 0, at = 0; k < nz; k++)
    for (let j = 0; j < ny; j++)
      for (let i = 0; i < nx; i++, at++) {
        const isMoving = xs[i] ^ ys[j] ^ zs[k];
        const grey = isMoving ? greyOf(moving[at], windows.moving) : greyOf(fixed[at], windows.fixed);
        data[at] = 1 + Math.round(254 * grey);
      }
  return { geometry, data };
}

/** Where the moving image is brighter, and where the fixed one is. */
export const BRIGHTER = { moving: [255, 160, 40], fixed: [70, 160, 255] } as const;
/** Of the fixed image's greys that stay where both agree. */
const DIMMED = 0.45;

/**
 * The difference as shown: orange where the moving image is brighter, blue where the fixed one is, over the dimmed fixed image.
 * @returns red, green and blue of each voxel, together
 */
export function differenceColours({ fixed, moving, windows }: Omit<ShownPair, 'geometry'>): Uint8Array {
  const rgb = new Uint8Array(3 * fixed.length);
  for (let at = 0; at < fixed.length; at++) {
    const still = greyOf(fixed[at], windows.fixed);
    const change = greyOf(moving[at], windows.moving) - still;
    const strength = Math.min(1, 2 * Math.abs(change));
    const colour = change > 0 ? BRIGHTER.moving : BRIGHTER.fixed;
    for (let c = 0; c < 3; c++)
      rgb[3 * at + c] = Math.max(1, Math.round((1 - strength) * DIMMED * 255 * still + strength * colour[c]));
  }
  return rgb;
}

/** Half the width of a line, in voxels: wide enough that none has gaps. Finer voxels would not help: viewers lay overlays onto the image's own. */
const HALF_LINE = 0.35;

/**
 * The deformation grid of one plane of slices: lines that are straight and `cellMm` apart in the moving image, parallel to the other two axes of the
 * fixed grid where nothing is deformed, drawn where the map brings them from.
 * @param field displacement in mm, LPS, of every voxel of the grid
 * @param normal the axis of the grid (0, 1, 2) that the slices are perpendicular to
 * @returns 0 to 255: how much of a line lies in a voxel
 */
export function deformationGrid({ geometry, data: field }: VectorField, normal: number, cellMm: number): Volume<Uint8Array> {
  const { size, spacingMm } = geometry;
  const { matrix: toVoxels } = physicalToVoxel(geometry);
  const [nx, ny] = size;
  const strides = [1, nx, nx * ny];
  const data = new Uint8Array(voxelCount(size));
  const place = new Float32Array(data.length);
  for (let axis = 0; axis < 3; axis++) {
    if (axis === normal) continue;
    // where each voxel is brought to, in mm along this axis of the grid, which may be sheared
    const [dx, dy, dz] = [0, 1, 2].map((column) => toVoxels[3 * axis + column] * spacingMm[axis]);
    for (let at = 0; at < place.length; at++) {
      const index = Math.floor(at / strides[axis]) % size[axis];
      place[at] = index * spacingMm[axis] + dx * field[3 * at] + dy * field[3 * at + 1] + dz * field[3 * at + 2];
    }
    for (let at = 0; at < place.length; at++) {
      const away = Math.abs(place[at] - Math.round(place[at] / cellMm) * cellMm);
      // how fast the coordinate grows from voxel to voxel of the slice: lines stay as thin where it is compressed
      let slope = 0;
      for (let k = 0; k < 3; k++) {
        if (k === normal || size[k] < 2) continue;
        const index = Math.floor(at / strides[k]) % size[k];
        const [before, after] = [index > 0 ? at - strides[k] : at, index < size[k] - 1 ? at + strides[k] : at];
        slope += ((place[after] - place[before]) / ((after - before) / strides[k])) ** 2;
      }
      const voxels = away / Math.max(Math.sqrt(slope), 1e-6);
      const covered = Math.min(1, Math.max(0, HALF_LINE + 0.5 - voxels));
      data[at] = Math.max(data[at], Math.round(255 * covered));
    }
  }
  return { geometry, data };
}

/** Voxels at which the map folds: its Jacobian determinant is 0 or less. */
export interface Folds {
  /** 1 where it folds. */
  readonly mask: Volume<Uint8Array>;
  readonly voxels: number;
  /** Of all voxels. */
  readonly share: number;
  /** The least and the greatest determinant. */
  readonly range: readonly [number, number];
}

export function foldsOf({ geometry, data }: Volume<Float32Array>): Folds {
  const mask = mapInto(new Uint8Array(data.length), data, (determinant) => (determinant > 0 ? 0 : 1));
  let [voxels, least, greatest] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let at = 0; at < data.length; at++) {
    voxels += mask[at];
    least = Math.min(least, data[at]);
    greatest = Math.max(greatest, data[at]);
  }
  return { mask: { geometry, data: mask }, voxels, share: voxels / data.length, range: [least, greatest] };
}

/** Lengths of a field's vectors, mm. */
export function displacementMm({ data }: VectorField): { readonly mean: number; readonly greatest: number } {
  let [sum, greatest] = [0, 0];
  for (let at = 0; at < data.length; at += 3) {
    const length = Math.hypot(data[at], data[at + 1], data[at + 2]);
    sum += length;
    greatest = Math.max(greatest, length);
  }
  return { mean: (3 * sum) / data.length, greatest };
}
