/**
 * Scores of a predicted label map against a reference on the same grid, for one class of one case. What is undefined is null, never 0 or 1.
 *
 * The surface of a structure is its voxels that have one of their six neighbours outside it (or outside the volume), as MONAI and medpy have it;
 * distances are between centres of surface voxels, in mm.
 */
import type { Zyx } from '../geometry/volume.ts';
import { squaredDistances } from './distance.ts';

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
  const above = sorted[Math.min(low + 1, sorted.length - 1)]!;
  return sorted[low]! + (at - low) * (above - sorted[low]!);
}

/** A box of voxels: inclusive corners, z, y, x. */
interface Box {
  readonly low: [number, number, number];
  readonly high: [number, number, number];
}

/** Voxels of each mask, of both, and the box around them; undefined box if there are none. */
function overlapOf(predicted: ArrayLike<number>, reference: ArrayLike<number>, code: number, [depth, height, width]: Zyx) {
  let [ofPredicted, ofReference, ofBoth] = [0, 0, 0];
  const box: Box = { low: [depth, height, width], high: [-1, -1, -1] };
  let i = 0;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const p = predicted[i] === code;
        const r = reference[i] === code;
        if (!p && !r) continue;
        if (p) ofPredicted++;
        if (r) ofReference++;
        if (p && r) ofBoth++;
        const at = [z, y, x];
        for (let axis = 0; axis < 3; axis++) {
          if (at[axis]! < box.low[axis]!) box.low[axis] = at[axis]!;
          if (at[axis]! > box.high[axis]!) box.high[axis] = at[axis]!;
        }
      }
  return { predicted: ofPredicted, reference: ofReference, both: ofBoth, box: box.high[0] < 0 ? undefined : box };
}

/** The surface of a class inside the box, which holds all of it: 1 where a voxel of it has a neighbour that is not. */
function surfaceOf(map: ArrayLike<number>, code: number, [depth, height, width]: Zyx, { low, high }: Box): Uint8Array {
  const size = low.map((l, axis) => high[axis]! - l + 1) as [number, number, number];
  const out = new Uint8Array(size[0] * size[1] * size[2]);
  const inside = (z: number, y: number, x: number): boolean =>
    z >= 0 && y >= 0 && x >= 0 && z < depth && y < height && x < width && map[(z * height + y) * width + x] === code;
  let i = 0;
  for (let z = low[0]; z <= high[0]; z++)
    for (let y = low[1]; y <= high[1]; y++)
      for (let x = low[2]; x <= high[2]; x++, i++)
        if (
          inside(z, y, x) &&
          !(
            inside(z - 1, y, x) &&
            inside(z + 1, y, x) &&
            inside(z, y - 1, x) &&
            inside(z, y + 1, x) &&
            inside(z, y, x - 1) &&
            inside(z, y, x + 1)
          )
        )
          out[i] = 1;
  return out;
}

/** Distances (mm) from each voxel of `from` to the nearest of `to`, ascending. Both are surfaces in one box, so nothing outside it is nearer. */
function directedDistances(from: Uint8Array, to: Uint8Array, size: Zyx, spacingMm: Zyx): Float64Array {
  const squared = squaredDistances(to, size, spacingMm);
  const distances: number[] = [];
  from.forEach((set, i) => {
    if (set) distances.push(Math.sqrt(squared[i]!));
  });
  return Float64Array.from(distances).sort();
}

/**
 * All scores of one class.
 * @param size of both maps, (z, y, x)
 * @param spacingMm z, y, x
 * @param toleranceMm of the surface Dice (Nikolov et al. 2021, here over surface voxels)
 */
export function segmentationScores(
  predicted: ArrayLike<number>,
  reference: ArrayLike<number>,
  code: number,
  size: Zyx,
  spacingMm: Zyx,
  toleranceMm = 1,
): SegmentationScores {
  const counts = overlapOf(predicted, reference, code, size);
  const millilitres = (spacingMm[0] * spacingMm[1] * spacingMm[2]) / 1000;
  const sum = counts.predicted + counts.reference;
  const common = {
    dice: sum === 0 ? null : (2 * counts.both) / sum,
    jaccard: sum === 0 ? null : counts.both / (sum - counts.both),
    volumeError: counts.reference === 0 ? null : (counts.predicted - counts.reference) / counts.reference,
    predictedMl: counts.predicted * millilitres,
    referenceMl: counts.reference * millilitres,
  };
  const { box } = counts;
  if (!box || counts.predicted === 0 || counts.reference === 0)
    return { ...common, hd95Mm: null, surfaceDistanceMm: null, surfaceDice: sum === 0 ? null : 0 };
  const boxSize = box.low.map((low, axis) => box.high[axis]! - low + 1) as unknown as Zyx;
  const [p, r] = [surfaceOf(predicted, code, size, box), surfaceOf(reference, code, size, box)];
  const there = directedDistances(p, r, boxSize, spacingMm);
  const back = directedDistances(r, p, boxSize, spacingMm);
  const total = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);
  const within = (values: Float64Array): number => values.filter((mm) => mm <= toleranceMm).length;
  const voxels = there.length + back.length;
  return {
    ...common,
    hd95Mm: Math.max(percentileOf(there, 0.95), percentileOf(back, 0.95)),
    surfaceDistanceMm: (total(there) + total(back)) / voxels,
    surfaceDice: (within(there) + within(back)) / voxels,
  };
}
