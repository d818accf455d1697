/** NIfTI files in the browser: ITK's own reader and writer, as the command line has them, served beside the page. */
import { type Image, runPipeline } from 'itk-wasm';
import { WorkError } from '../errors/errors.ts';
import type { Geometry, VoxelArray } from '../geometry/volume.ts';
import { itkImage, setSform } from '../images/itk-image.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { decodeNifti, MAX_IMAGE_BYTES } from '../images/nifti.ts';
import { parseNiftiHeader } from '../images/nifti-header.ts';

/** Where vite.config.ts puts the pipelines. */
const OPTIONS = { webWorker: false as const, pipelineBaseUrl: new URL(/* @vite-ignore */ '../pipelines', import.meta.url) };

async function unzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value as Uint8Array<ArrayBuffer>);
      length += part.value.length;
      if (length > MAX_IMAGE_BYTES) throw new WorkError(`it holds more than ${MAX_IMAGE_BYTES / 2 ** 30} GiB when decompressed`);
    }
  } catch (error) {
    if (error instanceof WorkError) throw error;
    throw new WorkError('its compressed stream is damaged or truncated');
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** DICOM's mark behind 128 free bytes, where a NIfTI header has its own fields. */
const isDicom = (bytes: Uint8Array): boolean => String.fromCharCode(...bytes.subarray(128, 132)) === 'DICM';

async function decode(file: Uint8Array): Promise<Image> {
  const { outputs } = await runPipeline(
    'nifti-read-image',
    ['image.nii', '0', '1', '--memory-io'],
    [{ type: 'JsonCompatible' }, { type: 'Image' }],
    [{ type: 'BinaryFile', data: { path: 'image.nii', data: file } }],
    OPTIONS,
  );
  return outputs[1]!.data as Image;
}

/** Reads a .nii or .nii.gz file. @throws WorkError naming it and what is wrong with it */
export async function readNiftiFile(name: string, bytes: ArrayBuffer): Promise<LoadedImage> {
  try {
    if (bytes.byteLength === 0) throw new WorkError('it is empty (0 bytes)');
    const voxelBytes = await unzipped(new Uint8Array(bytes));
    if (isDicom(voxelBytes)) throw new WorkError('it is DICOM, and this page reads NIfTI; gvsl segment reads folders of DICOM');
    const header = parseNiftiHeader(voxelBytes, false);
    if (header.pair) throw new WorkError('its voxels are in another file (.img): save it as one .nii file');
    return await decodeNifti({ path: name, header, voxelBytes, options: {}, decode });
  } catch (error) {
    if (error instanceof WorkError) throw new WorkError(`${name}: ${error.message}`);
    throw error;
  }
}

/** The bytes of a .nii file with the grid exact. */
export async function writeNiftiFile(
  geometry: Geometry,
  data: VoxelArray,
  pixelType: 'Scalar' | 'RGB' = 'Scalar',
): Promise<Uint8Array<ArrayBuffer>> {
  const { outputs } = await runPipeline(
    'nifti-write-image',
    ['0', '0', 'image.nii', '--memory-io'],
    [{ type: 'JsonCompatible' }, { type: 'BinaryFile', data: { path: 'image.nii', data: new Uint8Array() } }],
    [{ type: 'Image', data: itkImage(geometry, data, pixelType, true) }],
    OPTIONS,
  );
  const bytes = Uint8Array.from((outputs[1]!.data as { data: Uint8Array }).data);
  setSform(bytes, geometry);
  return bytes;
}
