/**
 * Scores of a predicted label map against a reference on the same grid, sheared or not, for one class of one case. What is undefined is null, never 0 or 1.
 *
 * The surface of a structure is its voxels that have one of their six neighbours outside it (or outside the volume), as MONAI and medpy have it;
 * distances are between centres of surface voxels, in mm.
 */
import { voxelVolumeMm3 } from '../geometry/affine.ts';
import { isSheared } from '../geometry/orientation.ts';
import { type Geometry, perAxis, toZyx, type Zyx } from '../geometry/volume.ts';
import { shearedDistances, surfaceDistances } from './distance.ts';
import { diceOf } from './label-overlap.ts';

export interface SegmentationScores {
  /** 2 |P and R| / (|P| + |R|); null if both are empty. */
  readonly dice: number | null;
  /** |P and R| / |P or R|; null if both are empty. */
  readonly jaccard: number | null;
  /** The greater of the two directed 95th percentiles of surface distances; null if either is empty. */
  readonly hd95Mm: number | null;
  /** Mean over the surface voxels of both of the distance to the other's surface; null if either is empty. */
  readonly surfaceDistanceMm: number | null;
  /** Share of the surface voxels of both that lie within the tolerance of the other's surface; null if both are empty, 0 if one is. */
  readonly surfaceDice: number | null;
  /** (|P| - |R|) / |R|; null if R is empty. */
  readonly volumeError: number | null;
  readonly predictedMl: number;
  readonly referenceMl: number;
}

/** Percentile by linear interpolation between order statistics (NumPy's default). `sorted` ascending, not empty. */
export function percentileOf(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const above = sorted[Math.min(low + 1, sorted.length - 1)];
  return sorted[low] + (at - low) * (above - sorted[low]);
}

/** One class of both maps: its voxels in each and in both, and the box around all of them. */
export interface Overlap {
  predicted: number;
  reference: number;
  both: number;
  /** Inclusive corners, z, y, x. */
  readonly low: [number, number, number];
  readonly high: [number, number, number];
}

/** Every code of either map, in one pass: both are runs of equal voxels. */
export function overlapsOf(
  predicted: ArrayLike<number>,
  reference: ArrayLike<number>,
  [depth, height, width]: Zyx,
): Map<number, Overlap> {
  const overlaps = new Map<number, Overlap>();
  const of = (code: number): Overlap => {
    const known = overlaps.get(code);
    if (known) return known;
    const overlap: Overlap = { predicted: 0, reference: 0, both: 0, low: [depth, height, width], high: [-1, -1, -1] };
    overlaps.set(code, overlap);
    return overlap;
  };
  const reach = ({ low, high }: Overlap, z: number, y: number, from: number, to: number): void => {
    if (z < low[0]) low[0] = z;
    if (z > high[0]) high[0] = z;
    if (y < low[1]) low[1] = y;
    if (y > high[1]) high[1] = y;
    if (from < low[2]) low[2] = from;
    if (to > high[2]) high[2] = to;
  };
  for (let row = 0; row < depth * height; row++) {
    const [z, y, start] = [Math.floor(row / height), row % height, row * width];
    for (let x = 0, end = 0; x < width; x = end) {
      const p = predicted[start + x];
      const r = reference[start + x];
      end = x + 1;
      while (end < width && predicted[start + end] === p && reference[start + end] === r) end++;
      const ofPredicted = of(p);
      ofPredicted.predicted += end - x;
      reach(ofPredicted, z, y, x, end - 1);
      const ofReference = p === r ? ofPredicted : of(r);
      ofReference.reference += end - x;
      if (p === r) ofPredicted.both += end - x;
      else reach(ofReference, z, y, x, end - 1);
    }
  }
  return overlaps;
}

/**
 * The surface of a class inside the box that holds all of it: 1 where a voxel of it has a neighbour that is not.
 * @param size of the map
 */
function surfaceOf(map: ArrayLike<number>, code: number, [, height, width]: Zyx, { low, high }: Overlap): Uint8Array {
  const [depth, rows, columns] = low.map((l, axis) => high[axis] - l + 1) as [number, number, number];
  // with one voxel around that is not of it, so that every voxel has six neighbours
  const line = columns + 2;
  const plane = (rows + 2) * line;
  const mask = new Uint8Array((depth + 2) * plane);
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < rows; y++) {
      let from = ((z + low[0]) * height + y + low[1]) * width + low[2];
      let to = (z + 1) * plane + (y + 1) * line + 1;
      for (const end = from + columns; from < end; from++, to++) if (map[from] === code) mask[to] = 1;
    }
  const out = new Uint8Array(depth * rows * columns);
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < rows; y++) {
      let at = (z + 1) * plane + (y + 1) * line + 1;
      for (const end = at + columns; at < end; at++, i++)
        out[i] =
          mask[at] &
          (1 ^ (mask[at - 1] & mask[at + 1] & mask[at - line] & mask[at + line] & mask[at - plane] & mask[at + plane]));
    }
  return out;
}

const total = (values: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
};

/** How many of ascending values are at most `limit`. */
function upTo(values: Float64Array, limit: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * All scores of one class.
 * @param geometry the grid of both maps
 * @param toleranceMm of the surface Dice (Nikolov et al. 2021, here over surface voxels)
 * @param overlap of the class, where `overlapsOf` has found that of all; undefined if neither map has it
 */
export function segmentationScores(
  predicted: ArrayLike<number>,
  reference: ArrayLike<number>,
  code: number,
  geometry: Geometry,
  toleranceMm = 1,
  overlap: Overlap | undefined = overlapsOf(predicted, reference, toZyx(geometry.size)).get(code),
): SegmentationScores {
  const millilitres = voxelVolumeMm3(geometry) / 1000;
  const [ofPredicted, ofReference, both] = overlap ? [overlap.predicted, overlap.reference, overlap.both] : [0, 0, 0];
  const sum = ofPredicted + ofReference;
  const common = {
    dice: diceOf(both, sum),
    jaccard: sum === 0 ? null : both / (sum - both),
    volumeError: ofReference === 0 ? null : (ofPredicted - ofReference) / ofReference,
    predictedMl: ofPredicted * millilitres,
    referenceMl: ofReference * millilitres,
  };
  if (!overlap || ofPredicted === 0 || ofReference === 0)
    return { ...common, hd95Mm: null, surfaceDistanceMm: null, surfaceDice: sum === 0 ? null : 0 };
  const boxSize = perAxis(overlap.low, (low, axis) => overlap.high[axis] - low + 1);
  const size = toZyx(geometry.size);
  const [p, r] = [surfaceOf(predicted, code, size, overlap), surfaceOf(reference, code, size, overlap)];
  const distances = (from: Uint8Array, to: Uint8Array): Float64Array =>
    isSheared(geometry.direction)
      ? shearedDistances(from, to, boxSize, geometry)
      : surfaceDistances(from, to, boxSize, toZyx(geometry.spacingMm));
  // both lie in one box, so nothing outside it is nearer
  const [there, back] = [distances(p, r).sort(), distances(r, p).sort()];
  const voxels = there.length + back.length;
  return {
    ...common,
    hd95Mm: Math.max(percentileOf(there, 0.95), percentileOf(back, 0.95)),
    surfaceDistanceMm: (total(there) + total(back)) / voxels,
    surfaceDice: (upTo(there, toleranceMm) + upTo(back, toleranceMm)) / voxels,
  };
}
