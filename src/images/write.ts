/**
 * Writing volumes and displacement fields as NIfTI (.nii, .nii.gz) and NRRD (.nrrd), atomically.
 *
 * ITK writes the bytes, in memory. NIfTI's sform is then set exactly from the grid: ITK can store only perpendicular axes there.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Image } from 'itk-wasm';
import { UsageError } from '../errors/errors.ts';
import { nearestOrthogonal, voxelToPhysical } from '../geometry/affine.ts';
import { type Geometry, type Volume, type VoxelArray, voxelCount } from '../geometry/volume.ts';
import { writeFileAtomic } from '../node/files.ts';
import { runItk, timeLimitMs } from './itk.ts';

const COMPONENTS = {
  Float32Array: 'float32',
  Float64Array: 'float64',
  Int8Array: 'int8',
  Uint8Array: 'uint8',
  Int16Array: 'int16',
  Uint16Array: 'uint16',
  Int32Array: 'int32',
  Uint32Array: 'uint32',
} as const;

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
  if (data.length !== voxelCount(geometry.size) * components)
    throw new RangeError(`writing ${path}: ${data.length} values for ${geometry.size.join(' x ')} voxels of ${components}`);
  const image = new Image({
    dimension: 3,
    componentType: COMPONENTS[data.constructor.name as keyof typeof COMPONENTS],
    pixelType: components === 1 ? 'Scalar' : 'Vector',
    components,
  });
  image.size = [...geometry.size];
  image.spacing = [...geometry.spacingMm];
  image.origin = [...geometry.originMm];
  image.direction = Float64Array.from(format === 'nifti' ? nearestOrthogonal(geometry.direction) : geometry.direction);
  // ITK-Wasm takes the whole buffer behind an array, so a view of a part must be copied
  image.data = (data.byteLength === data.buffer.byteLength ? data : data.slice()) as NonNullable<Image['data']>;
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

/** Writes the exact voxel-to-RAS matrix into a little-endian NIfTI-1 header (nifti1.h: srow at 280, sform_code at 254). */
function setSform(bytes: Uint8Array, geometry: Geometry): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { matrix, offset } = voxelToPhysical(geometry);
  for (let row = 0; row < 3; row++) {
    const sign = row < 2 ? -1 : 1;
    for (let k = 0; k < 3; k++) view.setFloat32(280 + 16 * row + 4 * k, sign * matrix[row * 3 + k] + 0, true);
    view.setFloat32(280 + 16 * row + 12, sign * offset[row] + 0, true);
  }
  view.setInt16(254, 1, true);
}
