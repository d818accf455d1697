/** The inverse of a registration: where each point of the moving image lies in the fixed one, and how well that undoes the map. */
import { applyMatrix3, invert3, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import type { Geometry, Matrix3, Xyz } from '../../geometry/volume.ts';
import { addVectorAt, type PhysicalMap, type VectorField } from './physical-map.ts';

/** Where the images of both ends lie: distances are taken where both are. */
export interface InverseError {
  /** Mean, 99th percentile and maximum of how far a point of the moving image comes back from itself, through the inverse and the map. */
  readonly meanMm: number;
  readonly percentile99Mm: number;
  readonly maxMm: number;
}

const MAX_ITERATIONS = 40;
/** Steps are halved from here on: the map is then steep at the point, and whole steps may swing about it. */
const HALVED_FROM = 12;
const TOLERANCE_MM = 1e-3;

/** Maps single points without allocating. */
export class PointMapper {
  readonly #map: PhysicalMap;
  readonly #toField: { readonly matrix: Matrix3; readonly offset: Xyz } | null;
  readonly #back: Matrix3;
  /** The last result. */
  readonly out = new Float64Array(3);

  constructor(map: PhysicalMap) {
    this.#map = map;
    this.#toField = map.residual && physicalToVoxel(map.residual.geometry);
    this.#back = invert3(map.affine.matrix);
  }

  /** Where a point goes, into `out`. */
  map(x: number, y: number, z: number): void {
    const { matrix: m, offset } = this.#map.affine;
    const { out } = this;
    out[0] = m[0] * x + m[1] * y + m[2] * z + offset[0];
    out[1] = m[3] * x + m[4] * y + m[5] * z + offset[1];
    out[2] = m[6] * x + m[7] * y + m[8] * z + offset[2];
    const { residual } = this.#map;
    if (!residual || !this.#toField) return;
    const { matrix: f, offset: o } = this.#toField;
    addVectorAt(
      residual,
      f[0] * x + f[1] * y + f[2] * z + o[0],
      f[3] * x + f[4] * y + f[5] * z + o[1],
      f[6] * x + f[7] * y + f[8] * z + o[2],
      out,
    );
  }

  /** Which point goes to (x, y, z): improved in place from a guess. x <- x - A^-1 (map(x) - y), as the deformation is small beside the affine. */
  solve(x: number, y: number, z: number, point: Float64Array): void {
    const b = this.#back;
    for (let i = 0; i < MAX_ITERATIONS; i++) {
      this.map(point[0], point[1], point[2]);
      const dx = this.out[0] - x;
      const dy = this.out[1] - y;
      const dz = this.out[2] - z;
      if (dx * dx + dy * dy + dz * dz < TOLERANCE_MM * TOLERANCE_MM) return;
      const step = i < HALVED_FROM ? 1 : 0.5;
      point[0] -= step * (b[0] * dx + b[1] * dy + b[2] * dz);
      point[1] -= step * (b[3] * dx + b[4] * dy + b[5] * dz);
      point[2] -= step * (b[6] * dx + b[7] * dy + b[8] * dz);
    }
  }
}

/** The displacement that undoes the map, mm, LPS, on a grid in the moving image's space. */
export function inverseField(map: PhysicalMap, grid: Geometry): VectorField {
  const mapper = new PointMapper(map);
  const { matrix: m, offset } = voxelToPhysical(grid);
  const [nx, ny, nz] = grid.size;
  const data = new Float32Array(3 * nx * ny * nz);
  const back = invert3(map.affine.matrix);
  const point = new Float64Array(3);
  for (let k = 0, at = 0; k < nz; k++)
    for (let j = 0; j < ny; j++)
      for (let i = 0; i < nx; i++, at += 3) {
        const x = m[0] * i + m[1] * j + m[2] * k + offset[0];
        const y = m[3] * i + m[4] * j + m[5] * k + offset[1];
        const z = m[6] * i + m[7] * j + m[8] * k + offset[2];
        // by the affine alone; along a row, as its neighbour went
        if (i === 0) {
          const { offset: o } = map.affine;
          point.set(applyMatrix3(back, [x - o[0], y - o[1], z - o[2]]));
        } else for (let c = 0; c < 3; c++) point[c] += m[3 * c];
        mapper.solve(x, y, z, point);
        data[at] = point[0] - x;
        data[at + 1] = point[1] - y;
        data[at + 2] = point[2] - z;
      }
  return { geometry: grid, data };
}

/**
 * How well a field undoes a map, between its voxels, where interpolation errs most: over those points that it brings into the fixed image.
 * @returns null if it brings none there
 */
export function inverseError(map: PhysicalMap, inverse: VectorField, fixed: Geometry): InverseError | null {
  const mapper = new PointMapper(map);
  const { geometry } = inverse;
  const { matrix: m, offset } = voxelToPhysical(geometry);
  const { matrix: f, offset: o } = physicalToVoxel(fixed);
  const [mx, my, mz] = fixed.size.map((n) => n - 1);
  const [nx, ny, nz] = geometry.size;
  const errors = new Float64Array(Math.max(0, nx - 1) * Math.max(0, ny - 1) * Math.max(0, nz - 1));
  let count = 0;
  let sum = 0;
  const v = new Float64Array(3);
  for (let k = 0.5; k < nz - 1; k++)
    for (let j = 0.5; j < ny - 1; j++)
      for (let i = 0.5; i < nx - 1; i++) {
        const x = m[0] * i + m[1] * j + m[2] * k + offset[0];
        const y = m[3] * i + m[4] * j + m[5] * k + offset[1];
        const z = m[6] * i + m[7] * j + m[8] * k + offset[2];
        v[0] = x;
        v[1] = y;
        v[2] = z;
        addVectorAt(inverse, i, j, k, v);
        const fx = f[0] * v[0] + f[1] * v[1] + f[2] * v[2] + o[0];
        const fy = f[3] * v[0] + f[4] * v[1] + f[5] * v[2] + o[1];
        const fz = f[6] * v[0] + f[7] * v[1] + f[8] * v[2] + o[2];
        if (!(fx >= 0 && fx <= mx && fy >= 0 && fy <= my && fz >= 0 && fz <= mz)) continue;
        mapper.map(v[0], v[1], v[2]);
        const error = Math.hypot(mapper.out[0] - x, mapper.out[1] - y, mapper.out[2] - z);
        sum += error;
        errors[count++] = error;
      }
  if (count === 0) return null;
  const sorted = errors.subarray(0, count).sort();
  return {
    meanMm: sum / count,
    percentile99Mm: sorted[Math.floor(0.99 * (count - 1))],
    maxMm: sorted[count - 1],
  };
}
