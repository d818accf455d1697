/** Volumes of one grid side by side, in three planes: what a network is shown, what it makes of it, and what it was asked for. */
import type { Zyx } from '../../geometry/volume.ts';
import { arrange, type Colour, type Picture, paint } from './picture.ts';
import { PLANES, sliceOf } from './slices.ts';

const LONGEST_SIDE_PIXELS = 200;

/**
 * A row for each plane, a column for each volume, through the middle.
 * @param volumes (C, D, H, W) intensities each, of which the first channel is shown; what lies outside [0, 1] is black or white
 */
export function volumesPicture(size: Zyx, volumes: readonly ArrayLike<number>[]): Picture {
  const zoom = Math.max(1, Math.round(LONGEST_SIDE_PIXELS / Math.max(...size)));
  return arrange(
    PLANES.map((plane) => {
      const slice = sliceOf(size, plane);
      return volumes.map((volume) =>
        paint(slice.width * zoom, slice.height * zoom, (x, y): Colour => {
          const value = volume[slice.offset(Math.floor(x / zoom), Math.floor(y / zoom))];
          const grey = Math.round(255 * Math.min(1, Math.max(0, value)));
          return [grey, grey, grey];
        }),
      );
    }),
  );
}
