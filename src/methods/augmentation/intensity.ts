/**
 * Changes of intensity that leave anatomy where it is: gamma, brightness, contrast, noise, blur, low resolution. Training on tasks and the
 * views of SimCLR, BYOL and SimSiam choose from them, each with its own probabilities.
 *
 * All take and return intensities in [0, 1].
 */

import { type AxisOperator, applySeparable, interpolationOperator } from '../../geometry/axis-operator.ts';
import { checkVoxels } from '../../geometry/check-voxels.ts';
import { sigmaBeforeDownsampling } from '../../geometry/resample.ts';
import { smoothingOperators } from '../../geometry/smooth.ts';
import { planeReader, toXyz, type Zyx } from '../../geometry/volume.ts';
import { type NoisePlan, noiseValues } from './noise.ts';

/** value' = (brightnessFactor value ^ gamma - 1/2) contrast + 1/2 + brightness + noise, clipped to [0, 1]. */
export interface IntensityChange {
  readonly gamma: number;
  readonly brightnessFactor: number;
  readonly contrast: number;
  readonly brightness: number;
  readonly noise: NoisePlan | null;
}

/** Changes nothing. */
export const SAME_INTENSITY: IntensityChange = { gamma: 1, brightnessFactor: 1, contrast: 1, brightness: 0, noise: null };

/** The ranges that these are drawn from, uniformly; those of nnU-Net (Isensee et al., Nature Methods 2021). */
export const GAMMA: readonly [number, number] = [0.7, 1.5];
export const CONTRAST: readonly [number, number] = [0.75, 1.25];

/**
 * The image after one change of every voxel by itself; the image itself where nothing is to be changed.
 * @param image intensities in [0, 1]; not changed.
 */
export function applyIntensity(image: Float32Array, change: IntensityChange): Float32Array {
  const { gamma, brightnessFactor, contrast, brightness, noise } = change;
  if (gamma === 1 && brightnessFactor === 1 && contrast === 1 && brightness === 0 && !noise) return image;
  const noiseValue = noise && noiseValues(noise);
  const out = new Float32Array(image.length);
  for (let i = 0; i < out.length; i++) {
    const value = (brightnessFactor * image[i] ** gamma - 0.5) * contrast + 0.5 + brightness;
    out[i] = Math.min(1, Math.max(0, noiseValue ? value + noiseValue() : value));
  }
  return out;
}

/** Weights are single precision, so their sum is 1 but for rounding. */
function clip(values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  for (let i = 0; i < values.length; i++) values[i] = Math.min(1, Math.max(0, values[i]));
  return values;
}

/**
 * The image smoothed with a Gaussian; beyond its borders it continues with its border values.
 * @param image D * H * W intensities in [0, 1]; not changed.
 * @throws RangeError if the image does not have that size.
 */
export function blur(image: Float32Array, sizeZyx: Zyx, sigmaVoxels: number): Float32Array<ArrayBuffer> {
  checkVoxels('blur', image, sizeZyx);
  return clip(
    applySeparable(smoothingOperators(toXyz(sizeZyx), [sigmaVoxels, sigmaVoxels, sigmaVoxels]), planeReader({ data: image })),
  );
}

/**
 * The image as a scan of lower resolution would show it: down to `share` of the voxels along each axis (at least one; smoothed first, so that
 * nothing aliases) and up again, both linear.
 * @param image D * H * W intensities in [0, 1]; not changed.
 * @param share in (0, 1]; 1 gives the same image.
 * @throws RangeError if the image does not have that size, or the share lies outside (0, 1].
 */
export function lowerResolution(image: Float32Array, sizeZyx: Zyx, share: number): Float32Array<ArrayBuffer> {
  checkVoxels('lowerResolution', image, sizeZyx);
  if (!(share > 0 && share <= 1)) throw new RangeError(`lowerResolution: expected a share in (0, 1], got ${share}`);
  const size = toXyz(sizeZyx);
  /** Both grids have the same field of view: their outer faces coincide, not their outer centres. */
  const between = (from: number, to: number): Float64Array =>
    Float64Array.from({ length: to }, (_, i) => ((i + 0.5) * from) / to - 0.5);
  const small = size.map((n) => Math.max(1, Math.round(n * share)));
  const down = size.map((n, k) => interpolationOperator(n, between(n, small[k]), sigmaBeforeDownsampling(n / small[k])));
  const up = size.map((n, k) => interpolationOperator(small[k], between(small[k], n), 0));
  const coarse = applySeparable(down as [AxisOperator, AxisOperator, AxisOperator], planeReader({ data: image }));
  return clip(applySeparable(up as [AxisOperator, AxisOperator, AxisOperator], planeReader({ data: coarse })));
}
