/** An image file whose header is read and checked, and whose voxels are not read yet. */
import type { VoxelArray } from '../geometry/volume.ts';
import type { ByteSource } from './bytes.ts';
import type { LoadedImage, ReadOptions } from './loaded-image.ts';
import {
  channelsOf,
  checkSize,
  chosenChannel,
  describeStored,
  readPlanes,
  readVolume,
  type StoredImage,
} from './stored-image.ts';

export interface OpenFile {
  readonly image: StoredImage;
  readonly source: ByteSource;
  /** Where in `source` the voxels begin. */
  readonly offset: number;
  /** What is odd about the file; reading the voxels may find more. */
  readonly warnings: Set<string>;
}

export function opened(image: StoredImage, source: ByteSource, offset: number, warnings = new Set<string>()): OpenFile {
  for (const note of image.warnings) warnings.add(note);
  return { image, source, offset, warnings };
}

/** What the header says of the image at `path`. */
export const factsOf = (path: string, { image }: OpenFile): Omit<LoadedImage, 'volume' | 'warnings'> => ({
  path,
  format: image.format,
  storedType: describeStored(image),
  ...(image.modality ? { modality: image.modality } : {}),
  ...(image.vectors ? { vectors: image.vectors } : {}),
  volumesInFile: channelsOf(image),
});

/** Reads the voxels. @throws RunError with the reason, without the file's name */
export async function loadFile(path: string, file: OpenFile, options: ReadOptions): Promise<LoadedImage> {
  const { image, source, offset, warnings } = file;
  const channel = chosenChannel(image, options, warnings);
  await checkSize(image, source, offset);
  const volume = await readVolume(image, source, offset, channel, warnings, options.onPlane);
  return { ...factsOf(path, file), volume, warnings: [...warnings] };
}

/** Reads the voxels plane by plane, into one array. @throws RunError with the reason, without the file's name */
export async function* planesOf({ image, source, offset, warnings }: OpenFile, options: ReadOptions): AsyncGenerator<VoxelArray> {
  const channel = chosenChannel(image, options, warnings);
  await checkSize(image, source, offset);
  yield* readPlanes(image, source, offset, channel, warnings);
}
