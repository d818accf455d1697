/** Cutting out and padding, with every voxel staying where it is in the patient. */
import { applyAffine, voxelToPhysical } from './affine.ts';
import { perAxis, type Volume, type VoxelArray, type Xyz } from './volume.ts';

/**
 * The box of `size` voxels that starts at voxel `start` (x, y, z; may be negative or reach beyond the volume).
 * Voxels outside the volume are `background`.
 */
export function cropPad<Data extends VoxelArray>(volume: Volume<Data>, start: Xyz, size: Xyz, background: number): Volume<Data> {
  const { geometry, data } = volume;
  const [nx, ny, nz] = geometry.size;
  const out = new (data.constructor as new (length: number) => Data)(size[0] * size[1] * size[2]);
  if (background !== 0) out.fill(background);
  const low = Math.max(0, start[0]);
  const high = Math.min(nx, start[0] + size[0]);
  for (let z = Math.max(0, -start[2]); z < size[2] && z + start[2] < nz && low < high; z++) {
    for (let y = Math.max(0, -start[1]); y < size[1] && y + start[1] < ny; y++) {
      const row = ((z + start[2]) * ny + y + start[1]) * nx;
      out.set(data.subarray(row + low, row + high) as never, (z * size[1] + y) * size[0] + low - start[0]);
    }
  }
  return { geometry: { ...geometry, size, originMm: applyAffine(voxelToPhysical(geometry), start) }, data: out };
}

/** The start of a box of `size` centred in a volume of `volumeSize`; the odd voxel goes to the end when padding. */
export const centredStart = (volumeSize: Xyz, size: Xyz): Xyz => perAxis(volumeSize, (n, k) => Math.floor((n - size[k]) / 2));
