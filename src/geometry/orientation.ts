/**
 * Which way a grid's axes run in the patient, and bringing a volume to RAS by permuting and flipping axes.
 *
 * Nothing is interpolated: every voxel keeps its value and its physical position. An oblique grid stays oblique; only the order
 * and the sense of its axes change.
 */
import { applyAffine, nearestOrthogonal, voxelToPhysical } from './affine.ts';
import {
  type Geometry,
  type Matrix3,
  matrix3,
  type PlaneReader,
  perAxis,
  type Volume,
  type VoxelArray,
  type Xyz,
} from './volume.ts';

const PERMUTATIONS: readonly Xyz[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];
/** Letters by patient axis: towards which side a negative or positive LPS component runs. */
const LETTERS = ['RL', 'AP', 'IS'];

/** Which patient axis (0 left-right, 1 front-back, 2 feet-head) each grid axis follows best; every patient axis is used once. */
function patientAxes(direction: Matrix3): Xyz {
  const d = nearestOrthogonal(direction);
  const agreement = (p: Xyz): number => p.reduce((sum, patientAxis, k) => sum + Math.abs(d[patientAxis * 3 + k]), 0);
  return PERMUTATIONS.reduce((best, p) => (agreement(p) > agreement(best) + 1e-12 ? p : best));
}

/**
 * Three letters, for the grid's x, y, z axes: the side of the patient (R/L, A/P, S/I) towards which each runs.
 * 'RAS' is NIfTI's own frame, 'LPS' DICOM's (nibabel's convention).
 */
export function orientationCode(direction: Matrix3): string {
  return patientAxes(direction)
    .map((patientAxis, k) => LETTERS[patientAxis][direction[patientAxis * 3 + k] < 0 ? 0 : 1])
    .join('');
}

/** The largest angle (degrees) between a grid axis and the patient axis that it follows; 0 for a grid along the patient's axes. */
export function obliqueAngleDeg(direction: Matrix3): number {
  const cosines = patientAxes(direction).map((patientAxis, k) => Math.min(1, Math.abs(direction[patientAxis * 3 + k])));
  return (Math.acos(Math.min(...cosines)) * 180) / Math.PI;
}

/** By how many degrees the angle between two grid axes departs from 90: the shear. 0 for an ordinary grid. */
export function shearAngleDeg(d: Matrix3): number {
  const dot = (a: number, b: number): number => Math.abs(d[a] * d[b] + d[a + 3] * d[b + 3] + d[a + 6] * d[b + 6]);
  return (Math.asin(Math.min(1, Math.max(dot(0, 1), dot(0, 2), dot(1, 2)))) * 180) / Math.PI;
}

/** By less, axes depart from perpendicular because headers round their directions: at the ends of 300 mm that is a quarter of a millimetre. */
const PERPENDICULAR_DEG = 0.05;

/** Whether axes are so far from perpendicular that distances and volumes must heed it. */
export const isSheared = (direction: Matrix3): boolean => shearAngleDeg(direction) > PERPENDICULAR_DEG;

/** How voxels are walked so that they come in RAS order: voxel (x, y, z) of `geometry` is stored at `first + x step[0] + y step[1] + z step[2]`. */
export interface RasOrder {
  /** The grid on axes that run to the patient's right, front and head as nearly as the stored one allows. */
  readonly geometry: Geometry;
  readonly first: number;
  readonly step: Xyz;
  /** The stored axis (0, 1, 2) that each of its axes is. */
  readonly axes: Xyz;
  /** The stored axes are these already. */
  readonly asStored: boolean;
}

/** The order that brings a grid's voxels to RAS. */
export function rasOrder(geometry: Geometry): RasOrder {
  const { size, spacingMm, direction } = geometry;
  const followed = patientAxes(direction);
  const source = perAxis([0, 1, 2], (patientAxis) => followed.indexOf(patientAxis));
  // R and A are the negative senses of L and P
  const flip = source.map((axis, k) => direction[k * 3 + axis] < 0 !== k < 2);
  const stride = [1, size[0], size[0] * size[1]];
  const step = perAxis(source, (axis, k) => (flip[k] ? -stride[axis] : stride[axis]));
  if (source.every((axis, k) => axis === k) && !flip.includes(true))
    return { geometry, first: 0, step, axes: source, asStored: true };

  const firstVoxel = perAxis(size, (n, axis) => (flip[source.indexOf(axis)] ? n - 1 : 0));
  const column = (k: number, row: number): number => {
    const value = direction[row * 3 + source[k]];
    return flip[k] ? 0 - value : value;
  };
  const ras: Geometry = {
    size: perAxis(source, (axis) => size[axis]),
    spacingMm: perAxis(source, (axis) => spacingMm[axis]),
    originMm: applyAffine(voxelToPhysical(geometry), firstVoxel),
    direction: matrix3((row, k) => column(k, row)),
  };
  const first = firstVoxel[0] * stride[0] + firstVoxel[1] * stride[1] + firstVoxel[2] * stride[2];
  return { geometry: ras, first, step, axes: source, asStored: false };
}

/** The grid of a volume once it is brought to RAS. */
export const rasGeometry = (geometry: Geometry): Geometry => rasOrder(geometry).geometry;

/** The same voxels on axes that run to the patient's right, front and head as nearly as the grid allows. */
export function reorientToRas<Data extends VoxelArray>(volume: Volume<Data>): Volume<Data> {
  const { data } = volume;
  const { geometry, first, step, asStored } = rasOrder(volume.geometry);
  if (asStored) return volume;
  const [nx, ny, nz] = geometry.size;
  const out = new (data.constructor as new (length: number) => Data)(data.length);
  let to = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      let from = first + z * step[2] + y * step[1];
      for (let x = 0; x < nx; x++, from += step[0]) out[to++] = data[from];
    }
  }
  return { geometry, data: out };
}

/** Fills `out` with neighbours from `start` on, forwards or backwards. */
function copyRun(data: VoxelArray, start: number, step: number, out: Float32Array): void {
  if (step > 0) out.set(data.subarray(start, start + out.length));
  else {
    out.set(data.subarray(start - out.length + 1, start + 1));
    out.reverse();
  }
}

/** Reads the planes of a volume in RAS order, from the voxels as they are stored; what is not finite becomes `background`. */
export function rasPlanes(
  { geometry, data }: Volume,
  background: number,
): {
  readonly geometry: Geometry;
  readonly read: PlaneReader;
  /** Plane z can be read once the first z + 1 planes are stored. */
  readonly asStored: boolean;
} {
  const order = rasOrder(geometry);
  const { first, step } = order;
  const [nx, ny] = order.geometry.size;
  const mayBeOdd = data instanceof Float32Array || data instanceof Float64Array;
  return {
    geometry: order.geometry,
    asStored: step[2] === nx * ny,
    read: (z, out) => {
      const start = first + z * step[2];
      if (Math.abs(step[0]) === 1 && step[1] === step[0] * nx) copyRun(data, start, step[0], out);
      else if (Math.abs(step[0]) === 1)
        for (let y = 0; y < ny; y++) copyRun(data, start + y * step[1], step[0], out.subarray(y * nx, (y + 1) * nx));
      else
        for (let y = 0, to = 0; y < ny; y++) {
          let from = start + y * step[1];
          for (let x = 0; x < nx; x++, from += step[0]) out[to++] = data[from];
        }
      if (mayBeOdd) for (let i = 0; i < out.length; i++) if (!Number.isFinite(out[i])) out[i] = background;
    },
  };
}
