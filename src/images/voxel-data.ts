/** The bytes that NRRD and MetaImage headers point to: behind them, in another file, or in many. */
import { RunError } from '../common/errors.ts';
import { voxelCount } from '../geometry/volume.ts';
import { type ByteSource, headOf, joinedSources, readerOf, skipping, sourceFrom } from './bytes.ts';
import type { DataPlace } from './data-place.ts';
import type { FileStore } from './file-store.ts';
import { META_END, parseMetaImage } from './meta-image.ts';
import { NRRD_END, parseNrrd } from './nrrd.ts';
import { channelsOf, STORED_BYTES, type StoredImage } from './stored-image.ts';
import { hexSource, numbersSource } from './text-source.ts';

/**
 * @param path the header's file, and `header` its bytes
 * @returns bytes of which the first are the voxels' first
 * @throws RunError that names a file which is missing
 */
export async function voxelData(
  files: FileStore,
  path: string,
  header: ByteSource,
  image: StoredImage,
  place: DataPlace,
  warnings: Set<string>,
): Promise<ByteSource> {
  const whole = voxelCount(image.geometry.size) * channelsOf(image) * STORED_BYTES[image.type];
  if (place.files === null) return decoded(files, header, image, place, whole, warnings);
  const share = whole / place.files.length;
  if (!Number.isInteger(share))
    throw new RunError(
      `its ${whole} bytes of voxels cannot be split into ${place.files.length} files of equal length, as its header says`,
    );
  const sources: ByteSource[] = [];
  for (const file of place.files) {
    const found = await findDataFile(files, path, file);
    const source = await files.source(found).catch((error: unknown) => {
      throw error instanceof RunError ? new RunError(`its data file ${found}: ${error.message}`) : error;
    });
    const voxels = await decoded(files, source, image, place, share, warnings);
    sources.push({ ...(place.files.length > 1 ? exactly(voxels, share, found, warnings) : voxels), name: found });
  }
  return sources.length === 1 ? sources[0] : joinedSources(sources);
}

/** Where a file lies that the header `path` names for its voxels. @throws RunError if it is missing */
export const findDataFile = (files: FileStore, path: string, file: string): Promise<string> =>
  files.beside(
    path,
    () => (file.includes('\\') ? [file, file.replaceAll('\\', '/')] : [file]),
    (tried) => `its data file "${file}" is missing: looked for ${tried.join(' and ')}`,
  );

async function decoded(
  files: FileStore,
  source: ByteSource,
  image: StoredImage,
  { start, lines, bytes, encoding, compressedBytes }: DataPlace,
  length: number,
  warnings: Set<string>,
): Promise<ByteSource> {
  const at = start === 'end' ? Math.max(0, (source.sizeBytes ?? 0) - length) : start;
  if (start === 'end' && source.sizeBytes === null)
    throw new RunError('its voxels are the last bytes of a compressed file: not supported');
  const stored = await passLines(sourceFrom(source, at), lines);
  if (encoding === 'raw') return sourceFrom(stored, bytes);
  if (encoding === 'deflate') return sourceFrom(files.inflated(stored, warnings, compressedBytes), bytes);
  const text = sourceFrom(stored, bytes);
  return encoding === 'hex' ? hexSource(text) : numbersSource(text, image.type);
}

async function passLines(source: ByteSource, lines: number): Promise<ByteSource> {
  let [left, passed] = [lines, 0];
  if (left === 0) return source;
  for await (const piece of source.pieces(0)) {
    for (let i = 0; i < piece.length; i++) if (piece[i] === 10 && --left === 0) return sourceFrom(source, passed + i + 1);
    passed += piece.length;
  }
  throw new RunError(`it has ${lines - left} lines before its voxels, and its header says ${lines}`);
}

/** One of several files: it must hold its share, and what follows that is left out. */
const exactly = (source: ByteSource, share: number, name: string, warnings: Set<string>): ByteSource => ({
  sizeBytes: share,
  storedBytes: source.storedBytes,
  pieces: (start) => skipping(shareOf(source, share, name, warnings), start),
});

async function* shareOf(source: ByteSource, share: number, name: string, warnings: Set<string>): AsyncGenerator<Uint8Array> {
  const reader = readerOf(source.pieces(0));
  try {
    let given = 0;
    for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
      if (given < share) yield piece.subarray(0, share - given);
      given += piece.length;
    }
    if (given < share)
      throw new RunError(`its data file ${name} holds ${given} bytes of voxels, expected ${share}: truncated or damaged`);
    if (given > share) warnings.add(`${name} holds ${given} bytes of voxels, expected ${share}: extra bytes were ignored`);
  } finally {
    await reader.close();
  }
}

/** Reads the header of a format whose header is text. @throws RunError without the file's name */
export const textHeader = async (
  kind: 'NRRD' | 'MetaImage',
  source: ByteSource,
): Promise<{ readonly image: StoredImage; readonly place: DataPlace }> =>
  kind === 'NRRD' ? parseNrrd(await textHead(source, NRRD_END)) : parseMetaImage(await textHead(source, META_END));

/** The whole of a text header: long ones (diffusion gradients) are read further. */
async function textHead(source: ByteSource, end: RegExp): Promise<Uint8Array> {
  const latin = new TextDecoder('latin1');
  for (const limit of [2 ** 13, 2 ** 18]) {
    const head = await headOf(source, limit);
    if (head.length < limit || end.test(latin.decode(head))) return head;
  }
  return headOf(source, 2 ** 22);
}
