/**
 * Where each point of the fixed image lies in the moving one, in millimetres (LPS): an affine map, and what the deformable part adds to it.
 *
 * Kept apart like that, the map has a sensible value everywhere: outside the grid of the deformable part its border value goes on, so that
 * the image far away follows the affine. This is the direction that warping needs, and ITK's and ANTs' convention for transforms.
 */
import {
  type Affine,
  applyAffine,
  applyMatrix3,
  composeAffine,
  determinant3,
  physicalToVoxel,
  voxelToPhysical,
} from '../../geometry/affine.ts';
import { type Geometry, IDENTITY_3, type Matrix3, voxelCount, type Xyz } from '../../geometry/volume.ts';

/** Vectors on a grid: `data[voxel * 3 + component]`, x, y, z. */
export interface VectorField {
  readonly geometry: Geometry;
  readonly data: Float32Array;
}

export interface PhysicalMap {
  /** Fixed to moving, mm, LPS. */
  readonly affine: Affine;
  /** Added to the affine: mm, LPS; trilinear between voxels, and beyond its grid the value of the nearest border point. */
  readonly residual: VectorField | null;
}

export const IDENTITY: Affine = { matrix: IDENTITY_3, offset: [0, 0, 0] };

/** Adds to `out` the field at a position (x, y, z) in its voxels. */
function addVectorAt({ geometry: { size }, data }: VectorField, px: number, py: number, pz: number, out: Float64Array): void {
  const [nx, ny, nz] = size;
  const cx = px < 0 ? 0 : Math.min(px, nx - 1);
  const cy = py < 0 ? 0 : Math.min(py, ny - 1);
  const cz = pz < 0 ? 0 : Math.min(pz, nz - 1);
  const [x0, y0, z0] = [Math.floor(cx), Math.floor(cy), Math.floor(cz)];
  const [fx, fy, fz] = [cx - x0, cy - y0, cz - z0];
  const first = ((z0 * ny + y0) * nx + x0) * 3;
  for (let neighbour = 0; neighbour < 8; neighbour++) {
    const [ux, uy, uz] = [neighbour & 1, (neighbour >> 1) & 1, neighbour >> 2];
    const weight = (ux ? fx : 1 - fx) * (uy ? fy : 1 - fy) * (uz ? fz : 1 - fz);
    // a weight of zero may belong to a neighbour outside the grid
    if (weight === 0) continue;
    const at = first + ((uz * ny + uy) * nx + ux) * 3;
    out[0] += weight * data[at];
    out[1] += weight * data[at + 1];
    out[2] += weight * data[at + 2];
  }
}

/** The field with its vectors turned and scaled by a matrix. */
function turned({ geometry, data }: VectorField, m: Matrix3): VectorField {
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i += 3) out.set(applyMatrix3(m, [data[i], data[i + 1], data[i + 2]]), i);
  return { geometry, data: out };
}

/**
 * Visits every voxel of `grid`, x fastest, with the place to which the map brings it.
 * @param coordinates from mm, LPS, to what `visit` wants: the voxels of an image (`physicalToVoxel`), or mm (`IDENTITY`)
 */
export function forEachMapped(
  map: PhysicalMap,
  grid: Geometry,
  coordinates: Affine,
  visit: (voxel: number, x: number, y: number, z: number) => void,
): void {
  const { matrix: a, offset } = composeAffine(coordinates, composeAffine(map.affine, voxelToPhysical(grid)));
  const residual = map.residual && turned(map.residual, coordinates.matrix);
  const { matrix: b, offset: start } = residual
    ? composeAffine(physicalToVoxel(residual.geometry), voxelToPhysical(grid))
    : IDENTITY;
  const [nx, ny, nz] = grid.size;
  const added = new Float64Array(3);
  let voxel = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) {
        added.fill(0);
        if (residual) {
          addVectorAt(
            residual,
            b[0] * x + b[1] * y + b[2] * z + start[0],
            b[3] * x + b[4] * y + b[5] * z + start[1],
            b[6] * x + b[7] * y + b[8] * z + start[2],
            added,
          );
        }
        visit(
          voxel++,
          a[0] * x + a[1] * y + a[2] * z + offset[0] + added[0],
          a[3] * x + a[4] * y + a[5] * z + offset[1] + added[1],
          a[6] * x + a[7] * y + a[8] * z + offset[2] + added[2],
        );
      }
    }
  }
}

/** Where the map brings one point (mm, LPS). */
export function mapPoint({ affine, residual }: PhysicalMap, point: Xyz): Xyz {
  const out = Float64Array.from(applyAffine(affine, point));
  if (residual) {
    const [x, y, z] = applyAffine(physicalToVoxel(residual.geometry), point);
    addVectorAt(residual, x, y, z, out);
  }
  return [out[0], out[1], out[2]];
}

/** The displacement of each voxel of `grid`: where the map brings it minus where it is, mm, LPS. */
export function displacementField(map: PhysicalMap, grid: Geometry): VectorField {
  const data = new Float32Array(voxelCount(grid.size) * 3);
  const { matrix: m, offset } = voxelToPhysical(grid);
  const [nx, ny] = grid.size;
  forEachMapped(map, grid, IDENTITY, (voxel, x, y, z) => {
    const i = voxel % nx;
    const j = Math.floor(voxel / nx) % ny;
    const k = Math.floor(voxel / (nx * ny));
    data[voxel * 3] = x - (m[0] * i + m[1] * j + m[2] * k + offset[0]);
    data[voxel * 3 + 1] = y - (m[3] * i + m[4] * j + m[5] * k + offset[1]);
    data[voxel * 3 + 2] = z - (m[6] * i + m[7] * j + m[8] * k + offset[2]);
  });
  return { geometry: grid, data };
}

/**
 * The Jacobian determinant of x -> x + displacement(x) in physical space, at each voxel: 1 keeps volume, 0 or less is a fold.
 * Derivatives are central differences, one-sided at the border; along an axis of one voxel the displacement counts as constant.
 */
export function physicalJacobian({ geometry, data }: VectorField): Float32Array {
  const { size } = geometry;
  const { matrix } = voxelToPhysical(geometry);
  const perVoxel = determinant3(matrix);
  const stride = [1, size[0], size[0] * size[1]];
  const out = new Float32Array(voxelCount(size));
  const j = new Float64Array(9);
  const index = [0, 0, 0];
  for (let voxel = 0; voxel < out.length; voxel++) {
    index[0] = voxel % size[0];
    index[1] = Math.floor(voxel / stride[1]) % size[1];
    index[2] = Math.floor(voxel / stride[2]);
    for (let axis = 0; axis < 3; axis++) {
      const back = index[axis] > 0 ? 1 : 0;
      const ahead = index[axis] < size[axis] - 1 ? 1 : 0;
      const [from, to] = [(voxel - back * stride[axis]) * 3, (voxel + ahead * stride[axis]) * 3];
      const steps = Math.max(1, back + ahead);
      // how the mapped position moves with one voxel along the axis
      for (let row = 0; row < 3; row++) j[row * 3 + axis] = matrix[row * 3 + axis] + (data[to + row] - data[from + row]) / steps;
    }
    out[voxel] = determinant3(j as unknown as Matrix3) / perVoxel;
  }
  return out;
}
