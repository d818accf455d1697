/** NIfTI files as bytes in memory, read and written anywhere: a page has no other files. */
import { RunError } from '../common/errors.ts';
import { type Geometry, type VoxelArray, voxelCount } from '../geometry/volume.ts';
import { inflatedSource, isGzip } from './blob-files.ts';
import { headOf, memorySource } from './bytes.ts';
import type { LoadedImage } from './loaded-image.ts';
import { niftiImage } from './nifti.ts';
import { NIFTI_HEADER_BYTES, parseNiftiHeader } from './nifti-header.ts';
import { type NiftiContent, niftiHeader } from './nifti-writing.ts';
import { loadFile, opened } from './open-file.ts';
import { recognise } from './recognise.ts';
import { bytesOf, voxelTypeOf } from './stored-image.ts';

/** Reads a .nii or .nii.gz file. @throws RunError naming it and what is wrong with it */
export async function readNiftiFile(name: string, buffer: ArrayBuffer): Promise<LoadedImage> {
  try {
    if (buffer.byteLength === 0) throw new RunError('it is empty (0 bytes)');
    const bytes = new Uint8Array(buffer);
    const source = isGzip(bytes) ? inflatedSource(memorySource(bytes)) : memorySource(bytes);
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

/**
 * The bytes of a .nii file; of RGB the three bytes of a voxel lie together, and of vectors (mm, LPS) their components, which the file has one after the
 * other, as ITK and ANTs do.
 */
export function writeNiftiFile(geometry: Geometry, data: VoxelArray, content: NiftiContent = 'scalar'): Uint8Array<ArrayBuffer> {
  const voxels = voxelCount(geometry.size);
  if (data.length !== voxels * (content === 'scalar' ? 1 : 3))
    throw new RangeError(`${data.length} values for ${geometry.size.join(' x ')} voxels`);
  const header = niftiHeader(geometry, voxelTypeOf(data), content);
  const file = new Uint8Array(header.length + data.byteLength);
  file.set(header);
  if (content !== 'vector') file.set(bytesOf(data), header.length);
  else
    for (let k = 0; k < 3; k++) {
      const component = data.filter((_, at) => at % 3 === k);
      file.set(bytesOf(component), header.length + k * component.byteLength);
    }
  return file;
}
