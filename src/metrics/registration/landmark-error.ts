/**
 * Target registration error: how far, in millimetres, corresponding anatomical points of two images are apart after the match.
 */

import type { Xyz, Zyx } from '../../geometry/volume.ts';
import { displacementAt } from './displacement.ts';

export interface LandmarkError {
  /** One distance a landmark, in the order given. */
  readonly distancesMm: readonly number[];
  /** NaN without landmarks. */
  readonly meanMm: number;
}

/**
 * The error of a match at landmarks: p of the fixed image goes to p + psi(p), which should be the same landmark in the moving
 * image. Without a displacement it is the error before matching.
 * @param fixedPoints landmarks in voxels (z, y, x) of the fixed image, anywhere between voxels.
 * @param movingPoints the same landmarks, in the same order, in voxels of the moving image.
 * @param displacement (3, D, H, W) in voxels, components z, y, x, or null.
 * @param spacingMm voxel spacing (x, y, z), of both images.
 * @throws RangeError if the landmarks do not pair up.
 */
export function targetRegistrationError(
  fixedPoints: readonly Zyx[],
  movingPoints: readonly Zyx[],
  displacement: Float32Array | null,
  sizeZyx: Zyx,
  spacingMm: Xyz,
): LandmarkError {
  if (fixedPoints.length !== movingPoints.length) {
    throw new RangeError(
      `targetRegistrationError: expected as many moving as fixed landmarks, got ${movingPoints.length} and ${fixedPoints.length}`,
    );
  }
  const distancesMm = fixedPoints.map((point, i) => {
    const shift = displacement ? displacementAt(displacement, sizeZyx, point) : [0, 0, 0];
    return Math.hypot(...point.map((at, axis) => (at + shift[axis] - movingPoints[i][axis]) * spacingMm[2 - axis]));
  });
  return { distancesMm, meanMm: distancesMm.reduce((sum, distance) => sum + distance, 0) / distancesMm.length };
}
