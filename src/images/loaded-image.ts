/** What reading an image gives, whatever its format. */
import { RunError } from '../common/errors.ts';
import { formatBytes } from '../common/format-bytes.ts';
import { isFlat } from '../geometry/affine.ts';
import { shearAngleDeg } from '../geometry/orientation.ts';
import { type Geometry, perAxis, type Volume, type VoxelArray, voxelCount } from '../geometry/volume.ts';

/** What the values of a NIfTI file mean (nifti1.h, NIFTI_INTENT_...): 1007 are vectors. 0 and no name where that is not said. */
export interface Intent {
  readonly code: number;
  readonly name: string;
}

export interface LoadedImage {
  /** The file, or the folder of the series. */
  readonly path: string;
  /** 'NIfTI-1', 'NRRD', 'DICOM series' and so on. */
  readonly format: string;
  /** Voxel type in the file: 'int16'; values in `volume` have slope and intercept applied. */
  readonly storedType: string;
  /** Modality that the file states (DICOM's 'CT', 'MR', ...). */
  readonly modality?: string;
  /** What the file says its values are, in DICOM's terms: 'HU', 'MGML' (concentration), 'Z_EFF' (effective atomic number). */
  readonly rescaleType?: string;
  readonly volume: Volume;
  /** Volumes in the file; more than 1 only if the caller asked for the first of several. */
  readonly volumesInFile: number;
  /** Of NIfTI whose volumes are the components of a vector, or of some other tuple, a voxel: what they are. */
  readonly vectors?: Intent;
  /** Warnings about the file and what was done about it, a sentence each. */
  readonly warnings: readonly string[];
}

export interface ReadOptions {
  /** Of a file with several volumes (4D) or several values a voxel, take the first and say so, instead of refusing. */
  readonly firstVolume?: boolean;
  /** Which one to take, from 0. */
  readonly channel?: number;
  /** No one can be chosen, as of label maps: where it is refused, nothing is said of `channel`. */
  readonly single?: boolean;
  /** Is given the volume with its planes up to z, once for each: what is done there is done while the next planes are read and decompressed. */
  readonly onPlane?: (volume: Volume, z: number) => void;
}

/** A plane of a volume, as it is stored. */
export function planeOf({ geometry: { size }, data }: Volume, z: number): VoxelArray {
  const voxels = size[0] * size[1];
  return data.subarray(z * voxels, (z + 1) * voxels);
}

/** More than this is refused: a volume and what is computed from it must fit an ordinary machine. */
export const MAX_VOLUME_BYTES = 4 * 2 ** 30;

/** What is said of a greater one, without the image's name. */
export const tooLarge = (size: readonly number[], bytes: number): RunError =>
  new RunError(
    `its size ${size.join(' x ')} is too large: ${formatBytes(bytes)}, expected at most ${formatBytes(MAX_VOLUME_BYTES)}; crop or resample it, unless its header is damaged`,
  );

/** Checks the grid that a header describes. @throws RunError */
export function checkedGeometry(geometry: Geometry): Geometry {
  const { size, spacingMm, originMm, direction } = geometry;
  if (!size.every((n) => Number.isSafeInteger(n) && n > 0)) throw new RunError(`its size is ${size.join(' x ')}: damaged`);
  if (!spacingMm.every((s) => Number.isFinite(s) && s > 0))
    throw new RunError(`its voxel size is ${spacingMm.join(' x ')} mm, expected positive numbers`);
  if (![...originMm, ...direction].every(Number.isFinite))
    throw new RunError('its orientation holds values that are not numbers');
  if (isFlat(direction)) throw new RunError('its axes lie in one plane, expected three that span space');
  return geometry;
}

/** Shear below this is rounding of a header in single precision. */
const SHEAR_DEG = 0.5;

/** What is to be said of axes that are not perpendicular, if they are so. @param cause why they may be */
export function shearWarnings({ direction }: Geometry, cause = ''): string[] {
  const shear = shearAngleDeg(direction);
  return shear > SHEAR_DEG ? [`its axes are sheared by ${shear.toFixed(1)} degrees (${cause}kept: positions are exact)`] : [];
}

/** The grid with the voxel size that its header states, where that says the same: it is free of the rounding of a column's length. */
export const withStatedSpacing = (grid: Geometry, statedMm: readonly number[]): Geometry => ({
  ...grid,
  spacingMm: perAxis(grid.spacingMm, (s, k) => (Math.abs(s - statedMm[k]) < 1e-5 * s ? statedMm[k] : s)),
});

/** Checks what every format must give before anything is computed with it. @throws RunError */
export function checkedVolume(geometry: Geometry, data: VoxelArray): Volume {
  const { size } = checkedGeometry(geometry);
  if (data.length !== voxelCount(size))
    throw new RunError(`it holds ${data.length} voxels, expected ${voxelCount(size)} (${size.join(' x ')}): truncated`);
  return { geometry, data };
}

/** A volume in memory as what was read. @param name in messages. @throws RunError naming it and what is wrong with it */
export function loadedVolume({ geometry, data }: Volume, name: string): LoadedImage {
  let volume: Volume;
  try {
    volume = checkedVolume(geometry, data);
  } catch (error) {
    throw error instanceof RunError ? new RunError(`${name}: ${error.message}`) : error;
  }
  const storedType = data.constructor.name.replace('Array', '').toLowerCase();
  return { path: name, format: 'memory', storedType, volume, volumesInFile: 1, warnings: [] };
}
