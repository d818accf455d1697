/**
 * Which two subjects a training sample is made of, and where in each the crop lies.
 *
 * Everything follows from (seed, step, sample): there is no position in the data to save, and a resumed run meets the pairs
 * that it would have met. The subjects always differ (the released code lets B be A), and each ordered pair is equally likely.
 *
 * Both crops show the same region: their centres lie at the same relative place of their volumes, drawn where both volumes
 * can have the centre of a crop. A volume smaller than the patch allows its middle only, so then both are taken from the
 * middle. An independent jitter of a few voxels keeps the network from learning that matching voxels have matching indices.
 */

import { RunError } from '../../common/errors.ts';
import { type RandomStream, randomStream } from '../../common/random.ts';
import type { Zyx } from '../../geometry/volume.ts';

/** A crop of one subject: `start` is negative, by the zero padding before, where the volume is smaller than the patch. */
export interface CropPlace {
  readonly subject: number;
  readonly start: Zyx;
}

export interface PairPlace {
  readonly moving: CropPlace;
  readonly fixed: CropPlace;
}

export interface PairRequest {
  readonly seed: number;
  readonly step: number;
  /** Index within the step's batch. */
  readonly sample: number;
  /** Voxels of each subject's volume. */
  readonly sizes: readonly Zyx[];
  /** Voxels of a crop. */
  readonly patch: Zyx;
  /** Each crop is moved by up to this many voxels along each axis, either way, but not out of its volume. Default 0. */
  readonly jitterVoxels?: number;
}

/** How far from the middle, as a share of the axis, the centre of a crop can lie. */
const reach = (size: number, patch: number): number => Math.max(0, (1 - patch / size) / 2);

function cropStart(size: number, patch: number, centre: number, jitter: number): number {
  if (size <= patch) return -Math.floor((patch - size) / 2);
  return Math.min(size - patch, Math.max(0, Math.round(centre * size - patch / 2) + jitter));
}

/** Two different subjects of `count`, in order. */
function samplePairOfSubjects(stream: RandomStream, count: number): [number, number] {
  const moving = stream.integer(0, count);
  const other = stream.integer(0, count - 1);
  return [moving, other < moving ? other : other + 1];
}

/**
 * The pair and the crops of one sample of one step.
 * @throws RunError if there are fewer than two subjects.
 */
export function samplePair({ seed, step, sample, sizes, patch, jitterVoxels = 0 }: PairRequest): PairPlace {
  if (sizes.length < 2) {
    throw new RunError(`Z-matching needs pairs of different subjects: expected at least 2 subjects, found ${sizes.length}`);
  }
  const stream = randomStream(seed, 'pair', step, sample);
  const [moving, fixed] = samplePairOfSubjects(stream, sizes.length);
  const movingStart: [number, number, number] = [0, 0, 0];
  const fixedStart: [number, number, number] = [0, 0, 0];
  for (let axis = 0; axis < 3; axis++) {
    const [movingSize, fixedSize, side] = [sizes[moving][axis], sizes[fixed][axis], patch[axis]];
    const limit = Math.min(reach(movingSize, side), reach(fixedSize, side));
    const centre = stream.uniform(0.5 - limit, 0.5 + limit);
    const jitter = (): number => stream.integer(-jitterVoxels, jitterVoxels + 1);
    movingStart[axis] = cropStart(movingSize, side, centre, jitter());
    fixedStart[axis] = cropStart(fixedSize, side, centre, jitter());
  }
  return { moving: { subject: moving, start: movingStart }, fixed: { subject: fixed, start: fixedStart } };
}
