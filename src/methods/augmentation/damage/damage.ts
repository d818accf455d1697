/**
 * The damage T of pre-training (docs/method.md, section 7): what turns a clean patch A into the view of it that both heads work from. In this order:
 * local shuffling, non-linear intensity, in-painting.
 *
 * A plan is drawn first, as plain data that JSON can hold, and then applied: so each augmentation of a run can be logged, and
 * replayed to the same bits. Geometry is not changed here (spatial/ does that, to all images of a pair alike).
 *
 * Of an image of several channels, what takes place somewhere takes place there in all of them: voxels are shuffled together, and boxes are
 * in-painted in every channel (as Models Genesis' code does with `x[:, ...]`), since another contrast would give the answer away. The curve of
 * intensity is drawn for each channel, as nnU-Net draws its changes of intensity (`per_channel`): scanners change contrasts one by one.
 */

import type { RandomStream } from '../../../common/random.ts';
import { splitChannels } from '../../../geometry/channels.ts';
import type { Zyx } from '../../../geometry/volume.ts';
import { sideOfShare } from './box.ts';
import { type InPaintingPlan, inPaint, sampleInPainting } from './in-painting.ts';
import { changeIntensity, type IntensityPlan, sampleIntensity } from './intensity-curve.ts';
import { type ShufflingPlan, sampleShuffling, shuffleLocally } from './local-shuffling.ts';

/** How much damage is done. A probability of 0 switches its part off. */
export interface DamageOptions {
  readonly shufflingProbability: number;
  readonly shufflingBoxes: number;
  /** Largest side of a shuffled box as a share of the patch's side; below two voxels it is two. */
  readonly shufflingShare: number;
  readonly intensityProbability: number;
  /** The most boxes that are in-painted, */
  readonly inPaintingBoxes: number;
  /** and the probability, before each, that there is one more. */
  readonly inPaintingProbability: number;
  /** Least and largest side of an in-painted box as shares of the patch's side. */
  readonly inPaintingShares: readonly [number, number];
}

/** The paper's protocol as docs/method.md, section 7 completes it. */
export const DEFAULT_DAMAGE: DamageOptions = {
  shufflingProbability: 0.8,
  shufflingBoxes: 5000,
  shufflingShare: 1 / 20,
  intensityProbability: 0.9,
  inPaintingBoxes: 30,
  inPaintingProbability: 0.95,
  inPaintingShares: [1 / 10, 1 / 5],
};

/** What will be done to one patch; null is: not this time. */
export interface DamagePlan {
  readonly shuffling: ShufflingPlan | null;
  readonly intensity: IntensityPlan | null;
  /** Of the channels after the first; absent where there is one. */
  readonly otherIntensities?: readonly (IntensityPlan | null)[];
  readonly inPainting: InPaintingPlan | null;
}

/** Draws the damage for a patch of `sizeZyx` voxels. Options left out are the paper's. What the first channel gets does not depend on the number of channels. */
export function sampleDamage(stream: RandomStream, sizeZyx: Zyx, options: Partial<DamageOptions> = {}, channels = 1): DamagePlan {
  const chosen = { ...DEFAULT_DAMAGE, ...options };
  const [leastShare, mostShare] = chosen.inPaintingShares;
  const shuffling = stream.chance(chosen.shufflingProbability)
    ? sampleShuffling(stream, sizeZyx, { boxes: chosen.shufflingBoxes, share: chosen.shufflingShare })
    : null;
  const curve = (): IntensityPlan | null => (stream.chance(chosen.intensityProbability) ? sampleIntensity(stream) : null);
  const intensity = curve();
  const inPainting = sampleInPainting(stream, sizeZyx, {
    mostBoxes: chosen.inPaintingBoxes,
    goOn: chosen.inPaintingProbability,
    sides: { least: sideOfShare(sizeZyx, leastShare, 1), most: sideOfShare(sizeZyx, mostShare, 1) },
  });
  const otherIntensities = Array.from({ length: channels - 1 }, curve);
  return {
    shuffling,
    intensity,
    ...(channels > 1 && { otherIntensities }),
    inPainting: inPainting.boxes.length > 0 ? inPainting : null,
  };
}

/**
 * The damaged copy of a patch.
 * @param image (C, D, H, W) intensities in [0, 1]; not changed.
 * @throws RangeError if the image does not have that size.
 */
export function applyDamage(image: Float32Array, sizeZyx: Zyx, plan: DamagePlan): Float32Array {
  const { shuffling, intensity, otherIntensities = [], inPainting } = plan;
  const damaged = image.slice();
  for (const [c, channel] of splitChannels(damaged, sizeZyx).entries()) {
    if (shuffling) shuffleLocally(channel, sizeZyx, shuffling);
    const curve = c === 0 ? intensity : otherIntensities[c - 1];
    if (curve) changeIntensity(channel, curve);
  }
  if (inPainting) inPaint(damaged, sizeZyx, inPainting);
  return damaged;
}
