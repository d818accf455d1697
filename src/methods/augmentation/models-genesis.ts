/**
 * What Models Genesis shows the network (Zhou et al., Medical Image Analysis 67, 2021): a flipped patch whose intensities went through a random
 * curve, whose texture is shuffled, and of which a part is noise; it is asked for the flipped clean patch.
 *
 * Probabilities are the specification's; sizes and counts those of the authors' code (github.com/MrGiovanni/ModelsGenesis, pytorch/utils.py):
 * 10,000 shuffled boxes of up to a tenth of a side; in-painting in up to five boxes of a sixth to a third of a side; out-painting outside one to
 * five windows of 3/7 to 4/7 of a side; before each box or window after the first possible one a chance of 0.95; both keep three voxels from the
 * border. Differences: a curve's values move with their voxels, so the order of curve and shuffling makes no difference; shuffled
 * boxes compose (see damage/local-shuffling.ts) and have sides of at least two voxels, since those of one change nothing.
 * Several channels: see damage/damage.ts; the outer noise is each channel's own, as in that code.
 */

import type { RandomStream } from '../../common/random.ts';
import { eachChannel } from '../../geometry/channels.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { type BoxSides, sideOfShare } from './damage/box.ts';
import { applyDamage, type DamagePlan } from './damage/damage.ts';
import { sampleInPainting } from './damage/in-painting.ts';
import { sampleIntensity } from './damage/intensity-curve.ts';
import { sampleShuffling } from './damage/local-shuffling.ts';
import { type OutPaintingPlan, outPaint, sampleOutPainting } from './damage/out-painting.ts';
import { type Flip, flipAxes, sampleFlip } from './flips.ts';

export interface ModelsGenesisOptions {
  /** Of each axis. */
  readonly flipProbability: number;
  readonly intensityProbability: number;
  /** Of a curve that falls instead of rising. */
  readonly descendingProbability: number;
  readonly shufflingProbability: number;
  readonly shufflingBoxes: number;
  /** Largest side of a shuffled box as a share of the patch's side. */
  readonly shufflingShare: number;
  /** That a part of the image becomes noise, */
  readonly paintingProbability: number;
  /** and that it is the outer part (out-painting) instead of boxes inside (in-painting). */
  readonly outPaintingShare: number;
}

export const DEFAULT_MODELS_GENESIS: ModelsGenesisOptions = {
  flipProbability: 0.4,
  intensityProbability: 0.9,
  descendingProbability: 0.5,
  shufflingProbability: 0.5,
  shufflingBoxes: 10_000,
  shufflingShare: 1 / 10,
  paintingProbability: 0.9,
  outPaintingShare: 0.8,
};

/** What will be done to one patch; null is: not this time. */
export interface ModelsGenesisPlan {
  readonly flip: Flip;
  readonly damage: DamagePlan;
  readonly outPainting: OutPaintingPlan | null;
}

/** Most boxes or windows, and the probability, before each, that there is one more. */
const MAX_BOXES = 5;
const GO_ON = 0.95;
/** Voxels between a box or window and the border. */
const MARGIN = 3;

/** The size less the given sevenths, rounded as the authors' code does. */
const lessSevenths = (sizeZyx: Zyx, sevenths: number): Zyx => {
  const side = (size: number): number => size - Math.floor((sevenths * size) / 7);
  return [side(sizeZyx[0]), side(sizeZyx[1]), side(sizeZyx[2])];
};

/** Draws the damage for a patch of `sizeZyx` voxels. Options left out are the specification's. */
export function sampleModelsGenesis(
  stream: RandomStream,
  sizeZyx: Zyx,
  options: Partial<ModelsGenesisOptions> = {},
  channels = 1,
): ModelsGenesisPlan {
  const plan = sampleOneChannel(stream, sizeZyx, options);
  if (channels === 1) return plan;
  const { intensityProbability, descendingProbability } = { ...DEFAULT_MODELS_GENESIS, ...options };
  const otherIntensities = Array.from({ length: channels - 1 }, () =>
    stream.chance(intensityProbability) ? sampleIntensity(stream, descendingProbability) : null,
  );
  return { ...plan, damage: { ...plan.damage, otherIntensities } };
}

function sampleOneChannel(stream: RandomStream, sizeZyx: Zyx, options: Partial<ModelsGenesisOptions>): ModelsGenesisPlan {
  const chosen = { ...DEFAULT_MODELS_GENESIS, ...options };
  const flip = sampleFlip(stream, chosen.flipProbability);
  const intensity = stream.chance(chosen.intensityProbability) ? sampleIntensity(stream, chosen.descendingProbability) : null;
  const shuffling = stream.chance(chosen.shufflingProbability)
    ? sampleShuffling(stream, sizeZyx, { boxes: chosen.shufflingBoxes, share: chosen.shufflingShare })
    : null;
  const damage = { shuffling, intensity, inPainting: null };
  const painted = stream.chance(chosen.paintingProbability);
  const outside = stream.chance(chosen.outPaintingShare);
  if (!painted) return { flip, damage, outPainting: null };
  if (outside) {
    const windows: BoxSides = { least: lessSevenths(sizeZyx, 4), most: lessSevenths(sizeZyx, 3), margin: MARGIN };
    return {
      flip,
      damage,
      outPainting: sampleOutPainting(stream, sizeZyx, { mostWindows: MAX_BOXES, goOn: GO_ON, sides: windows }),
    };
  }
  const boxes: BoxSides = { least: sideOfShare(sizeZyx, 1 / 6, 1), most: sideOfShare(sizeZyx, 1 / 3, 1), margin: MARGIN };
  const inPainting = sampleInPainting(stream, sizeZyx, { mostBoxes: MAX_BOXES, goOn: GO_ON, sides: boxes });
  return { flip, damage: { ...damage, inPainting: inPainting.boxes.length > 0 ? inPainting : null }, outPainting: null };
}

/** Two patches of (C, D, H, W) intensities in [0, 1]. */
export interface ModelsGenesisExample {
  /** What the network sees. */
  readonly view: Float32Array;
  /** The flipped clean patch. */
  readonly target: Float32Array;
}

/**
 * The damaged patch and its target.
 * @param image (C, D, H, W) intensities in [0, 1]; not changed.
 * @throws RangeError if the image does not have that size.
 */
export function applyModelsGenesis(image: Float32Array, sizeZyx: Zyx, plan: ModelsGenesisPlan): ModelsGenesisExample {
  const target = eachChannel(image, sizeZyx, (channel) => flipAxes(channel, sizeZyx, plan.flip));
  const view = applyDamage(target, sizeZyx, plan.damage);
  if (plan.outPainting) outPaint(view, sizeZyx, plan.outPainting);
  return { view, target };
}
