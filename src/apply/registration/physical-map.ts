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
export function addVectorAt(
  { geometry: { size }, data }: VectorField,
  px: number,
  py: number,
  pz: number,
  out: Float64Array,
): void {
  // one name a value: this is called for every voxel, and arrays would be allocated each time
  const nx = size[0];
  const ny = size[1];
  const nz = size[2];
  const cx = px < 0 ? 0 : Math.min(px, nx - 1);
  const cy = py < 0 ? 0 : Math.min(py, ny - 1);
  const cz = pz < 0 ? 0 : Math.min(pz, nz - 1);
  const x0 = Math.floor(cx);
  const y0 = Math.floor(cy);
  const z0 = Math.floor(cz);
  const fx = cx - x0;
  const fy = cy - y0;
  const fz = cz - z0;
  const first = ((z0 * ny + y0) * nx + x0) * 3;
  let x = out[0];
  let y = out[1];
  let z = out[2];
  for (let neighbour = 0; neighbour < 8; neighbour++) {
    const ux = neighbour & 1;
    const uy = (neighbour >> 1) & 1;
    const uz = neighbour >> 2;
    const weight = (ux ? fx : 1 - fx) * (uy ? fy : 1 - fy) * (uz ? fz : 1 - fz);
    // a weight of zero may belong to a neighbour outside the grid
    if (weight === 0) continue;
    const at = first + ((uz * ny + uy) * nx + ux) * 3;
    x += weight * data[at];
    y += weight * data[at + 1];
    z += weight * data[at + 2];
  }
  out[0] = x;
  out[1] = y;
  out[2] = z;
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

/** Where a map brings the voxels of one row of a grid. */
export interface MappedRow {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly z: Float64Array;
}

/** Adds what a field holds at the voxels of the row (j, k) of a grid to their places. */
type AddField = (j: number, k: number, row: MappedRow) => void;

/**
 * The places to which the map brings the voxels of `grid`, a row at a time. The arrays that it gives are used again for the next row.
 * @param coordinates from mm, LPS, to what is wanted: the voxels of an image (`physicalToVoxel`), or mm (`IDENTITY`)
 */
export function mappedRows(map: PhysicalMap, grid: Geometry, coordinates: Affine): (j: number, k: number) => MappedRow {
  const { matrix: a, offset } = composeAffine(coordinates, composeAffine(map.affine, voxelToPhysical(grid)));
  const addField = map.residual && fieldAdder(turned(map.residual, coordinates.matrix), grid);
  const length = grid.size[0];
  const row = { x: new Float64Array(length), y: new Float64Array(length), z: new Float64Array(length) };
  const { x, y, z } = row;
  return (j, k) => {
    const [xj, yj, zj] = [a[1] * j, a[4] * j, a[7] * j];
    const [xk, yk, zk] = [a[2] * k, a[5] * k, a[8] * k];
    for (let i = 0; i < length; i++) {
      x[i] = a[0] * i + xj + xk + offset[0];
      y[i] = a[3] * i + yj + yk + offset[1];
      z[i] = a[6] * i + zj + zk + offset[2];
    }
    addField?.(j, k, row);
    return row;
  };
}

/** Grids whose axes part by less than this over the whole of a grid, in voxels, count as parallel. */
const PARALLEL_VOXELS = 1e-6;

/** Chooses the quickest way to add a field: axis by axis where the grid's axes are the field's, in whatever order and sense. */
function fieldAdder(field: VectorField, grid: Geometry): AddField {
  const toField = composeAffine(physicalToVoxel(field.geometry), voxelToPhysical(grid));
  const { matrix } = toField;
  /** The field's axis along each of the grid's. */
  const along = [0, 1, 2].map((axis) =>
    [0, 1, 2].find((k) => Math.abs(matrix[k * 3 + axis]) * grid.size[axis] > PARALLEL_VOXELS),
  );
  const off = (k: number, axis: number): number => (along[axis] === k ? 0 : Math.abs(matrix[k * 3 + axis]) * grid.size[axis]);
  const isParallel =
    new Set(along).size === 3 &&
    !along.includes(undefined) &&
    [0, 1, 2].every((k) => [0, 1, 2].every((axis) => off(k, axis) < PARALLEL_VOXELS));
  return isParallel ? alongAxes(field, toField, along as unknown as Xyz, grid) : anyWay(field, toField);
}

/** Where the voxels of one axis of a grid lie along an axis of a field: the place below, the one above (itself at the end), its weight. */
interface AxisPlaces {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float64Array;
}

function axisPlaces(count: number, step: number, start: number, inputs: number): AxisPlaces {
  const [low, high, share] = [new Int32Array(count), new Int32Array(count), new Float64Array(count)];
  for (let i = 0; i < count; i++) {
    const at = Math.max(0, Math.min(step * i + start, inputs - 1));
    low[i] = Math.floor(at);
    share[i] = at - low[i];
    high[i] = share[i] > 0 ? low[i] + 1 : low[i];
  }
  return { low, high, share };
}

/**
 * For grids with parallel axes, trilinear interpolation is three linear ones: two planes of the field become one for each plane of the grid, its
 * rows are brought to the grid's places along x once, and a row of the grid lies between two of those.
 */
function alongAxes(
  { geometry: { size }, data }: VectorField,
  { matrix, offset }: Affine,
  along: Xyz,
  { size: outputs }: Geometry,
): AddField {
  const [alongX, alongY, alongZ] = along.map((k, axis) =>
    axisPlaces(outputs[axis], matrix[k * 3 + axis], offset[k], size[k]),
  ) as [AxisPlaces, AxisPlaces, AxisPlaces];
  const stride = [3, 3 * size[0], 3 * size[0] * size[1]];
  const [stepX, stepY, stepZ] = along.map((k) => stride[k]);
  const [width, height] = [size[along[0]], size[along[1]]];
  const length = outputs[0];
  const newRow = (): { of: number } & MappedRow => ({
    of: -1,
    x: new Float64Array(length),
    y: new Float64Array(length),
    z: new Float64Array(length),
  });
  /** The plane of the field at the grid's plane k: component by component, a row after the other. */
  const plane = Float64Array.from({ length: 3 * width * height }, () => 0);
  const rows = [newRow(), newRow()];
  let planeOf = -1;
  const toPlane = (k: number): void => {
    if (planeOf === k) return;
    planeOf = k;
    for (const row of rows) row.of = -1;
    const [low, high, share] = [alongZ.low[k] * stepZ, alongZ.high[k] * stepZ, alongZ.share[k]];
    for (let v = 0, at = 0; v < height; v++)
      for (let u = 0; u < width; u++, at++)
        for (let c = 0; c < 3; c++) {
          const from = u * stepX + v * stepY + c;
          plane[c * width * height + at] = (1 - share) * data[from + low] + share * data[from + high];
        }
  };
  const component = (out: Float64Array, from: number): void => {
    const { low, high, share } = alongX;
    for (let i = 0; i < length; i++) {
      const weight = share[i];
      out[i] = (1 - weight) * plane[from + low[i]] + weight * plane[from + high[i]];
    }
  };
  const rowAt = (v: number): MappedRow => {
    const row = rows[v & 1];
    if (row.of !== v) {
      row.of = v;
      component(row.x, v * width);
      component(row.y, (height + v) * width);
      component(row.z, (2 * height + v) * width);
    }
    return row;
  };
  return (j, k, { x, y, z }) => {
    toPlane(k);
    const share = alongY.share[j];
    const rest = 1 - share;
    const a = rowAt(alongY.low[j]);
    const b = rowAt(alongY.high[j]);
    const [ax, ay, az, bx, by, bz] = [a.x, a.y, a.z, b.x, b.y, b.z];
    for (let i = 0; i < length; i++) {
      x[i] += rest * ax[i] + share * bx[i];
      y[i] += rest * ay[i] + share * by[i];
      z[i] += rest * az[i] + share * bz[i];
    }
  };
}

/** For grids that are turned against the field, or sheared: `addVectorAt` for every voxel, as one loop. */
function anyWay({ geometry: { size }, data }: VectorField, { matrix: b, offset: start }: Affine): AddField {
  const [nx, ny, nz] = size;
  const [row, slice] = [3 * nx, 3 * nx * ny];
  // one name a value: arrays would be allocated at every voxel
  return (j, k, { x, y, z }) => {
    for (let i = 0; i < x.length; i++) {
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
      x[i] +=
        w0 * data[n0] +
        w1 * data[n1] +
        w2 * data[n2] +
        w3 * data[n3] +
        w4 * data[n4] +
        w5 * data[n5] +
        w6 * data[n6] +
        w7 * data[n7];
      y[i] +=
        w0 * data[n0 + 1] +
        w1 * data[n1 + 1] +
        w2 * data[n2 + 1] +
        w3 * data[n3 + 1] +
        w4 * data[n4 + 1] +
        w5 * data[n5 + 1] +
        w6 * data[n6 + 1] +
        w7 * data[n7 + 1];
      z[i] +=
        w0 * data[n0 + 2] +
        w1 * data[n1 + 2] +
        w2 * data[n2 + 2] +
        w3 * data[n3 + 2] +
        w4 * data[n4 + 2] +
        w5 * data[n5 + 2] +
        w6 * data[n6 + 2] +
        w7 * data[n7 + 2];
    }
  };
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
 * The map that first does `inner`, from the fixed image's space into itself, then `outer`. Exact where the outer one is affine; else its deformable
 * part is sampled on `grid`.
 */
export function composeInner(outer: PhysicalMap, inner: PhysicalMap, grid: Geometry): PhysicalMap {
  const affine = composeAffine(outer.affine, inner.affine);
  const added = inner.residual && turned(inner.residual, outer.affine.matrix);
  const { residual } = outer;
  if (!residual) return { affine, residual: added };
  const [nx, ny, nz] = grid.size;
  const data = new Float32Array(3 * nx * ny * nz);
  const places = mappedRows(inner, grid, physicalToVoxel(residual.geometry));
  const ofInner = added && fieldAdder(added, grid);
  const row = { x: new Float64Array(nx), y: new Float64Array(nx), z: new Float64Array(nx) };
  const vector = new Float64Array(3);
  for (let k = 0, at = 0; k < nz; k++)
    for (let j = 0; j < ny; j++) {
      const { x, y, z } = places(j, k);
      for (const values of [row.x, row.y, row.z]) values.fill(0);
      ofInner?.(j, k, row);
      for (let i = 0; i < nx; i++, at += 3) {
        vector[0] = row.x[i];
        vector[1] = row.y[i];
        vector[2] = row.z[i];
        addVectorAt(residual, x[i], y[i], z[i], vector);
        data[at] = vector[0];
        data[at + 1] = vector[1];
        data[at + 2] = vector[2];
      }
    }
  return { affine, residual: { geometry: grid, data } };
}

/** Planes that `displacementPlanes` keeps: those that a central difference needs. */
const KEPT_PLANES = 3;

/** The displacement of every voxel of `grid`, where the map brings it minus where it is, mm, LPS. */
export function displacementField(map: PhysicalMap, grid: Geometry): VectorField {
  const data = new Float32Array(3 * voxelCount(grid.size));
  const planes = displacementPlanes(map, grid);
  const inPlane = 3 * grid.size[0] * grid.size[1];
  for (let z = 0; z < grid.size[2]; z++) data.set(planes(z), z * inPlane);
  return { geometry: grid, data };
}

/**
 * The displacement of each voxel of `grid`, where the map brings it minus where it is, mm, LPS: plane by plane, three values a voxel
 * (`plane[3 * voxel + component]`). Of planes that follow one another the last three are kept; then their arrays are used again.
 */
export function displacementPlanes(map: PhysicalMap, grid: Geometry): (k: number) => Float32Array {
  const { matrix: m, offset } = voxelToPhysical(grid);
  const [nx, ny] = grid.size;
  const mapped = mappedRows(map, grid, IDENTITY);
  const kept = Array.from({ length: KEPT_PLANES }, () => ({ of: -1, values: new Float32Array(3 * nx * ny) }));
  return (k) => {
    const plane = kept[k % KEPT_PLANES];
    if (plane.of === k) return plane.values;
    plane.of = k;
    const out = plane.values;
    for (let j = 0, at = 0; j < ny; j++) {
      const { x, y, z } = mapped(j, k);
      const [xj, yj, zj] = [m[1] * j, m[4] * j, m[7] * j];
      const [xk, yk, zk] = [m[2] * k, m[5] * k, m[8] * k];
      for (let i = 0; i < nx; i++, at += 3) {
        out[at] = x[i] - (m[0] * i + xj + xk + offset[0]);
        out[at + 1] = y[i] - (m[3] * i + yj + yk + offset[1]);
        out[at + 2] = z[i] - (m[6] * i + zj + zk + offset[2]);
      }
    }
    return out;
  };
}

/**
 * The Jacobian determinant of x -> x + displacement(x) in physical space, at each voxel: 1 keeps volume, 0 or less is a fold.
 * Derivatives are central differences, one-sided at the border; along an axis of one voxel the displacement counts as constant.
 * @param displacement gives the planes of the field on `grid`: see `displacementPlanes`
 * @returns gives the planes of determinants, quickest in ascending order; the array is used again for the next plane
 */
export function jacobianPlanes(grid: Geometry, displacement: (k: number) => Float32Array): (k: number) => Float32Array {
  const [nx, ny, nz] = grid.size;
  const { matrix: m } = voxelToPhysical(grid);
  const perVoxel = determinant3(m);
  const out = new Float32Array(nx * ny);
  return (k) => {
    const [below, above] = [Math.max(0, k - 1), Math.min(nz - 1, k + 1)];
    const [before, here, behind] = [displacement(below), displacement(k), displacement(above)];
    // differences are divided by one or two steps, which multiplying does as exactly
    const perZ = above - below === 2 ? 0.5 : 1;
    for (let j = 0, at = 0; j < ny; j++) {
      const [front, back] = [j > 0 ? 3 * nx : 0, j < ny - 1 ? 3 * nx : 0];
      const perY = front + back === 6 * nx ? 0.5 : 1;
      for (let i = 0; i < nx; i++, at++) {
        const v = 3 * at;
        const left = i > 0 ? v - 3 : v;
        const right = i < nx - 1 ? v + 3 : v;
        const perX = right - left === 6 ? 0.5 : 1;
        const up = v - front;
        const down = v + back;
        // how the mapped position moves with one voxel along x (a, d, g), y (b, e, h) and z (c, f, i)
        const ja = m[0] + (here[right] - here[left]) * perX;
        const jd = m[3] + (here[right + 1] - here[left + 1]) * perX;
        const jg = m[6] + (here[right + 2] - here[left + 2]) * perX;
        const jb = m[1] + (here[down] - here[up]) * perY;
        const je = m[4] + (here[down + 1] - here[up + 1]) * perY;
        const jh = m[7] + (here[down + 2] - here[up + 2]) * perY;
        const jc = m[2] + (behind[v] - before[v]) * perZ;
        const jf = m[5] + (behind[v + 1] - before[v + 1]) * perZ;
        const ji = m[8] + (behind[v + 2] - before[v + 2]) * perZ;
        out[at] = (ja * (je * ji - jf * jh) - jb * (jd * ji - jf * jg) + jc * (jd * jh - je * jg)) / perVoxel;
      }
    }
    return out;
  };
}
