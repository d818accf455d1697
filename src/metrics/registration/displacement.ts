/**
 * Displacement fields as plain arrays: (3, D, H, W) in voxels, components z, y, x, so that the fixed image's voxel p
 * corresponds to the moving image's position p + psi(p) (docs/method.md, section 4).
 */

import type { AffineMatrix } from '../../geometry/affine-matrix.ts';
import { checkVoxels } from '../../geometry/check-voxels.ts';
import type { Zyx } from '../../geometry/volume.ts';

/**
 * The displacement of an affine alone.
 * @param matrix twelve numbers, a 3 x 4 matrix row by row, on (x, y, z) in voxels about the volume's centre.
 */
export function affineDisplacement(matrix: AffineMatrix | Float32Array, sizeZyx: Zyx): Float32Array {
  if (matrix.length !== 12)
    throw new RangeError(`affineDisplacement: expected a 3 x 4 matrix of 12 numbers, got ${matrix.length}`);
  const [depth, height, width] = sizeZyx;
  const [centreZ, centreY, centreX] = sizeZyx.map((size) => (size - 1) / 2);
  const voxels = depth * height * width;
  const displacement = new Float32Array(3 * voxels);
  let voxel = 0;
  for (let z = -centreZ; z <= centreZ; z++) {
    for (let y = -centreY; y <= centreY; y++) {
      for (let x = -centreX; x <= centreX; x++) {
        for (let axis = 0; axis < 3; axis++) {
          const row = 4 * (2 - axis);
          const moved = matrix[row] * x + matrix[row + 1] * y + matrix[row + 2] * z + matrix[row + 3];
          displacement[axis * voxels + voxel] = moved - (axis === 0 ? z : axis === 1 ? y : x);
        }
        voxel++;
      }
    }
  }
  return displacement;
}

/**
 * The displacement (z, y, x) at any position, trilinear between voxels; outside the volume that of its nearest border point.
 */
export function displacementAt(displacement: Float32Array, sizeZyx: Zyx, position: Zyx): Zyx {
  const voxels = checkVoxels('displacementAt', displacement, sizeZyx, 3);
  const low = [0, 0, 0];
  const along = [0, 0, 0];
  for (let axis = 0; axis < 3; axis++) {
    const inside = Math.min(sizeZyx[axis] - 1, Math.max(0, position[axis]));
    low[axis] = Math.floor(inside);
    along[axis] = inside - low[axis];
  }
  const result: [number, number, number] = [0, 0, 0];
  for (let neighbour = 0; neighbour < 8; neighbour++) {
    const upper = [neighbour >> 2, (neighbour >> 1) & 1, neighbour & 1];
    const weight = upper.reduce((product, up, axis) => product * (up ? along[axis] : 1 - along[axis]), 1);
    if (weight === 0) continue;
    const voxel = ((low[0] + upper[0]) * sizeZyx[1] + low[1] + upper[1]) * sizeZyx[2] + low[2] + upper[2];
    for (let component = 0; component < 3; component++) {
      result[component] += weight * displacement[component * voxels + voxel];
    }
  }
  return result;
}

/** The share of the fixed image's voxels that correspond to a position inside the moving image (of the same size). */
export function insideShare(displacement: Float32Array, sizeZyx: Zyx): number {
  const voxels = checkVoxels('insideShare', displacement, sizeZyx, 3);
  const [depth, height, width] = sizeZyx;
  const within = (position: number, size: number): boolean => position >= 0 && position <= size - 1;
  let inside = 0;
  for (let voxel = 0; voxel < voxels; voxel++) {
    const x = voxel % width;
    const y = Math.floor(voxel / width) % height;
    const z = Math.floor(voxel / (width * height));
    if (
      within(z + displacement[voxel], depth) &&
      within(y + displacement[voxels + voxel], height) &&
      within(x + displacement[2 * voxels + voxel], width)
    ) {
      inside++;
    }
  }
  return inside / voxels;
}
