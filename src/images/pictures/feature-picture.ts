/** Features of a volume as colours, beside the image, in three planes. */
import type { Zyx } from '../../geometry/volume.ts';
import { arrange, type Colour, type Picture } from './picture.ts';
import { PLANES, paintSlice, sliceOf, zoomFor } from './slices.ts';

const LONGEST_SIDE_PIXELS = 260;

/**
 * A row for each plane: the image, and the features.
 * @param colours red, green and blue of every voxel, 0 to 1
 * @param spacingMm of the voxels, (z, y, x); as if they were cubes if left out
 */
export function featurePicture(
  size: Zyx,
  image: ArrayLike<number>,
  colours: readonly [ArrayLike<number>, ArrayLike<number>, ArrayLike<number>],
  spacingMm?: Zyx,
): Picture {
  const zoom = zoomFor(size, LONGEST_SIDE_PIXELS, spacingMm);
  const byte = (value: number): number => Math.round(255 * Math.min(1, Math.max(0, value)));
  return arrange(
    PLANES.map((plane) => {
      const slice = sliceOf(size, plane);
      const show = (colourOf: (voxel: number) => Colour): Picture => paintSlice(slice, zoom, colourOf);
      return [
        show((voxel) => {
          const value = byte(image[voxel]);
          return [value, value, value];
        }),
        show((voxel) => [byte(colours[0][voxel]), byte(colours[1][voxel]), byte(colours[2][voxel])]),
      ];
    }),
  );
}
