/**
 * Two views of one subject, for SimCLR (Chen et al., ICML 2020), BYOL (Grill et al., NeurIPS 2020) and SimSiam (Chen and He, CVPR 2021): crops
 * that overlap by at least half along each axis, each changed in its own way.
 *
 * Of the 2D recipes' changes, colour, grey and solarisation have no meaning in scans. In their place are the changes of intensity that nnU-Net
 * trains with (Isensee et al., Nature Methods 2021), at its probabilities and in its order: noise, blur, brightness and contrast, low
 * resolution, gamma; before them the spatial transformation of pre-training, and flips.
 *
 * Of several channels, the spatial transformation and flips are those of the whole subject; changes of intensity are drawn for each channel, as
 * nnU-Net's are (`per_channel`).
 *
 * DeepCluster uses single views (`sampleView`, `applyView`).
 */

import type { RandomStream } from '../../common/random.ts';
import { mergeChannels, splitChannels } from '../../geometry/channels.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { sampleStart } from './crop-start.ts';
import { type Flip, flipAxes, sampleFlip } from './flips.ts';
import { applyIntensity, blur, CONTRAST, GAMMA, lowerResolution, SAME_INTENSITY } from './intensity.ts';
import { type NoisePlan, sampleNoise } from './noise.ts';
import { applySpatial, type SpatialOptions, type SpatialPlan, sampleSpatial } from './spatial/spatial.ts';

/** How far views are changed. Ranges are drawn from uniformly; a probability of 0 switches a part off. */
export interface ViewOptions {
  /** False: no spatial transformation. Ranges left out are those of pre-training. */
  readonly spatial: Partial<SpatialOptions> | false;
  /** Of each axis. */
  readonly flipProbability: number;
  readonly noiseProbability: number;
  /** Standard deviation, for intensities in [0, 1]. */
  readonly noiseDeviation: readonly [number, number];
  readonly blurProbability: number;
  readonly blurSigmaVoxels: readonly [number, number];
  readonly brightnessProbability: number;
  /** A factor on the intensities. */
  readonly brightness: readonly [number, number];
  readonly contrastProbability: number;
  /** A factor on the distance from 1/2. */
  readonly contrast: readonly [number, number];
  readonly resolutionProbability: number;
  /** Share of the voxels along each axis. */
  readonly resolution: readonly [number, number];
  readonly gammaProbability: number;
  readonly gamma: readonly [number, number];
}

/**
 * The specification's. It names no strength for the noise: nnU-Net's standard deviation is up to 0.3 of the image's own, which for
 * intensities in [0, 1] is about 0.1.
 */
export const DEFAULT_VIEW: ViewOptions = {
  spatial: {},
  flipProbability: 0.5,
  noiseProbability: 0.1,
  noiseDeviation: [0, 0.1],
  blurProbability: 0.2,
  blurSigmaVoxels: [0.5, 1],
  brightnessProbability: 0.15,
  brightness: [0.75, 1.25],
  contrastProbability: 0.15,
  contrast: CONTRAST,
  resolutionProbability: 0.1,
  resolution: [0.5, 1],
  gammaProbability: 0.3,
  gamma: GAMMA,
};

/** What will be done to one crop; null is: not this time. */
export interface ViewPlan extends ViewIntensity {
  readonly spatial: SpatialPlan | null;
  readonly flip: Flip;
  /** Of the channels after the first; absent where there is one. */
  readonly others?: readonly ViewIntensity[];
}

/** What will be done to the intensities of one channel. */
export interface ViewIntensity {
  readonly noise: NoisePlan | null;
  readonly blurSigmaVoxels: number | null;
  readonly brightness: number | null;
  readonly contrast: number | null;
  readonly resolution: number | null;
  readonly gamma: number | null;
}

