/** Thumbnails of volumes, to find subjects that are in a cohort twice. */
import type { Xyz } from '../geometry/volume.ts';

/** Blocks along each axis. */
const BLOCKS = 8;

/** Above this correlation of thumbnails two images show the same patient, up to format, rounding and resampling. */
export const SAME_CORRELATION = 0.999;

/** Means over 8 x 8 x 8 blocks of the volume, with zero mean and unit length: the product of two is their correlation. Zeros for a constant. */
export function thumbnailOf(data: Float32Array, size: Xyz): Float32Array {
  const out = new Float32Array(BLOCKS ** 3);
  const range = (k: number, n: number): [number, number] => {
    const start = Math.min(n - 1, Math.floor((k * n) / BLOCKS));
    return [start, Math.max(start + 1, Math.floor(((k + 1) * n) / BLOCKS))];
  };
  for (let block = 0; block < out.length; block++) {
    const [x0, x1] = range(block % BLOCKS, size[0]);
    const [y0, y1] = range(Math.floor(block / BLOCKS) % BLOCKS, size[1]);
    const [z0, z1] = range(Math.floor(block / BLOCKS ** 2), size[2]);
    let sum = 0;
    for (let z = z0; z < z1; z++)
      for (let y = y0; y < y1; y++) {
        const row = (z * size[1] + y) * size[0];
        for (let x = x0; x < x1; x++) sum += data[row + x];
      }
    out[block] = sum / ((x1 - x0) * (y1 - y0) * (z1 - z0));
  }
  const mean = out.reduce((a, b) => a + b, 0) / out.length;
  const length = Math.hypot(...out.map((v) => v - mean));
  return length > 1e-9 ? out.map((v) => (v - mean) / length) : out.fill(0);
}

/** Every subject that shows the same as an earlier one: its index, the earlier index and the correlation. */
export function findDuplicates(thumbnails: readonly Float32Array[]): { index: number; of: number; correlation: number }[] {
  const found: { index: number; of: number; correlation: number }[] = [];
  thumbnails.forEach((thumbnail, index) => {
    for (let of = 0; of < index; of++) {
      const other = thumbnails[of];
      let correlation = 0;
      for (let i = 0; i < thumbnail.length; i++) correlation += thumbnail[i] * other[i];
      if (correlation <= SAME_CORRELATION) continue;
      found.push({ index, of, correlation });
      return;
    }
  });
  return found;
}
