/**
 * The augmentation of labelled crops: a spatial transformation (pre-training's, applied alike to image and label map), mirroring along axes where
 * anatomy allows it, and changes of intensity that keep what is anatomy: brightness, contrast, gamma, noise. A plan is plain data.
 */

import { childSeed } from '../../common/child-seed.ts';
import { type RandomStream, randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
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
  /** z, y, x. */
  readonly flip: readonly [boolean, boolean, boolean];
  /** value' = ((value ^ gamma) - 1/2) * contrast + 1/2 + brightness + noise, clipped to [0, 1]. */
  readonly gamma: number;
  readonly contrast: number;
  readonly brightness: number;
  readonly noise: { readonly deviation: number; readonly seed: number } | null;
}

/** Ranges of the changes of intensity, for values in [0, 1]. */
const GAMMA: readonly [number, number] = [0.7, 1.5];
const CONTRAST: readonly [number, number] = [0.75, 1.25];
const BRIGHTNESS = 0.1;
const NOISE = 0.05;

/** Draws a plan for crops of `size`. */
export function sampleAugmentation(stream: RandomStream, size: Zyx, options: AugmentOptions): AugmentPlan {
  const { spatialProbability, spatial, intensityProbability, flips } = options;
  const transformed = stream.chance(spatialProbability);
  const plan = sampleSpatial(stream, size, spatial);
  const flip = (['z', 'y', 'x'] as const).map((axis) => stream.chance(0.5) && flips.includes(axis));
  /** Draws in any case, so that one change does not shift the random numbers of another. */
  const maybe = <T>(value: T, otherwise: T): T => (stream.chance(intensityProbability) ? value : otherwise);
  return {
    spatial: transformed ? plan : null,
    flip: flip as [boolean, boolean, boolean],
    gamma: maybe(stream.uniform(...GAMMA), 1),
    contrast: maybe(stream.uniform(...CONTRAST), 1),
    brightness: maybe(stream.uniform(-BRIGHTNESS, BRIGHTNESS), 0),
    noise: maybe<AugmentPlan['noise']>({ deviation: stream.uniform(0, NOISE), seed: childSeed(stream) }, null),
  };
}

/** Changes nothing. */
export const NO_AUGMENTATION: AugmentPlan = {
  spatial: null,
  flip: [false, false, false],
  gamma: 1,
  contrast: 1,
  brightness: 0,
  noise: null,
};

/** A copy with some axes mirrored. */
function mirrored<Data extends Float32Array | Uint16Array>(data: Data, size: Zyx, flip: AugmentPlan['flip']): Data {
  const out = data.slice() as Data;
  const [depth, height, width] = size;
  const along = (mirror: boolean, i: number, n: number): number => (mirror ? n - 1 - i : i);
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const from = (along(flip[0], z, depth) * height + along(flip[1], y, height)) * width;
      const to = (z * height + y) * width;
      for (let x = 0; x < width; x++) out[to + x] = data[from + along(flip[2], x, width)]!;
    }
  return out;
}

/** Applies a plan to an image in [0, 1] and, alike where it is spatial, to its label map (class indices; 0 outside). */
export function applyAugmentation(
  image: Float32Array,
  labels: Uint16Array | null,
  size: Zyx,
  plan: AugmentPlan,
): { image: Float32Array; labels: Uint16Array | null } {
  let [pixels, map] = [image, labels];
  if (plan.spatial) {
    const moved = applySpatial([pixels], size, plan.spatial, map ? { labels: [map] } : {});
    [pixels, map] = [moved.images[0]!, (moved.labels[0] as Uint16Array | undefined) ?? null];
  }
  if (plan.flip.includes(true)) [pixels, map] = [mirrored(pixels, size, plan.flip), map && mirrored(map, size, plan.flip)];
  const { gamma, contrast, brightness, noise } = plan;
  if (gamma === 1 && contrast === 1 && brightness === 0 && !noise) return { image: pixels, labels: map };
  const stream = noise ? randomStream(noise.seed, 'noise') : undefined;
  const out = new Float32Array(voxelCount(size));
  for (let i = 0; i < out.length; i++) {
    const value = (pixels[i]! ** gamma - 0.5) * contrast + 0.5 + brightness;
    out[i] = Math.min(1, Math.max(0, stream ? value + stream.normal(0, noise!.deviation) : value));
  }
  return { image: out, labels: map };
}
