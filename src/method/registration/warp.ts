/**
 * The moving image and its labels on the fixed image's grid: each voxel takes what lies where the map brings it, read from the moving
 * file's own voxels, so that there is one interpolation.
 */
import { composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { sigmaBeforeDownsampling } from '../../geometry/resample.ts';
import { smoothGaussian } from '../../geometry/smooth.ts';
import { type Geometry, type Volume, type VoxelArray, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { forEachMapped, type PhysicalMap } from './physical-map.ts';

/** Half a voxel outside still belongs to the border voxel; the slack is for rounding in a file's header (as in resampling). */
const BORDER = 0.5 + 1e-4;

const isOutside = (position: number, size: number): boolean => !(position >= -BORDER && position <= size - 1 + BORDER);
const inside = (position: number, size: number): number => (position < 0 ? 0 : Math.min(position, size - 1));

const emptyLike = <Data extends VoxelArray>(data: Data, length: number): Data =>
  new (data.constructor as new (length: number) => Data)(length);

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
 */
export function warpImage<Data extends VoxelArray>(
  volume: Volume<Data>,
  map: PhysicalMap,
  grid: Geometry,
  background: number,
): Volume<Data> {
  const [nx, ny, nz] = volume.geometry.size;
  const input = forGrid(volume, map, grid);
  const data = emptyLike(volume.data, voxelCount(grid.size));
  const whole = !(data instanceof Float32Array || data instanceof Float64Array);
  forEachMapped(map, grid, physicalToVoxel(volume.geometry), (voxel, px, py, pz) => {
    if (isOutside(px, nx) || isOutside(py, ny) || isOutside(pz, nz)) {
      data[voxel] = background;
      return;
    }
    const [x, y, z] = [inside(px, nx), inside(py, ny), inside(pz, nz)];
    const [x0, y0, z0] = [Math.floor(x), Math.floor(y), Math.floor(z)];
    const [fx, fy, fz] = [x - x0, y - y0, z - z0];
    const [dx, dy, dz] = [fx > 0 ? 1 : 0, fy > 0 ? nx : 0, fz > 0 ? nx * ny : 0];
    const i = (z0 * ny + y0) * nx + x0;
    const along = (from: number): number => input[from] + (input[from + dx] - input[from]) * fx;
    const low = along(i) + (along(i + dy) - along(i)) * fy;
    const high = along(i + dz) + (along(i + dz + dy) - along(i + dz)) * fy;
    const value = low + (high - low) * fz;
    data[voxel] = whole ? Math.round(value) : value;
  });
  return { geometry: grid, data };
}

/** The label map on `grid`: the nearest voxel's code, 0 outside; exactly between two voxels the lower. */
export function warpLabelMap<Data extends VoxelArray>(labels: Volume<Data>, map: PhysicalMap, grid: Geometry): Volume<Data> {
  const [nx, ny, nz] = labels.geometry.size;
  const data = emptyLike(labels.data, voxelCount(grid.size));
  const nearest = (position: number, size: number): number => Math.max(0, Math.min(size - 1, Math.ceil(position - BORDER)));
  forEachMapped(map, grid, physicalToVoxel(labels.geometry), (voxel, x, y, z) => {
    if (isOutside(x, nx) || isOutside(y, ny) || isOutside(z, nz)) return;
    data[voxel] = labels.data[(nearest(z, nz) * ny + nearest(y, ny)) * nx + nearest(x, nx)];
  });
  return { geometry: grid, data };
}

/** The share of the grid's voxels, in [0, 1], that the map brings into the image. */
export function coveredShare(image: Geometry, map: PhysicalMap, grid: Geometry): number {
  const [nx, ny, nz] = image.size;
  let covered = 0;
  forEachMapped(map, grid, physicalToVoxel(image), (_, x, y, z) => {
    if (!isOutside(x, nx) && !isOutside(y, ny) && !isOutside(z, nz)) covered++;
  });
  return covered / voxelCount(grid.size);
}
