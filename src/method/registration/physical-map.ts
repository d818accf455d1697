/**
 * Where each point of the fixed image lies in the moving one, in millimetres (LPS): an affine map, and what the deformable part adds to it.
 *
 * Kept apart like that, the map has a sensible value everywhere: outside the grid of the deformable part its border value goes on, so that
 * the image far away follows the affine. This is the direction that warping needs, and ITK's and ANTs' convention for transforms.
 */
import {
  type Affine,
  applyAffine,
  composeAffine,
  determinant3,
  physicalToVoxel,
  voxelToPhysical,
} from '../../geometry/affine.ts';
import { type Geometry, IDENTITY_3, type Matrix3, type Xyz } from '../../geometry/volume.ts';

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
export function turned({ geometry, data }: VectorField, m: Matrix3): VectorField {
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const [x, y, z] = [data[i], data[i + 1], data[i + 2]];
    out[i] = m[0] * x + m[1] * y + m[2] * z;
    out[i + 1] = m[3] * x + m[4] * y + m[5] * z;
    out[i + 2] = m[6] * x + m[7] * y + m[8] * z;
  }
  return { geometry, data: out };
}

/** Where a map brings the voxels of one plane of a grid, x fastest. */
export interface MappedPlane {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly z: Float64Array;
}

/**
 * The places to which the map brings the voxels of `grid`, a plane at a time. The arrays that it gives are used again for the next plane.
 * @param coordinates from mm, LPS, to what is wanted: the voxels of an image (`physicalToVoxel`), or mm (`IDENTITY`)
 */
export function mappedPlanes(map: PhysicalMap, grid: Geometry, coordinates: Affine): (k: number) => MappedPlane {
  const { matrix: a, offset } = composeAffine(coordinates, composeAffine(map.affine, voxelToPhysical(grid)));
  const residual = map.residual && turned(map.residual, coordinates.matrix);
  const toResidual = residual && composeAffine(physicalToVoxel(residual.geometry), voxelToPhysical(grid));
  const [nx, ny] = grid.size;
  const plane = { x: new Float64Array(nx * ny), y: new Float64Array(nx * ny), z: new Float64Array(nx * ny) };
  return (k) => {
    const { x, y, z } = plane;
    for (let j = 0, at = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++, at++) {
        x[at] = a[0] * i + a[1] * j + a[2] * k + offset[0];
        y[at] = a[3] * i + a[4] * j + a[5] * k + offset[1];
        z[at] = a[6] * i + a[7] * j + a[8] * k + offset[2];
      }
    }
    if (residual && toResidual) addField(residual, toResidual, nx, ny, k, plane);
    return plane;
  };
}

