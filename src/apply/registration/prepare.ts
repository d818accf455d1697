/** Images as registration without a network wants them: in RAS, cubic voxels of one size for both, values in [0, 1], cropped to the foreground. */

import { type NetworkImage, withImage } from '../../cohort/network-image.ts';
import { prepareImage } from '../../cohort/prepare-image.ts';
import type { PrepareOptions } from '../../cohort/prepare-options.ts';
import { type Geometry, voxelCount } from '../../geometry/volume.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import type { Modality } from '../network.ts';
import { WORKING_VOXELS } from './refine.ts';

/** Values below are none of MR, if a file does not say what it is. */
const CT_BELOW = -200;

/** What an image is: as the file says, else by its values. Only CT is told apart, since its values mean something. */
export function modalityOf({ modality, volume: { data } }: Pick<LoadedImage, 'modality' | 'volume'>): Modality {
  if (modality) return modality.toLowerCase() === 'ct' ? 'ct' : 'mr';
  for (let i = 0; i < data.length; i++) if (data[i] < CT_BELOW) return 'ct';
  return 'mr';
}

/** Side of the voxels in mm: as the fixed image's, or larger where those would be more than are worked on. */
export function workingSpacingMm({ size, spacingMm: [x, y, z] }: Geometry): number {
  const volumeMm3 = voxelCount(size) * x * y * z;
  return Math.max(Math.cbrt(x * y * z), Math.cbrt(volumeMm3 / WORKING_VOXELS));
}

/** How an image is prepared without a network. */
export const optionsWithoutNetwork = (modality: Modality, spacingMm: number): PrepareOptions => ({
  modality,
  spacingMm: [spacingMm, spacingMm, spacingMm],
  size: null,
  crop: 'foreground',
  // z-scores and differences keep what lies below 0
  intensity: 'signed',
});

/** Prepares an image. @throws RunError naming the file and why it is refused */
export const prepareWithoutNetwork = (loaded: LoadedImage, options: PrepareOptions): NetworkImage =>
  withImage(loaded, prepareImage(loaded, options), options.modality);
