/**
 * How a displacement changes volume: the determinant of the Jacobian of p + psi(p). 1 keeps volume, 2 doubles it, 0 or less is a
 * fold, where two places of one image claim one of the other: no anatomy does that, so the share of folds judges a match.
 *
 * Derivatives are central differences inside and one-sided at the border; along an axis of one voxel nothing changes.
 */

import { checkVoxels } from '../../geometry/check-voxels.ts';
import type { Zyx } from '../../geometry/volume.ts';

/** The determinant at each voxel, D * H * W, of a displacement (3, D, H, W) in voxels, components z, y, x. */
export function jacobianDeterminant(displacement: Float32Array, sizeZyx: Zyx): Float32Array {
  const voxels = checkVoxels('jacobianDeterminant', displacement, sizeZyx, 3);
  const [depth, height, width] = sizeZyx;
  const strides = [height * width, width, 1];
  const determinants = new Float32Array(voxels);
  /** Row c, column k: the derivative of component c of the position along axis k. */
  const j = new Float64Array(9);
  const index = [0, 0, 0];
  for (let voxel = 0; voxel < voxels; voxel++) {
    index[0] = (voxel / strides[0]) | 0;
    index[1] = ((voxel / width) | 0) % height;
    index[2] = voxel % width;
    for (let axis = 0; axis < 3; axis++) {
      const back = index[axis] > 0 ? 1 : 0;
      const ahead = index[axis] < (axis === 0 ? depth : axis === 1 ? height : width) - 1 ? 1 : 0;
      const from = voxel - back * strides[axis];
      const to = voxel + ahead * strides[axis];
      const steps = Math.max(1, back + ahead);
      for (let component = 0; component < 3; component++) {
        const start = component * voxels;
        j[3 * component + axis] = (displacement[start + to] - displacement[start + from]) / steps;
      }
      j[4 * axis] += 1;
    }
    determinants[voxel] =
      j[0] * (j[4] * j[8] - j[5] * j[7]) - j[1] * (j[3] * j[8] - j[5] * j[6]) + j[2] * (j[3] * j[7] - j[4] * j[6]);
  }
  return determinants;
}

/** The share of voxels, in [0, 1], whose determinant is not positive. */
export function foldedShare(displacement: Float32Array, sizeZyx: Zyx): number {
  const determinants = jacobianDeterminant(displacement, sizeZyx);
  let folded = 0;
  // Not `<= 0`: a displacement that is not a number is no match either.
  for (const determinant of determinants) if (!(determinant > 0)) folded++;
  return folded / determinants.length;
}
