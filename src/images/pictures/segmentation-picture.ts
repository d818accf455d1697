/** What a person looks at to judge a segmentation: the image, with the outlines of the truth and of the prediction, in three planes. */
import type { Zyx } from '../../geometry/volume.ts';
import { drawOutlines } from './pair-picture.ts';
import { arrange, type Picture } from './picture.ts';
import { PLANES, type Plane, paintSlice, sliceOf, zoomFor } from './slices.ts';

/** A segmented volume on one grid of `size` voxels; intensities in [0, 1]. */
export interface SegmentedVolume {
  readonly size: Zyx;
  /** Of the voxels, (z, y, x); as if they were cubes if left out. */
  readonly spacingMm?: Zyx;
  readonly image: ArrayLike<number>;
  readonly truth?: ArrayLike<number>;
  readonly predicted: ArrayLike<number>;
}

const LONGEST_SIDE_PIXELS = 220;

/** The slice along each axis that shows most of what is labelled: of the truth, else of the prediction. */
function fullestSlices(size: Zyx, labels: ArrayLike<number>): [number, number, number] {
  const counts = size.map((n) => new Uint32Array(n));
  let i = 0;
  for (let z = 0; z < size[0]; z++)
    for (let y = 0; y < size[1]; y++)
      for (let x = 0; x < size[2]; x++, i++) {
        if (labels[i] === 0) continue;
        counts[0][z]++;
        counts[1][y]++;
        counts[2][x]++;
      }
  return counts.map((along, axis) => {
    const best = along.indexOf(Math.max(...along));
    return along[best] === 0 ? size[axis] >> 1 : best;
  }) as [number, number, number];
}

/** A row for each plane; columns: the image, with the truth if there is one, with the prediction. */
export function segmentationPicture({ size, spacingMm, image, truth, predicted }: SegmentedVolume): Picture {
  const zoom = zoomFor(size, LONGEST_SIDE_PIXELS, spacingMm);
  const at = fullestSlices(size, truth ?? predicted);
  const index: Readonly<Record<Plane, number>> = { axial: at[0], coronal: at[1], sagittal: at[2] };
  const panel = (plane: Plane, labels: ArrayLike<number> | null): Picture => {
    const slice = sliceOf(size, plane, index[plane]);
    const picture = paintSlice(slice, zoom, (voxel) => {
      const value = Math.round(255 * Math.min(1, Math.max(0, image[voxel])));
      return [value, value, value];
    });
    if (labels) drawOutlines(picture, labels, slice, zoom);
    return picture;
  };
  return arrange(PLANES.map((plane) => [null, ...(truth ? [truth] : []), predicted].map((labels) => panel(plane, labels))));
}
