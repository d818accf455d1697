/**
 * The moving image and its labels on the fixed image's grid: each voxel takes what lies where the map brings it, read from the moving
 * file's own voxels, so that there is one interpolation.
 */
import { composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { sigmaBeforeDownsampling } from '../../geometry/resample.ts';
import { smoothGaussian } from '../../geometry/smooth.ts';
import { type Geometry, type Volume, type VoxelArray, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { emptyLike } from '../empty-like.ts';
import { type MappedPlane, mappedPlanes, type PhysicalMap } from './physical-map.ts';

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
 * @returns gives a plane of `grid`; the array is used again for the next plane
 */
export function warpedPlanes<Data extends VoxelArray>(
  volume: Volume<Data>,
  map: PhysicalMap,
  grid: Geometry,
  background: number,
): (k: number) => Data {
  const { size } = volume.geometry;
  const input = forGrid(volume, map, grid);
  const mapped = mappedPlanes(map, grid, physicalToVoxel(volume.geometry));
  const out = emptyLike(volume.data, grid.size[0] * grid.size[1]);
  return (k) => {
    sampleLinear(input, size, mapped(k), background, out);
    return out;
  };
}

function sampleLinear(
  input: VoxelArray,
  [nx, ny, nz]: Xyz,
  { x: xs, y: ys, z: zs }: MappedPlane,
  background: number,
  out: VoxelArray,
): void {
  const whole = !(out instanceof Float32Array || out instanceof Float64Array);
  for (let voxel = 0; voxel < out.length; voxel++) {
    const px = xs[voxel];
    const py = ys[voxel];
    const pz = zs[voxel];
    if (isOutside(px, nx) || isOutside(py, ny) || isOutside(pz, nz)) {
      out[voxel] = background;
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
    const dz = fz > 0 ? nx * ny : 0;
    const i = (z0 * ny + y0) * nx + x0;
    const c00 = input[i] + (input[i + dx] - input[i]) * fx;
    const c10 = input[i + dy] + (input[i + dy + dx] - input[i + dy]) * fx;
    const c01 = input[i + dz] + (input[i + dz + dx] - input[i + dz]) * fx;
    const c11 = input[i + dz + dy] + (input[i + dz + dy + dx] - input[i + dz + dy]) * fx;
    const low = c00 + (c10 - c00) * fy;
    const high = c01 + (c11 - c01) * fy;
    const value = low + (high - low) * fz;
    out[voxel] = whole ? Math.round(value) : value;
  }
}

/** `warpedPlanes`, all of them. */
export function warpImage<Data extends VoxelArray>(
  volume: Volume<Data>,
  map: PhysicalMap,
  grid: Geometry,
  background: number,
): Volume<Data> {
  return allPlanes(grid, volume.data, warpedPlanes(volume, map, grid, background));
}

/**
 * The label map on `grid`: the nearest voxel's code, 0 outside; exactly between two voxels the lower.
 * @returns gives a plane of `grid`; the array is used again for the next plane
 */
export function warpedLabelPlanes<Data extends VoxelArray>(
  labels: Volume<Data>,
  map: PhysicalMap,
  grid: Geometry,
): (k: number) => Data {
  const mapped = mappedPlanes(map, grid, physicalToVoxel(labels.geometry));
  const out = emptyLike(labels.data, grid.size[0] * grid.size[1]);
  return (k) => {
    sampleNearest(labels, mapped(k), out);
    return out;
  };
}

/** The codes at the places of a plane, in voxels of the label map; 0 outside. */
export function sampleNearest({ geometry, data }: Volume, { x: xs, y: ys, z: zs }: MappedPlane, out: VoxelArray): void {
  const [nx, ny, nz] = geometry.size;
  for (let voxel = 0; voxel < out.length; voxel++) {
    const x = xs[voxel];
    const y = ys[voxel];
    const z = zs[voxel];
    out[voxel] =
      isOutside(x, nx) || isOutside(y, ny) || isOutside(z, nz)
        ? 0
        : data[(nearest(z, nz) * ny + nearest(y, ny)) * nx + nearest(x, nx)];
  }
}

/** How many of the places of a plane, in voxels of an image of this size, lie inside it. */
export function countInside([nx, ny, nz]: Xyz, { x: xs, y: ys, z: zs }: MappedPlane): number {
  let count = 0;
  for (let voxel = 0; voxel < xs.length; voxel++)
    if (!isOutside(xs[voxel], nx) && !isOutside(ys[voxel], ny) && !isOutside(zs[voxel], nz)) count++;
  return count;
}

/** The share of the grid's voxels, in [0, 1], that the map brings into the image. */
export function coveredShare(image: Geometry, map: PhysicalMap, grid: Geometry): number {
  const mapped = mappedPlanes(map, grid, physicalToVoxel(image));
  let covered = 0;
  for (let k = 0; k < grid.size[2]; k++) covered += countInside(image.size, mapped(k));
  return covered / voxelCount(grid.size);
}

function allPlanes<Data extends VoxelArray>(grid: Geometry, like: Data, plane: (k: number) => Data): Volume<Data> {
  const inPlane = grid.size[0] * grid.size[1];
  const data = emptyLike(like, voxelCount(grid.size));
  for (let k = 0; k < grid.size[2]; k++) data.set(plane(k) as never, k * inPlane);
  return { geometry: grid, data };
}
