/** Reading a label map, and where it lies beside its image. Grids are in RAS, whatever the order of axes in the files. */
import { RunError } from '../common/errors.ts';
import { applyAffine, cornerDistanceMm, physicalToVoxel, voxelToPhysical } from '../geometry/affine.ts';
import { type Geometry, perAxis, type Volume, type Xyz } from '../geometry/volume.ts';
import type { OpenImage } from '../images/open-image.ts';

/** The voxels of a label map whose header was read. @throws RunError naming the file if it is of several volumes */
export async function loadLabelMap(file: OpenImage): Promise<Volume> {
  if (file.volumesInFile > 1)
    throw new RunError(
      `${file.path}: it holds ${file.volumesInFile} volumes, expected one label map; save one-hot maps, or layers of segments that overlap, as one map with a code for each structure`,
    );
  return (await file.load()).volume;
}

/**
 * Whether a label map covers a box of its image's grid alone, and not all of it.
 * @throws RunError naming both files if it lies on another grid
 */
export function coversBox(path: string, label: Geometry, image: { readonly path: string; readonly ras: Geometry }): boolean {
  const difference = gridDifference(label, image.ras);
  if (difference === '') return false;
  if (isBoxOf(label, image.ras)) return true;
  throw new RunError(`${path}: on a different grid than its image ${image.path}: ${difference}; resample it to the image`);
}

/** How two RAS grids differ, in words; empty if they are the same to a tenth of a voxel. */
export function gridDifference(label: Geometry, image: Geometry): string {
  const mm = (v: Xyz): string => v.map((x) => +x.toFixed(4)).join(' x ');
  if (label.size.some((n, k) => n !== image.size[k]))
    return `size ${label.size.join(' x ')}, expected ${image.size.join(' x ')} (in RAS)`;
  const distance = cornerDistanceMm(label, image);
  if (distance <= 0.1 * Math.min(...image.spacingMm)) return '';
  if (label.spacingMm.some((s, k) => Math.abs(s - image.spacingMm[k]) > 1e-3 * s))
    return `spacing ${mm(label.spacingMm)} mm, expected ${mm(image.spacingMm)} mm`;
  return `its corners are up to ${distance.toFixed(1)} mm away (origin ${mm(label.originMm)}, expected ${mm(image.originMm)}, or a different direction)`;
}

/**
 * Whether a RAS grid is a box of another, voxel on voxel: 3D Slicer saves segmentations cut to what they mark. Around it there is background.
 */
export function isBoxOf(part: Geometry, whole: Geometry): boolean {
  const start = perAxis(applyAffine(physicalToVoxel(whole), part.originMm), Math.round);
  if (start.some((n, k) => n < 0 || n + part.size[k] > whole.size[k])) return false;
  const originMm = applyAffine(voxelToPhysical(whole), start);
  return gridDifference(part, { ...whole, size: part.size, originMm }) === '';
}
