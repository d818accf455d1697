/** Volumes of one grid side by side, in three planes: what a network is shown, what it makes of it, and what it was asked for. */
import type { Zyx } from '../../geometry/volume.ts';
import { arrange, type Colour, type Picture } from './picture.ts';
import { PLANES, paintSlice, sliceOf, zoomFor } from './slices.ts';

const LONGEST_SIDE_PIXELS = 200;

/**
 * A row for each plane, a column for each volume, through the middle.
 * @param volumes (C, D, H, W) intensities each, of which the first channel is shown; what lies outside [0, 1] is black or white
 * @param spacingMm of the voxels, (z, y, x); as if they were cubes if left out
 */
export function volumesPicture(size: Zyx, volumes: readonly ArrayLike<number>[], spacingMm?: Zyx): Picture {
  const zoom = zoomFor(size, LONGEST_SIDE_PIXELS, spacingMm);
  return arrange(
    PLANES.map((plane) => {
      const slice = sliceOf(size, plane);
      return volumes.map((volume) =>
        paintSlice(slice, zoom, (voxel): Colour => {
          const grey = Math.round(255 * Math.min(1, Math.max(0, volume[voxel])));
          return [grey, grey, grey];
        }),
      );
    }),
  );
}
