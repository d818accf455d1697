/**
 * The moving image and its labels on the fixed image's grid: each voxel takes what lies where the map brings it, read from the moving
 * file's own voxels, so that there is one interpolation.
 */
import { type Affine, composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { emptyLike } from '../../geometry/empty-like.ts';
import { sigmaBeforeDownsampling } from '../../geometry/resample.ts';
import { smoothGaussian } from '../../geometry/smooth.ts';
import { type Geometry, type Volume, type VoxelArray, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { type MappedRow, mappedRows, type PhysicalMap } from './physical-map.ts';

/** Half a voxel outside still belongs to the border voxel; the slack is for rounding in a file's header (as in resampling). */
const BORDER = 0.5 + 1e-4;

const isOutside = (position: number, size: number): boolean => !(position >= -BORDER && position <= size - 1 + BORDER);
const inside = (position: number, size: number): number => (position < 0 ? 0 : Math.min(position, size - 1));
const nearest = (position: number, size: number): number => Math.max(0, Math.min(size - 1, Math.ceil(position - BORDER)));

/** The image smoothed as a coarser grid needs it, along each of its axes; itself if the grid is as fine. */
function forGrid(volume: Volume, map: PhysicalMap, grid: Geometry): VoxelArray {
  const { matrix: m } = composeAffine(physicalToVoxel(volume.geometry), composeAffine(map.affine, voxelToPhysical(grid)));
  const sigma = [0, 1, 2].map((row) => sigmaBeforeDownsampling(Math.hypot(m[row * 3], m[row * 3 + 1], m[row * 3 + 2])));
  // a few per cent of scaling are no down-sampling
  return sigma.some((s) => s > 0.2) ? smoothGaussian(volume, sigma as unknown as Xyz).data : volume.data;
}

/**
 * The image on `grid`, trilinear, in its own number type (rounded where that is a whole number); smoothed first if the grid is coarser.
 * @param background value of what lies outside the moving image
 * @returns fills `out`, from `at` on, with the values at the places of a row of `grid`, in voxels of the image: see `mappedRows`
 */
export function rowWarper<Data extends VoxelArray>(
  volume: Volume<Data>,
  map: PhysicalMap,
  grid: Geometry,
  background: number,
): (row: MappedRow, out: Data, at: number) => void {
  const { size } = volume.geometry;
  const input = forGrid(volume, map, grid);
  return (row, out, at) => sampleLinear(input, size, row, background, out, at);
}

function sampleLinear(
  input: VoxelArray,
  [nx, ny, nz]: Xyz,
  { x: xs, y: ys, z: zs }: MappedRow,
  background: number,
  out: VoxelArray,
  first: number,
): void {
  const whole = !(out instanceof Float32Array || out instanceof Float64Array);
  const slice = nx * ny;
  const [lastX, lastY, lastZ] = [nx - 1 + BORDER, ny - 1 + BORDER, nz - 1 + BORDER];
  for (let i = 0; i < xs.length; i++) {
    const px = xs[i];
    const py = ys[i];
    const pz = zs[i];
    // not `<`: what is no number is outside
    if (!(px >= -BORDER && px <= lastX && py >= -BORDER && py <= lastY && pz >= -BORDER && pz <= lastZ)) {
      out[first + i] = background;
      continue;
    }
    const x = inside(px, nx);
    const y = inside(py, ny);
    const z = inside(pz, nz);
    const x0 = Math.floor(x);
    const y0 = Math.floor(y);
    const z0 = Math.floor(z);
    const fx = x - x0;
    const fy = y - y0;
    const fz = z - z0;
    const dx = fx > 0 ? 1 : 0;
    const dy = fy > 0 ? nx : 0;
    const dz = fz > 0 ? slice : 0;
    const n = (z0 * ny + y0) * nx + x0;
    const c00 = input[n] + (input[n + dx] - input[n]) * fx;
    const c10 = input[n + dy] + (input[n + dy + dx] - input[n + dy]) * fx;
    const c01 = input[n + dz] + (input[n + dz + dx] - input[n + dz]) * fx;
    const c11 = input[n + dz + dy] + (input[n + dz + dy + dx] - input[n + dz + dy]) * fx;
    const low = c00 + (c10 - c00) * fy;
    const high = c01 + (c11 - c01) * fy;
    const value = low + (high - low) * fz;
    out[first + i] = whole ? Math.round(value) : value;
  }
}

/** The image on `grid`, all of it: see `rowWarper`. */
export function warpImage<Data extends VoxelArray>(
  volume: Volume<Data>,
  map: PhysicalMap,
  grid: Geometry,
  background: number,
): Volume<Data> {
  const warp = rowWarper(volume, map, grid, background);
  const data = emptyLike(volume.data, voxelCount(grid.size));
  forEachRow(map, grid, physicalToVoxel(volume.geometry), (row, at) => warp(row, data, at));
  return { geometry: grid, data };
}

/** Goes through the rows of `grid` where `map` brings them; `at` is the place of a row's first voxel in the grid. */
export function forEachRow(
  map: PhysicalMap,
  grid: Geometry,
  coordinates: Affine,
  use: (row: MappedRow, at: number) => void,
): void {
  const [nx, ny, nz] = grid.size;
  const mapped = mappedRows(map, grid, coordinates);
  for (let k = 0, at = 0; k < nz; k++) for (let j = 0; j < ny; j++, at += nx) use(mapped(j, k), at);
}

/** The codes of a label map at places in its voxels, into `out` from `at` on: the nearest voxel's, exactly between two the lower's; 0 outside. */
export function sampleNearest({ geometry, data }: Volume, { x: xs, y: ys, z: zs }: MappedRow, out: VoxelArray, at: number): void {
  const [nx, ny, nz] = geometry.size;
  for (let i = 0; i < xs.length; i++) {
    const x = xs[i];
    const y = ys[i];
    const z = zs[i];
    out[at + i] =
      isOutside(x, nx) || isOutside(y, ny) || isOutside(z, nz)
        ? 0
        : data[(nearest(z, nz) * ny + nearest(y, ny)) * nx + nearest(x, nx)];
  }
}

/** A label map on `grid`, all of it: see `sampleNearest`. */
export function warpLabelMap(labels: Volume, map: PhysicalMap, grid: Geometry): Volume {
  const data = emptyLike(labels.data, voxelCount(grid.size));
  forEachRow(map, grid, physicalToVoxel(labels.geometry), (row, at) => sampleNearest(labels, row, data, at));
  return { geometry: grid, data };
}

/** How many of the places, in voxels of an image of this size, lie inside it. */
export function countInside([nx, ny, nz]: Xyz, { x: xs, y: ys, z: zs }: MappedRow): number {
  let count = 0;
  for (let i = 0; i < xs.length; i++) if (!isOutside(xs[i], nx) && !isOutside(ys[i], ny) && !isOutside(zs[i], nz)) count++;
  return count;
}

/** The share of the grid's voxels, in [0, 1], that the map brings into the image. */
export function coveredShare(image: Geometry, map: PhysicalMap, grid: Geometry): number {
  const coordinates = physicalToVoxel(image);
  let covered = 0;
  if (map.residual)
    forEachRow(map, grid, coordinates, (row) => {
      covered += countInside(image.size, row);
    });
  else {
    const toImage = composeAffine(coordinates, composeAffine(map.affine, voxelToPhysical(grid)));
    const within = rowsWithin(toImage, image.size, BORDER, grid);
    for (let k = 0; k < grid.size[2]; k++)
      for (let j = 0; j < grid.size[1]; j++) {
        const { from, to } = within(j, k);
        covered += to - from;
      }
  }
  return covered / voxelCount(grid.size);
}

/**
 * Which voxels of each row of `grid` an affine brings into a box of `size` voxels with a border around: those from `from` up to, but without, `to`.
 * Along a row each coordinate only grows or only falls, rounded or not, so its ends are found without looking at every voxel.
 */
export function rowsWithin(
  { matrix: m, offset }: Affine,
  size: Xyz,
  border: number,
  grid: Geometry,
): (j: number, k: number) => { readonly from: number; readonly to: number } {
  const length = grid.size[0];
  return (j, k) => {
    let [from, to] = [0, length];
    for (let axis = 0; axis < 3; axis++) {
      const [a, b, c] = [m[3 * axis], m[3 * axis + 1], m[3 * axis + 2]];
      const last = size[axis] - 1 + border;
      const place = (i: number): number => a * i + b * j + c * k + offset[axis];
      from = Math.max(
        from,
        firstWhere(length, (i) => (a < 0 ? place(i) <= last : place(i) >= -border)),
      );
      to = Math.min(
        to,
        firstWhere(length, (i) => (a < 0 ? place(i) < -border : place(i) > last)),
      );
    }
    return { from, to: Math.max(from, to) };
  };
}

/** The first of 0 to `count` - 1 for which `holds`, which goes on to hold from there; `count` if none. */
function firstWhere(count: number, holds: (i: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
