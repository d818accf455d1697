/**
 * Gaussian noise. Denoising shows the network the noisy image and asks for the clean one (Vincent et al., "Extracting and composing robust
 * features with denoising autoencoders", ICML 2008).
 *
 * The noisy image is not clipped: cut off at 0 and 1, the noise in air and in bone would have another mean than elsewhere.
 */

import { childSeed } from '../../common/child-seed.ts';
import { type RandomStream, randomStream } from '../../common/random.ts';
import { checkChannels } from '../../geometry/check-voxels.ts';
import type { Zyx } from '../../geometry/volume.ts';

export interface NoiseOptions {
  /** Least and largest standard deviation, in units of the image's intensities; drawn uniformly. */
  readonly deviation: readonly [number, number];
}

/** For intensities in [0, 1]. */
export const DEFAULT_NOISE: NoiseOptions = { deviation: [0.05, 0.2] };

export interface NoisePlan {
  /** Standard deviation, in units of the image's intensities. */
  readonly deviation: number;
  /** Names the noise. */
  readonly seed: number;
}

/** Draws the strength of the noise, and its seed. Options left out are denoising's. */
export function sampleNoise(stream: RandomStream, options: Partial<NoiseOptions> = {}): NoisePlan {
  const { deviation } = { ...DEFAULT_NOISE, ...options };
  return { deviation: stream.uniform(...deviation), seed: childSeed(stream) };
}

/** The noise of a plan, one value after the other. */
export function noiseValues({ deviation, seed }: NoisePlan): () => number {
  const stream = randomStream(seed, 'noise');
  return () => stream.normal(0, deviation);
}

/**
 * The image with noise added, not clipped; each channel has its own, of one strength (as batchgenerators adds it for nnU-Net).
 * @param image (C, D, H, W) intensities; not changed.
 * @throws RangeError if the image does not have that size.
 */
export function addNoise(image: Float32Array, sizeZyx: Zyx, plan: NoisePlan): Float32Array<ArrayBuffer> {
  checkChannels('addNoise', image, sizeZyx);
  const noise = noiseValues(plan);
  const noisy = new Float32Array(image.length);
  for (let i = 0; i < noisy.length; i++) noisy[i] = image[i] + noise();
  return noisy;
}
