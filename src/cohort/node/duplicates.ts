/** Thumbnails of volumes, to find subjects that are in a cohort twice. */
import type { Xyz } from '../../geometry/volume.ts';

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

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

/** Directions along which thumbnails are compared before they are compared whole. */
const DIRECTIONS = 3;
/** Enough thumbnails, and rounds, to find directions of much spread; they need not be exact. */
const [SPREAD_SAMPLE, ROUNDS] = [500, 8];

/** Unit vectors along which thumbnails spread most (principal components, by power iteration). */
function spreadDirections(thumbnails: readonly Float32Array[]): Float64Array[] {
  const stride = Math.max(1, Math.floor(thumbnails.length / SPREAD_SAMPLE));
  const some = thumbnails.filter((_, k) => k % stride === 0);
  const length = thumbnails[0].length;
  const mean = Float64Array.from({ length }, (_, i) => some.reduce((sum, t) => sum + t[i], 0) / some.length);
  const rest = some.map((thumbnail) => Float64Array.from(thumbnail, (v, i) => v - mean[i]));
  return Array.from({ length: DIRECTIONS }, (_, k) => {
    let direction = Float64Array.from({ length }, (__, i) => ((i * (k + 1) * 0.6180339887498949) % 1) - 0.5);
    for (let round = 0; round < ROUNDS; round++) {
      const next = new Float64Array(length);
      for (const thumbnail of rest) {
        const weight = dot(thumbnail, direction);
        for (let i = 0; i < length; i++) next[i] += weight * thumbnail[i];
      }
      const norm = Math.hypot(...next);
      if (!(norm > 1e-12)) break;
      direction = next.map((v) => v / norm);
    }
    const norm = Math.hypot(...direction) || 1;
    direction = direction.map((v) => v / norm);
    for (const thumbnail of rest) {
      const weight = dot(thumbnail, direction);
      for (let i = 0; i < length; i++) thumbnail[i] -= weight * direction[i];
    }
    return direction;
  });
}

/**
 * Every subject that shows the same as one before it: its index, that of the first such, and the correlation. Thumbnails are unit vectors, so
 * two that correlate by more than r lie within sqrt(2 - 2 r) of one another along every direction: sorted along one, few pairs are compared.
 */
export function findDuplicates(thumbnails: readonly Float32Array[]): { index: number; of: number; correlation: number }[] {
  if (thumbnails.length < 2) return [];
  const reach = Math.sqrt(2 - 2 * SAME_CORRELATION) + 1e-6;
  const [along, ...others] = spreadDirections(thumbnails).map((direction) => thumbnails.map((t) => dot(t, direction)));
  const order = Array.from(thumbnails.keys()).sort((a, b) => along[a] - along[b]);
  const first = new Map<number, { of: number; correlation: number }>();
  let from = 0;
  for (const [k, index] of order.entries()) {
    while (along[order[from]] < along[index] - reach) from++;
    for (let j = from; j < k; j++) {
      const other = order[j];
      if (others.some((place) => Math.abs(place[index] - place[other]) > reach)) continue;
      const correlation = dot(thumbnails[index], thumbnails[other]);
      if (correlation <= SAME_CORRELATION) continue;
      const [later, of] = index > other ? [index, other] : [other, index];
      const before = first.get(later);
      if (!before || of < before.of) first.set(later, { of, correlation });
    }
  }
  return [...first].sort(([a], [b]) => a - b).map(([index, found]) => ({ index, ...found }));
}