/** Draws what is done to a crop of `patch` voxels. Options left out are the specification's. */
export function sampleView(stream: RandomStream, patch: Zyx, options: Partial<ViewOptions> = {}, channels = 1): ViewPlan {
  const chosen = { ...DEFAULT_VIEW, ...options };
  /** The value is drawn in any case, so that one probability does not shift the random numbers of the changes after it. */
  const maybe = <T>(value: T, probability: number): T | null => (stream.chance(probability) ? value : null);
  const intensity = (): ViewIntensity => ({
    noise: maybe(sampleNoise(stream, { deviation: chosen.noiseDeviation }), chosen.noiseProbability),
    blurSigmaVoxels: maybe(stream.uniform(...chosen.blurSigmaVoxels), chosen.blurProbability),
    brightness: maybe(stream.uniform(...chosen.brightness), chosen.brightnessProbability),
    contrast: maybe(stream.uniform(...chosen.contrast), chosen.contrastProbability),
    resolution: maybe(stream.uniform(...chosen.resolution), chosen.resolutionProbability),
    gamma: maybe(stream.uniform(...chosen.gamma), chosen.gammaProbability),
  });
  return {
    spatial: chosen.spatial === false ? null : sampleSpatial(stream, patch, chosen.spatial),
    flip: sampleFlip(stream, chosen.flipProbability),
    ...intensity(),
    ...(channels > 1 && { others: Array.from({ length: channels - 1 }, intensity) }),
  };
}

/**
 * The view of a crop: a copy in any case.
 * @param crop (C, D, H, W) intensities in [0, 1]; not changed.
 * @returns intensities in [0, 1]
 * @throws RangeError if the crop does not have that size.
 */
export function applyView(crop: Float32Array, patch: Zyx, plan: ViewPlan): Float32Array {
  const { others = [] } = plan;
  const channels = splitChannels(crop, patch);
  const moved = plan.spatial ? applySpatial(channels, patch, plan.spatial).images : channels.map((channel) => channel.slice());
  return mergeChannels(
    moved.map((channel, c) => {
      const flipped = plan.flip.includes(true) ? flipAxes(channel, patch, plan.flip) : channel;
      return changeView(flipped, patch, c === 0 ? plan : others[c - 1]);
    }),
  );
}

function changeView(channel: Float32Array, patch: Zyx, plan: ViewIntensity): Float32Array {
  let view = applyIntensity(channel, { ...SAME_INTENSITY, noise: plan.noise });
  if (plan.blurSigmaVoxels !== null) view = blur(view, patch, plan.blurSigmaVoxels);
  view = applyIntensity(view, { ...SAME_INTENSITY, brightnessFactor: plan.brightness ?? 1, contrast: plan.contrast ?? 1 });
  if (plan.resolution !== null) view = lowerResolution(view, patch, plan.resolution);
  return applyIntensity(view, { ...SAME_INTENSITY, gamma: plan.gamma ?? 1 });
}

/** The least share of a crop's side that two views of a subject have in common, along each axis. */
export const MIN_OVERLAP = 0.5;

/**
 * The starts of two crops of one volume: the first anywhere, the second anywhere near enough to overlap it. A volume smaller than the crop lies
 * in the middle of both.
 * @param overlap least common share of each side, in [0, 1]
 * @throws RangeError if it lies outside.
 */
export function sampleOverlappingStarts(
  stream: RandomStream,
  sizeZyx: Zyx,
  patch: Zyx,
  overlap = MIN_OVERLAP,
): readonly [Zyx, Zyx] {
  if (!(overlap >= 0 && overlap <= 1))
    throw new RangeError(`sampleOverlappingStarts: expected an overlap in [0, 1], got ${overlap}`);
  const first: [number, number, number] = [0, 0, 0];
  const second: [number, number, number] = [0, 0, 0];
  for (let axis = 0; axis < 3; axis++) {
    const [size, side] = [sizeZyx[axis], patch[axis]];
    first[axis] = sampleStart(stream, size, side);
    second[axis] = first[axis];
    if (size <= side) continue;
    const furthest = Math.floor((1 - overlap) * side);
    second[axis] = stream.integer(Math.max(0, first[axis] - furthest), Math.min(size - side, first[axis] + furthest) + 1);
  }
  return [first, second];
}

/** Two views of one subject: where they lie in it, and what is done to each. */
export interface ViewsPlan {
  readonly starts: readonly [Zyx, Zyx];
  readonly views: readonly [ViewPlan, ViewPlan];
}

/** Draws two views of `patch` voxels of a volume of `sizeZyx` voxels. */
export function sampleViews(
  stream: RandomStream,
  sizeZyx: Zyx,
  patch: Zyx,
  options: Partial<ViewOptions> = {},
  channels = 1,
): ViewsPlan {
  const starts = sampleOverlappingStarts(stream, sizeZyx, patch);
  return { starts, views: [sampleView(stream, patch, options, channels), sampleView(stream, patch, options, channels)] };
}
