/** An image whose header is read, whatever its format, and whose errors name it. */
import { MachineError, RunError } from '../common/errors.ts';
import type { Geometry, VoxelArray } from '../geometry/volume.ts';
import { readDicomSource } from './dicom/sources.ts';
import type { FileStore } from './file-store.ts';
import type { ImageSource } from './find-images.ts';
import { type LoadedImage, planeOf, type ReadOptions } from './loaded-image.ts';
import { factsOf, loadFile, type OpenFile, planesOf } from './open-file.ts';
import { openImageFile } from './open-image-file.ts';
import { type VoxelType, valueType, voxelTypeOf } from './stored-image.ts';

/** An image whose header is read: its voxels can be had whole, or plane by plane. */
export interface OpenImage extends Omit<LoadedImage, 'volume' | 'warnings'> {
  readonly geometry: Geometry;
  /** The type of its values, slope and intercept applied. */
  readonly type: VoxelType;
  /** What is odd about the file, a sentence each; reading the voxels may find more. */
  readonly warnings: ReadonlySet<string>;
  /** The planes, z = 0 first; the array may be filled anew for the next one. @throws RunError that names the file */
  planes(): AsyncIterable<VoxelArray>;
  /** @throws RunError that names the file */
  load(): Promise<LoadedImage>;
}

/**
 * @param open opens the file at `path`, or reads it; its errors do not name it yet
 * @throws RunError that names the file and why it cannot be read
 */
export async function openedImage(
  path: string,
  open: () => Promise<OpenFile | LoadedImage>,
  options: ReadOptions = {},
): Promise<OpenImage> {
  const named = <T>(work: () => Promise<T>): Promise<T> => withName(path, work);
  const file = await named(open);
  if ('volume' in file) {
    const { volume, warnings, ...facts } = file;
    const { size } = volume.geometry;
    if (options.channel !== undefined && options.channel !== 0)
      throw new RunError(`${path}: it is one volume (${file.format}), so channel ${options.channel} does not exist: expected 0`);
    return {
      ...facts,
      geometry: volume.geometry,
      type: voxelTypeOf(volume.data),
      warnings: new Set(warnings),
      async *planes() {
        for (let z = 0; z < size[2]; z++) yield planeOf(volume, z);
      },
      load: async () => {
        for (let z = 0; options.onPlane && z < size[2]; z++) options.onPlane(volume, z);
        return file;
      },
    };
  }
  return {
    ...factsOf(path, file),
    geometry: file.image.geometry,
    type: valueType(file.image),
    warnings: file.warnings,
    async *planes() {
      const planes = planesOf(file, options);
      try {
        for (let next = await named(() => planes.next()); !next.done; next = await named(() => planes.next())) yield next.value;
      } finally {
        await planes.return(undefined);
      }
    },
    load: () => named(() => loadFile(path, file, options)),
  };
}

async function withName<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RunError) || error instanceof MachineError) throw error;
    throw new RunError(`${path}: ${error.message}`);
  }
}

/** Opens what was found among the files of a store. @throws RunError that names the file and why it cannot be read */
export const openFound = (files: FileStore, source: ImageSource, options: ReadOptions = {}): Promise<OpenImage> =>
  openedImage(
    source.path,
    () => (source.kind === 'dicom' ? readDicomSource(files, source) : openImageFile(files, source.path)),
    options,
  );
