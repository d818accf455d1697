/** NIfTI files as bytes in memory, read and written anywhere: a page has no other files. */
import { RunError } from '../common/errors.ts';
import { type Geometry, type VoxelArray, voxelCount } from '../geometry/volume.ts';
import { type ByteSource, headOf, memorySource, skipping } from './bytes.ts';
import type { LoadedImage } from './loaded-image.ts';
import { niftiImage } from './nifti.ts';
import { NIFTI_HEADER_BYTES, parseNiftiHeader } from './nifti-header.ts';
import { niftiHeader } from './nifti-writing.ts';
import { loadFile, opened } from './open-file.ts';
import { recognise } from './recognise.ts';
import { bytesOf, voxelTypeOf } from './stored-image.ts';

/** What decompressing gives; browsers say no more of a damaged stream than that it is damaged. */
const unzipped = (bytes: Uint8Array<ArrayBuffer>): ByteSource => ({
  sizeBytes: null,
  storedBytes: bytes.length,
  pieces: (start) => skipping(inflated(bytes), start),
});

async function* inflated(bytes: Uint8Array<ArrayBuffer>): AsyncGenerator<Uint8Array> {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const next = (): ReturnType<typeof reader.read> =>
    reader.read().catch(() => {
      throw new RunError('its compressed stream is damaged, truncated or followed by other bytes');
    });
  try {
    for (let part = await next(); !part.done; part = await next()) yield part.value;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Reads a .nii or .nii.gz file. @throws RunError naming it and what is wrong with it */
export async function readNiftiFile(name: string, buffer: ArrayBuffer): Promise<LoadedImage> {
  try {
    if (buffer.byteLength === 0) throw new RunError('it is empty (0 bytes)');
    const bytes = new Uint8Array(buffer);
    const source = bytes[0] === 0x1f && bytes[1] === 0x8b ? unzipped(bytes) : memorySource(bytes);
    const head = await headOf(source, NIFTI_HEADER_BYTES);
    if (recognise(head) === 'DICOM') throw new RunError('it is DICOM, expected NIfTI; gvsl segment reads folders of DICOM');
    const header = parseNiftiHeader(head, false);
    if (header.pair) throw new RunError('its voxels are in another file (.img): save it as one .nii file');
    return await loadFile(name, opened(niftiImage(header), source, header.voxOffset), {});
  } catch (error) {
    if (error instanceof RunError) throw new RunError(`${name}: ${error.message}`);
    throw error;
  }
}

/** The bytes of a .nii file; of RGB the three bytes of a voxel lie together. */
export function writeNiftiFile(
  geometry: Geometry,
  data: VoxelArray,
  content: 'scalar' | 'rgb' = 'scalar',
): Uint8Array<ArrayBuffer> {
  if (data.length !== voxelCount(geometry.size) * (content === 'rgb' ? 3 : 1))
    throw new RangeError(`${data.length} values for ${geometry.size.join(' x ')} voxels`);
  const header = niftiHeader(geometry, voxelTypeOf(data), content);
  const file = new Uint8Array(header.length + data.byteLength);
  file.set(header);
  file.set(bytesOf(data), header.length);
  return file;
}
