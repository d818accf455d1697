/** An image file whose header is read and checked, and whose voxels are not read yet. */
import type { Volume, VoxelArray } from '../../geometry/volume.ts';
import type { ByteSource } from '../bytes.ts';
import type { ReadOptions } from '../loaded-image.ts';
import { checkSize, chosenChannel, readPlanes, readVolume, type StoredImage } from '../stored-image.ts';

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

export async function volumeOf({ image, source, offset, notes }: OpenFile, options: ReadOptions): Promise<Volume> {
  const channel = chosenChannel(image, options, notes);
  await checkSize(image, source, offset);
  return readVolume(image, source, offset, channel, notes);
}

export async function* planesOf({ image, source, offset, notes }: OpenFile, options: ReadOptions): AsyncGenerator<VoxelArray> {
  const channel = chosenChannel(image, options, notes);
  await checkSize(image, source, offset);
  yield* readPlanes(image, source, offset, channel, notes);
}
