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

/** Channels on one grid, cut out alike: their values behind one another. */
export function cropChannels(channels: readonly Volume<Float32Array>[], start: Xyz, size: Xyz): Float32Array {
  const cut = channels.map((channel) => cropPad(channel, start, size, 0).data);
  if (cut.length === 1) return cut[0];
  const out = new Float32Array(cut.length * cut[0].length);
  for (const [c, values] of cut.entries()) out.set(values, c * values.length);
  return out;
}

/** The start of a box of `size` centred in a volume of `volumeSize`; the odd voxel goes to the end when padding. */
export const centredStart = (volumeSize: Xyz, size: Xyz): Xyz => perAxis(volumeSize, (n, k) => Math.floor((n - size[k]) / 2));