/** Adds to a plane of places what the field holds there: `addVectorAt` for every voxel, as one loop. */
function addField(
  { geometry: { size }, data }: VectorField,
  { matrix: b, offset: start }: Affine,
  width: number,
  height: number,
  k: number,
  { x, y, z }: MappedPlane,
): void {
  const [nx, ny, nz] = size;
  const [row, slice] = [3 * nx, 3 * nx * ny];
  // one name a value: arrays would be allocated at every voxel
  for (let j = 0, at = 0; j < height; j++) {
    for (let i = 0; i < width; i++, at++) {
      const px = b[0] * i + b[1] * j + b[2] * k + start[0];
      const py = b[3] * i + b[4] * j + b[5] * k + start[1];
      const pz = b[6] * i + b[7] * j + b[8] * k + start[2];
      const cx = px < 0 ? 0 : Math.min(px, nx - 1);
      const cy = py < 0 ? 0 : Math.min(py, ny - 1);
      const cz = pz < 0 ? 0 : Math.min(pz, nz - 1);
      const x0 = Math.floor(cx);
      const y0 = Math.floor(cy);
      const z0 = Math.floor(cz);
      const fx = cx - x0;
      const fy = cy - y0;
      const fz = cz - z0;
      const gx = 1 - fx;
      const gy = 1 - fy;
      const gz = 1 - fz;
      // a weight of zero may belong to a neighbour outside the grid: its place is then taken by one inside
      const dx = fx > 0 ? 3 : 0;
      const dy = fy > 0 ? row : 0;
      const dz = fz > 0 ? slice : 0;
      const n0 = z0 * slice + y0 * row + 3 * x0;
      const n1 = n0 + dx;
      const n2 = n0 + dy;
      const n3 = n2 + dx;
      const n4 = n0 + dz;
      const n5 = n4 + dx;
      const n6 = n4 + dy;
      const n7 = n6 + dx;
      const w0 = gx * gy * gz;
      const w1 = fx * gy * gz;
      const w2 = gx * fy * gz;
      const w3 = fx * fy * gz;
      const w4 = gx * gy * fz;
      const w5 = fx * gy * fz;
      const w6 = gx * fy * fz;
      const w7 = fx * fy * fz;
      x[at] +=
        w0 * data[n0] +
        w1 * data[n1] +
        w2 * data[n2] +
        w3 * data[n3] +
        w4 * data[n4] +
        w5 * data[n5] +
        w6 * data[n6] +
        w7 * data[n7];
      y[at] +=
        w0 * data[n0 + 1] +
        w1 * data[n1 + 1] +
        w2 * data[n2 + 1] +
        w3 * data[n3 + 1] +
        w4 * data[n4 + 1] +
        w5 * data[n5 + 1] +
        w6 * data[n6 + 1] +
        w7 * data[n7 + 1];
      z[at] +=
        w0 * data[n0 + 2] +
        w1 * data[n1 + 2] +
        w2 * data[n2 + 2] +
        w3 * data[n3 + 2] +
        w4 * data[n4 + 2] +
        w5 * data[n5 + 2] +
        w6 * data[n6 + 2] +
        w7 * data[n7 + 2];
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

/**
 * The displacement of each voxel of `grid`, where the map brings it minus where it is, mm, LPS: plane by plane, three values a voxel
 * (`plane[3 * voxel + component]`). The array that it gives is used again for the next plane.
 */
export function displacementPlanes(map: PhysicalMap, grid: Geometry): (k: number) => Float32Array {
  const { matrix: m, offset } = voxelToPhysical(grid);
  const [nx, ny] = grid.size;
  const mapped = mappedPlanes(map, grid, IDENTITY);
  const out = new Float32Array(3 * nx * ny);
  return (k) => {
    const { x, y, z } = mapped(k);
    for (let j = 0, at = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++, at++) {
        out[3 * at] = x[at] - (m[0] * i + m[1] * j + m[2] * k + offset[0]);
        out[3 * at + 1] = y[at] - (m[3] * i + m[4] * j + m[5] * k + offset[1]);
        out[3 * at + 2] = z[at] - (m[6] * i + m[7] * j + m[8] * k + offset[2]);
      }
    }
    return out;
  };
}

/**
 * The Jacobian determinant of x -> x + displacement(x) in physical space, at each voxel: 1 keeps volume, 0 or less is a fold.
 * Derivatives are central differences, one-sided at the border; along an axis of one voxel the displacement counts as constant.
 * @param displacement gives the planes of the field on `grid`: see `displacementPlanes`
 * @returns gives the planes of determinants, which are asked for in ascending order; the array is used again for the next plane
 */
export function jacobianPlanes(grid: Geometry, displacement: (k: number) => Float32Array): (k: number) => Float32Array {
  const [nx, ny, nz] = grid.size;
  const { matrix: m } = voxelToPhysical(grid);
  const perVoxel = determinant3(m);
  const out = new Float32Array(nx * ny);
  /** The plane before, the plane itself and the one behind it, of each that is asked for; plane k in place k modulo 3. */
  const near = Array.from({ length: 3 }, () => new Float32Array(3 * nx * ny));
  const held = [-1, -1, -1];
  const planeAt = (k: number): Float32Array => {
    if (held[k % 3] !== k) {
      near[k % 3].set(displacement(k));
      held[k % 3] = k;
    }
    return near[k % 3];
  };
  return (k) => {
    const [below, above] = [Math.max(0, k - 1), Math.min(nz - 1, k + 1)];
    const [before, here, behind] = [planeAt(below), planeAt(k), planeAt(above)];
    const stepsZ = Math.max(1, above - below);
    for (let j = 0, at = 0; j < ny; j++) {
      const [front, back] = [j > 0 ? 3 * nx : 0, j < ny - 1 ? 3 * nx : 0];
      const stepsY = Math.max(1, (front + back) / (3 * nx));
      for (let i = 0; i < nx; i++, at++) {
        const v = 3 * at;
        const left = v - (i > 0 ? 3 : 0);
        const right = v + (i < nx - 1 ? 3 : 0);
        const stepsX = Math.max(1, (right - left) / 3);
        const up = v - front;
        const down = v + back;
        // how the mapped position moves with one voxel along x (a, d, g), y (b, e, h) and z (c, f, i)
        const ja = m[0] + (here[right] - here[left]) / stepsX;
        const jd = m[3] + (here[right + 1] - here[left + 1]) / stepsX;
        const jg = m[6] + (here[right + 2] - here[left + 2]) / stepsX;
        const jb = m[1] + (here[down] - here[up]) / stepsY;
        const je = m[4] + (here[down + 1] - here[up + 1]) / stepsY;
        const jh = m[7] + (here[down + 2] - here[up + 2]) / stepsY;
        const jc = m[2] + (behind[v] - before[v]) / stepsZ;
        const jf = m[5] + (behind[v + 1] - before[v + 1]) / stepsZ;
        const ji = m[8] + (behind[v + 2] - before[v + 2]) / stepsZ;
        out[at] = (ja * (je * ji - jf * jh) - jb * (jd * ji - jf * jg) + jc * (jd * jh - je * jg)) / perVoxel;
      }
    }
    return out;
  };
}
