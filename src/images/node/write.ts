/**
 * Writing volumes and displacement fields as NIfTI (.nii, .nii.gz) and NRRD (.nrrd), atomically.
 *
 * ITK writes the bytes, in memory. NIfTI's sform is then set exactly from the grid: ITK can store only perpendicular axes there.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { UsageError } from '../../errors/errors.ts';
import type { Geometry, Volume, VoxelArray } from '../../geometry/volume.ts';
import { writeFileAtomic } from '../../node/files.ts';
import { itkImage, setSform } from '../itk-image.ts';
import { runItk, timeLimitMs } from './itk.ts';

/** Writes a scalar volume, its number type kept. The name's ending chooses the format. @throws UsageError for another ending */
export const writeImage = (path: string, volume: Volume): Promise<void> => write(path, volume.geometry, volume.data, 1);

/**
 * Writes a displacement field: three float32 values a voxel (x, y, z innermost: `data[voxel * 3 + component]`), millimetres, LPS, as ITK
 * and ANTs read it (NIfTI: a five-dimensional file with vector intent).
 */
export const writeVectorImage = (path: string, geometry: Geometry, data: Float32Array): Promise<void> =>
  write(path, geometry, data, 3);

async function write(path: string, geometry: Geometry, data: VoxelArray, components: 1 | 3): Promise<void> {
  const format = /\.nii(\.gz)?$/i.test(path) ? 'nifti' : /\.nrrd$/i.test(path) ? 'nrrd' : undefined;
  if (!format) throw new UsageError(`${path}: images are written as .nii, .nii.gz or .nrrd; give the file one of these endings`);
  const image = itkImage(geometry, data, components === 1 ? 'Scalar' : 'Vector', format === 'nifti');
  const name = format === 'nifti' ? 'image.nii' : 'image.nrrd';
  const [, result] = await runItk({
    pipeline: ['@itk-wasm/image-io', `${format}-write-image`],
    args: ['0', '0', name, '--memory-io', ...(format === 'nrrd' ? ['--use-compression'] : [])],
    outputs: [{ type: 'JsonCompatible' }, { type: 'BinaryFile', data: { path: name } }],
    image,
    timeLimitMs: timeLimitMs(data.byteLength),
  });
  const bytes = Uint8Array.from((result as { data: Uint8Array }).data);
  if (format === 'nifti') setSform(bytes, geometry);
  const stored = /\.gz$/i.test(path) ? await promisify(gzip)(bytes, { level: 6 }) : bytes;
  await writeFileAtomic(path, stored);
}
