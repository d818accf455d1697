/**
 * 3 x 3 matrices and the map between voxel indices and physical positions (millimetres, LPS).
 *
 * Small vectors as plain tuples: this is for grids and points, never for loops over voxels.
 */
import { type Geometry, type Matrix3, perAxis, perEntry, type Xyz } from './volume.ts';

/** p -> matrix p + offset, on (x, y, z). */
export interface Affine {
  readonly matrix: Matrix3;
  readonly offset: Xyz;
}

export const determinant3 = (m: Matrix3): number =>
  m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);

/** Whether three columns span (nearly) no space: one within half a degree of the others' plane, or without length, or no numbers. */
export function isFlat(m: Matrix3): boolean {
  const lengths = [0, 1, 2].map((k) => Math.hypot(m[k], m[k + 3], m[k + 6]));
  const directions = perEntry(m, (value, i) => value / lengths[i % 3]);
  return !(Math.abs(determinant3(directions)) > 0.01);
}

/** The inverse by cofactors; a singular matrix gives infinities, so test `isFlat` first where a user's file may hold one. */
export function invert3(m: Matrix3): Matrix3 {
  const d = 1 / determinant3(m);
  return [
    (m[4] * m[8] - m[5] * m[7]) * d,
    (m[2] * m[7] - m[1] * m[8]) * d,
    (m[1] * m[5] - m[2] * m[4]) * d,
    (m[5] * m[6] - m[3] * m[8]) * d,
    (m[0] * m[8] - m[2] * m[6]) * d,
    (m[2] * m[3] - m[0] * m[5]) * d,
    (m[3] * m[7] - m[4] * m[6]) * d,
    (m[1] * m[6] - m[0] * m[7]) * d,
    (m[0] * m[4] - m[1] * m[3]) * d,
  ];
}

export function multiply3(a: Matrix3, b: Matrix3): Matrix3 {
  const at = (row: number, column: number): number =>
    a[row * 3] * b[column] + a[row * 3 + 1] * b[column + 3] + a[row * 3 + 2] * b[column + 6];
  return [at(0, 0), at(0, 1), at(0, 2), at(1, 0), at(1, 1), at(1, 2), at(2, 0), at(2, 1), at(2, 2)];
}

export const transpose3 = (m: Matrix3): Matrix3 => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];

export const applyMatrix3 = (m: Matrix3, v: Xyz): Xyz => [
  m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
  m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
  m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
];

export const cross = (a: Xyz, b: Xyz): Xyz => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

export function applyAffine(affine: Affine, point: Xyz): Xyz {
  const [x, y, z] = applyMatrix3(affine.matrix, point);
  return [x + affine.offset[0], y + affine.offset[1], z + affine.offset[2]];
}

/** first `inner`, then `outer`. */
export const composeAffine = (outer: Affine, inner: Affine): Affine => ({
  matrix: multiply3(outer.matrix, inner.matrix),
  offset: applyAffine(outer, inner.offset),
});

export function invertAffine(affine: Affine): Affine {
  const matrix = invert3(affine.matrix);
  const [x, y, z] = applyMatrix3(matrix, affine.offset);
  return { matrix, offset: [-x, -y, -z] };
}

/** From RAS to LPS, or back: x and y change their sign. Zeros are positive, as files of equal content must be equal. */
export const flipRasLps = ({ matrix, offset: [x, y, z] }: Affine): Affine => ({
  matrix: perEntry(matrix, (value, i) => (i < 6 ? 0 - value : value + 0)),
  offset: [0 - x, 0 - y, z + 0],
});

/** Voxel index (x, y, z), fractions allowed, to the position in mm, LPS. */
export function voxelToPhysical({ spacingMm: s, direction: d, originMm }: Geometry): Affine {
  const matrix: Matrix3 = [
    d[0] * s[0],
    d[1] * s[1],
    d[2] * s[2],
    d[3] * s[0],
    d[4] * s[1],
    d[5] * s[2],
    d[6] * s[0],
    d[7] * s[1],
    d[8] * s[2],
  ];
  return { matrix, offset: originMm };
}

/** Position in mm, LPS, to the voxel index (x, y, z) with fractions. */
export const physicalToVoxel = (geometry: Geometry): Affine => invertAffine(voxelToPhysical(geometry));

/** Volume of a voxel, mm^3: where axes are sheared, less than the product of the spacings. */
export const voxelVolumeMm3 = ({ spacingMm: [x, y, z], direction }: Pick<Geometry, 'spacingMm' | 'direction'>): number =>
  x * y * z * Math.abs(determinant3(direction));

/** The grid that an affine from voxels to LPS describes: the columns' lengths are the spacing, their directions the direction. */
export function geometryOf(affine: Affine, size: Xyz): Geometry {
  const m = affine.matrix;
  const length = (k: number): number => Math.hypot(m[k], m[k + 3], m[k + 6]);
  const spacingMm: Xyz = [length(0), length(1), length(2)];
  const direction = perEntry(m, (value, i) => value / spacingMm[i % 3]);
  return { size, spacingMm, originMm: affine.offset, direction };
}

/** The largest distance (mm) between the positions that two grids give to the corners of the first: 0 for the same grid. */
export function cornerDistanceMm(a: Geometry, b: Geometry): number {
  const [toA, toB] = [voxelToPhysical(a), voxelToPhysical(b)];
  let worst = 0;
  for (let corner = 0; corner < 8; corner++) {
    const voxel = perAxis(a.size, (n, axis) => (corner & (1 << axis) ? n - 1 : 0));
    const [p, q] = [applyAffine(toA, voxel), applyAffine(toB, voxel)];
    worst = Math.max(worst, Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]));
  }
  return worst;
}

/**
 * The rotation (or reflection) nearest to a direction matrix whose axes are not quite perpendicular: its polar factor, by Newton's
 * iteration X <- (X + X^-T) / 2, which converges quadratically for any invertible matrix (Higham 1986).
 */
export function nearestOrthogonal(m: Matrix3): Matrix3 {
  let x = m;
  for (let step = 0; step < 30; step++) {
    const inverse = transpose3(invert3(x));
    const next = perEntry(x, (value, i) => (value + inverse[i]) / 2);
    const change = Math.max(...next.map((value, i) => Math.abs(value - x[i])));
    x = next;
    if (change < 1e-15) break;
  }
  return x;
}
