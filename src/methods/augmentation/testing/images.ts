/** Images for the tests of augmentations. */
import { randomStream } from '../../../common/random.ts';
import { voxelCount, type Zyx } from '../../../geometry/volume.ts';

/** Uniform noise in [0, 1). */
export function noiseImage(size: Zyx, seed = 1): Float32Array<ArrayBuffer> {
  const stream = randomStream(seed, 'test-image');
  return Float32Array.from({ length: voxelCount(size) }, () => stream.uniform());
}

/** 0, 1, 2, ...: each voxel is known by its value. */
export const numberedImage = (size: Zyx): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: voxelCount(size) }, (_, i) => i);

/** Sizes that augmentations must stand: axes of one voxel, odd ones, ones below every side that is drawn. */
export const AWKWARD_SIZES: readonly Zyx[] = [
  [1, 1, 1],
  [1, 16, 16],
  [3, 2, 19],
  [7, 9, 5],
  [33, 20, 21],
];

/** A plan as a log holds it. */
export const throughJson = <Plan>(plan: Plan): Plan => JSON.parse(JSON.stringify(plan));

/** The share of `plans` of which something holds. */
export const shareOf = <Plan>(plans: readonly Plan[], holds: (plan: Plan) => unknown): number =>
  plans.filter(holds).length / plans.length;

export const meanOf = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

/** Standard deviation over all values. */
export function deviationOf(values: ArrayLike<number>): number {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(Array.from(values, (value) => (value - mean) ** 2)));
}

/** Whether two arrays hold the same values: far quicker than `toEqual` on large ones. */
export const isSame = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.prototype.every.call(a, (value: number, i) => Object.is(value, b[i]));

/** Whether all values lie in [0, 1]. */
export const inUnit = (values: Float32Array): boolean => values.every((value) => value >= 0 && value <= 1);
