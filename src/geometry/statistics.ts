/** What a volume's values look like: range, percentiles, numbers that are not finite, and whether it is a label map. */
import type { VoxelArray, Xyz } from './volume.ts';

export interface Statistics {
  /** Over finite voxels; 0 if there is none. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly nonFinite: number;
  /** Values below which the given share (0 to 1) of the finite voxels lie. Exact for whole numbers over a range of up to 65,536. */
  percentile(share: number): number;
}

const BINS = 65_536;

export function statisticsOf(data: VoxelArray): Statistics {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let finite = 0;
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    if (!Number.isFinite(value)) continue;
    finite++;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (finite === 0) return { min: 0, max: 0, mean: 0, nonFinite: data.length, percentile: () => 0 };
  // one bin a whole number where that fits, so that percentiles of ordinary images are exact
  const whole = !(data instanceof Float32Array || data instanceof Float64Array) && max - min < BINS;
  const width = whole ? 1 : (max - min) / (BINS - 1) || 1;
  let counts: Uint32Array | undefined;
  const percentile = (share: number): number => {
    if (!counts) {
      counts = new Uint32Array(BINS);
      for (let i = 0; i < data.length; i++) if (Number.isFinite(data[i])) counts[Math.round((data[i] - min) / width)]++;
    }
    let left = share * (finite - 1);
    let bin = 0;
    while (bin < BINS - 1 && left >= counts[bin]) left -= counts[bin++];
    return Math.min(max, min + bin * width);
  };
  return { min, max, mean: sum / finite, nonFinite: data.length - finite, percentile };
}

/** More codes than anatomy atlases use; an image has more values. */
const MAX_CODES = 512;
/**
 * Share of equal neighbours along x, among pairs that are not both background, from which values count as regions. Eight structures of a
 * heart at 6 mm come down to 0.58; images of fewer than a hundred grey values come up to 0.17.
 */
const REGIONS = 0.4;

/**
 * The values of a label map in ascending order, or null if the volume does not look like one: a label map holds few whole numbers, in
 * connected regions.
 */
export function labelCodes(data: VoxelArray, size: Xyz): number[] | null {
  const codes = new Map<number, number>();
  let last = Number.NaN;
  for (let i = 0; i < data.length; i++) {
    if (data[i] === last) continue;
    last = data[i];
    if (codes.has(last)) continue;
    if (!Number.isInteger(last) || codes.size >= MAX_CODES) return null;
    codes.set(last, codes.size);
  }
  const sorted = [...codes.keys()].sort((a, b) => a - b);
  if (sorted.length <= 2) return sorted;
  const background = sorted.includes(0) ? 0 : sorted[0];
  let pairs = 0;
  let equal = 0;
  for (let row = 0; row < data.length; row += size[0]) {
    for (let i = row + 1; i < row + size[0]; i++) {
      if (data[i] === background && data[i - 1] === background) continue;
      pairs++;
      if (data[i] === data[i - 1]) equal++;
    }
  }
  return equal >= REGIONS * pairs ? sorted : null;
}
