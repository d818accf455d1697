/**
 * Moving labels warped to the fixed image: each voxel takes the nearest label, since labels cannot be mixed.
 */

import { checkVoxels } from '../../geometry/check-voxels.ts';
import { emptyLike } from '../../geometry/empty-like.ts';
import type { VoxelArray, Zyx } from '../../geometry/volume.ts';

/**
 * The label nearest to p + psi(p) at each voxel p, 0 outside; halves go up.
 * @param labels D * H * W, of any type; the result is of the same.
 * @param displacement (3, D, H, W) in voxels, components z, y, x.
 */
export function warpLabels<Labels extends VoxelArray>(labels: Labels, sizeZyx: Zyx, displacement: Float32Array): Labels {
  const voxels = checkVoxels('warpLabels', labels, sizeZyx);
  checkVoxels('warpLabels', displacement, sizeZyx, 3);
  const [depth, height, width] = sizeZyx;
  const warped = emptyLike(labels);
  let voxel = 0;
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, voxel++) {
        const fromZ = Math.floor(z + displacement[voxel] + 0.5);
        const fromY = Math.floor(y + displacement[voxels + voxel] + 0.5);
        const fromX = Math.floor(x + displacement[2 * voxels + voxel] + 0.5);
        const inside = fromZ >= 0 && fromZ < depth && fromY >= 0 && fromY < height && fromX >= 0 && fromX < width;
        if (inside) warped[voxel] = labels[(fromZ * height + fromY) * width + fromX];
      }
    }
  }
  return warped;
}
