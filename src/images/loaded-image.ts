/** What reading an image gives, whatever its format. */
import type { Image } from 'itk-wasm';
import { WorkError } from '../errors/errors.ts';
import {
  type Geometry,
  IDENTITY_3,
  type Matrix3,
  type Volume,
  type VoxelArray,
  voxelCount,
  type Xyz,
} from '../geometry/volume.ts';

export interface LoadedImage {
  /** The file, or the folder of the series. */
  readonly path: string;
  /** 'NIfTI-1', 'NRRD', 'DICOM series' and so on. */
  readonly format: string;
  /** Voxel type in the file: 'int16'; values in `volume` have slope and intercept applied. */
  readonly storedType: string;
  /** Modality that the file states (DICOM's 'CT', 'MR', ...). */
  readonly modality?: string;
  readonly volume: Volume;
  /** Volumes in the file; more than 1 only if the caller asked for the first of several. */
  readonly volumesInFile: number;
  /** What is odd about the file and what was done about it, a sentence each. */
  readonly notes: readonly string[];
}

export interface ReadOptions {
  /** Of a file with several volumes (4D) or several values a voxel, take the first and say so, instead of refusing. */
  readonly firstVolume?: boolean;
  /** Which one to take, from 0. */
  readonly channel?: number;
}

/** More than this is refused: a volume and what is computed from it must fit an ordinary machine. */
export const MAX_VOLUME_BYTES = 4 * 2 ** 30;

/** The voxels of ITK's image as numbers: 64-bit whole numbers become doubles. @throws WorkError for colours and vectors */
export function scalarData(image: Image): VoxelArray {
  const { components, pixelType } = image.imageType;
  if (components !== 1)
    throw new WorkError(
      `it has ${components} values a voxel (${pixelType}), expected one: a vector field or colours, not an image of intensities`,
    );
  const data: unknown = image.data;
  if (data === null) throw new WorkError('it has no voxels');
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data as Iterable<bigint>, Number);
  if (data instanceof Uint8ClampedArray) return new Uint8Array(data);
  return data as VoxelArray;
}

/** ITK's grid, as three-dimensional. */
export function geometryOfItk(image: Image): Geometry {
  const n = image.size.length;
  const three = (values: readonly number[], fallback: number): Xyz =>
    [0, 1, 2].map((k) => (k < n ? values[k] : fallback)) as unknown as Xyz;
  const direction = IDENTITY_3.map((one, i) => {
    const [row, column] = [Math.floor(i / 3), i % 3];
    return row < n && column < n ? Number(image.direction[row * n + column]) + 0 : one;
  }) as unknown as Matrix3;
  return { size: three(image.size, 1), spacingMm: three(image.spacing, 1), originMm: three(image.origin, 0), direction };
}

/** Checks the grid that a header describes. @throws WorkError */
export function checkedGeometry(geometry: Geometry): Geometry {
  const { size, spacingMm, originMm, direction } = geometry;
  if (!size.every((n) => Number.isSafeInteger(n) && n > 0)) throw new WorkError(`its size is ${size.join(' x ')}: damaged`);
  if (!spacingMm.every((s) => Number.isFinite(s) && s > 0))
    throw new WorkError(`its voxel size is ${spacingMm.join(' x ')} mm, expected positive numbers`);
  if (![...originMm, ...direction].every(Number.isFinite))
    throw new WorkError('its orientation holds values that are not numbers');
  return geometry;
}

/** Checks what every format must give before anything is computed with it. @throws WorkError */
export function checkedVolume(geometry: Geometry, data: VoxelArray): Volume {
  const { size } = checkedGeometry(geometry);
  if (data.length !== voxelCount(size))
    throw new WorkError(`it holds ${data.length} voxels, expected ${voxelCount(size)} (${size.join(' x ')}): truncated`);
  return { geometry, data };
}
