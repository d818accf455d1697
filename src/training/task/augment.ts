/**
 * The augmentation of labelled crops: a spatial transformation (pre-training's, applied alike to image and label map), mirroring along axes where
 * anatomy allows it, and changes of intensity that keep what is anatomy: brightness, contrast, gamma, noise. A plan is plain data.
 */

import type { RandomStream } from '../../common/random.ts';
import { mergeChannels, splitChannels } from '../../geometry/channels.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { type Flip, flipAxes, NO_FLIP } from '../../methods/augmentation/flips.ts';
import { applyIntensity, CONTRAST, GAMMA, type IntensityChange, SAME_INTENSITY } from '../../methods/augmentation/intensity.ts';
import { sampleNoise } from '../../methods/augmentation/noise.ts';
import {
  applySpatial,
  type SpatialOptions,
  type SpatialPlan,
  sampleSpatial,
} from '../../methods/augmentation/spatial/spatial.ts';

export interface AugmentOptions {
  /** That a crop is transformed at all. */
  readonly spatialProbability: number;
  readonly spatial: Partial<SpatialOptions>;
  /** Each of the changes of intensity is made with this probability. */
  readonly intensityProbability: number;
  /** Axes that are mirrored, each with probability 1/2. */
  readonly flips: readonly ('x' | 'y' | 'z')[];
}

export interface AugmentPlan {
  readonly spatial: SpatialPlan | null;
  readonly flip: Flip;
  readonly intensity: IntensityChange;
  /** Of the channels after the first: what varies between scanners does so in each contrast by itself. */
  readonly others?: readonly IntensityChange[];
}

/** Ranges of the changes that only training on tasks makes, for values in [0, 1]. */
const BRIGHTNESS = 0.1;
const NOISE: readonly [number, number] = [0, 0.05];

/** Draws a plan for crops of `size`. */
export function sampleAugmentation(stream: RandomStream, size: Zyx, options: AugmentOptions, channels = 1): AugmentPlan {
  const { spatialProbability, spatial, intensityProbability, flips } = options;
  const transformed = stream.chance(spatialProbability);
  const plan = sampleSpatial(stream, size, spatial);
  const flip = (['z', 'y', 'x'] as const).map((axis) => stream.chance(0.5) && flips.includes(axis));
  /** Draws in any case, so that one change does not shift the random numbers of another. */
  const maybe = <T>(value: T, otherwise: T): T => (stream.chance(intensityProbability) ? value : otherwise);
  const change = (): IntensityChange => ({
    ...SAME_INTENSITY,
    gamma: maybe(stream.uniform(...GAMMA), 1),
    contrast: maybe(stream.uniform(...CONTRAST), 1),
    brightness: maybe(stream.uniform(-BRIGHTNESS, BRIGHTNESS), 0),
    noise: maybe<IntensityChange['noise']>(sampleNoise(stream, { deviation: NOISE }), null),
  });
  return {
    spatial: transformed ? plan : null,
    flip: flip as [boolean, boolean, boolean],
    intensity: change(),
    ...(channels > 1 && { others: Array.from({ length: channels - 1 }, change) }),
  };
}

/** Changes nothing. */
export const NO_AUGMENTATION: AugmentPlan = { spatial: null, flip: NO_FLIP, intensity: SAME_INTENSITY };

/** Applies a plan to an image (channels, D, H, W) in [0, 1] and, alike where it is spatial, to its label map (class indices; 0 outside). */
export function applyAugmentation(
  image: Float32Array,
  labels: Uint16Array | null,
  size: Zyx,
  plan: AugmentPlan,
): { image: Float32Array; labels: Uint16Array | null } {
  let channels = splitChannels(image, size);
  let map = labels;
  if (plan.spatial) {
    const moved = applySpatial(channels, size, plan.spatial, map ? { labels: [map] } : {});
    [channels, map] = [moved.images, (moved.labels[0] as Uint16Array | undefined) ?? null];
  }
  if (plan.flip.includes(true)) {
    channels = channels.map((pixels) => flipAxes(pixels, size, plan.flip));
    map = map && flipAxes(map, size, plan.flip);
  }
  const { intensity, others = [] } = plan;
  const changed = channels.map((pixels, c) => applyIntensity(pixels, c === 0 ? intensity : (others[c - 1] ?? SAME_INTENSITY)));
  return { image: mergeChannels(changed), labels: map };
}
