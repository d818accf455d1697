/**
 * What a volume is, and where it lies in the patient.
 *
 * Physical positions are in millimetres in ITK's and DICOM's frame, LPS: x to the patient's Left, y to Posterior, z to Superior.
 * NIfTI's own frame is RAS; the readers convert. Voxel data lie x fastest, which is C order of (z, y, x).
 * Axis orders are kept apart by type: `Zyx` indexes tensors, `Xyz` is for geometry and matrices.
 */

/** Three values in tensor order: z, y, x. */
export type Zyx = readonly [number, number, number] & { readonly axisOrder?: 'zyx' };
/** Three values in geometric order: x, y, z. */
export type Xyz = readonly [number, number, number] & { readonly axisOrder?: 'xyz' };
/** A 3 x 3 matrix, row by row. */
export type Matrix3 = readonly [number, number, number, number, number, number, number, number, number];

export type VoxelArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** The place of a voxel grid in the patient (ITK's convention). */
export interface Geometry {
  /** Voxels along x, y, z. */
  readonly size: Xyz;
  /** Distance between voxel centres along the grid's x, y, z axes. */
  readonly spacingMm: Xyz;
  /** Position of the centre of voxel (0, 0, 0), LPS. */
  readonly originMm: Xyz;
  /** Row-major; column k is the unit vector, in LPS, along which the grid's axis k runs. */
  readonly direction: Matrix3;
}

/** A scalar volume: `data[(z * size.y + y) * size.x + x]`. */
export interface Volume<Data extends VoxelArray = VoxelArray> {
  readonly geometry: Geometry;
  readonly data: Data;
}

/** Fills `out` with the plane z of a volume, x fastest, in single precision. */
export type PlaneReader = (z: number, out: Float32Array) => void;

/** Reads the planes of a volume in memory. */
export const planeReader =
  ({ data }: Pick<Volume, 'data'>): PlaneReader =>
  (z, out) =>
    out.set(data.subarray(z * out.length, (z + 1) * out.length));

/** (x, y, z) to (z, y, x). */
export const toZyx = (v: Xyz): Zyx => [v[2], v[1], v[0]];
/** (z, y, x) to (x, y, z). */
export const toXyz = (v: Zyx): Xyz => [v[2], v[1], v[0]];
/** One value for each axis. */
export const perAxis = <Value, Result>(
  [a, b, c]: readonly [Value, Value, Value],
  f: (value: Value, axis: 0 | 1 | 2) => Result,
): readonly [Result, Result, Result] => [f(a, 0), f(b, 1), f(c, 2)];
/** One value for each entry of a matrix. */
export const perEntry = (matrix: Matrix3, f: (value: number, index: number) => number): Matrix3 =>
  matrix.map(f) as unknown as Matrix3;
/** A matrix from its entries. */
export const matrix3 = (f: (row: 0 | 1 | 2, column: 0 | 1 | 2) => number): Matrix3 => [
  f(0, 0),
  f(0, 1),
  f(0, 2),
  f(1, 0),
  f(1, 1),
  f(1, 2),
  f(2, 0),
  f(2, 1),
  f(2, 2),
];
/** Product of three sizes. */
export const voxelCount = (size: Xyz | Zyx): number => size[0] * size[1] * size[2];

export const IDENTITY_3: Matrix3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];
