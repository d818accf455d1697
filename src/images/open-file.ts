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
  readonly notes: Set<string>;
}

export function opened(image: StoredImage, source: ByteSource, offset: number, notes = new Set<string>()): OpenFile {
  for (const note of image.notes) notes.add(note);
  return { image, source, offset, notes };
}

/** What the header says of the image at `path`. */
export const factsOf = (path: string, { image }: OpenFile): Omit<LoadedImage, 'volume' | 'notes'> => ({
  path,
  format: image.format,
  storedType: describeStored(image),
  ...(image.modality ? { modality: image.modality } : {}),
  volumesInFile: channelsOf(image),
});

/** Reads the voxels. @throws WorkError with the reason, without the file's name */
export async function loadFile(path: string, file: OpenFile, options: ReadOptions): Promise<LoadedImage> {
  const { image, source, offset, notes } = file;
  const channel = chosenChannel(image, options, notes);
  await checkSize(image, source, offset);
  const volume = await readVolume(image, source, offset, channel, notes, options.onPlane);
  return { ...factsOf(path, file), volume, notes: [...notes] };
}

/** Reads the voxels plane by plane, into one array. @throws WorkError with the reason, without the file's name */
export async function* planesOf({ image, source, offset, notes }: OpenFile, options: ReadOptions): AsyncGenerator<VoxelArray> {
  const channel = chosenChannel(image, options, notes);
  await checkSize(image, source, offset);
  yield* readPlanes(image, source, offset, channel, notes);
}
