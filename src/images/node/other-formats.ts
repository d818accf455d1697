/** Reading NRRD, MetaImage (MHA, MHD) and FreeSurfer's MGH and MGZ: checks first, then ITK. */
import { dirname, resolve } from 'node:path';
import type { Image } from 'itk-wasm';
import { WorkError } from '../../errors/errors.ts';
import { shearAngleDeg } from '../../geometry/orientation.ts';
import { checkedVolume, geometryOfItk, type LoadedImage, type ReadOptions, scalarData } from '../loaded-image.ts';
import { MAX_IMAGE_BYTES } from '../nifti.ts';
import { readBytes } from './gunzip.ts';
import { type ItkRun, runItk, timeLimitMs } from './itk.ts';
import { readTextHeader } from './text-header.ts';

const IMAGE_OUTPUT: ItkRun['outputs'] = [{ type: 'JsonCompatible' }, { type: 'Image' }];

const severalVolumes = (dims: readonly number[], count: number): WorkError =>
  new WorkError(`it holds ${count} volumes (${dims.join(' x ')}), expected one: save the one that you need as a file of its own`);

/** Reads .nrrd, .nhdr, .mha and .mhd. @throws WorkError with the reason, without the file's name */
export async function readTextHeaded(path: string, kind: 'NRRD' | 'MetaImage', options: ReadOptions): Promise<LoadedImage> {
  const absolute = resolve(path);
  const header = await readTextHeader(absolute, kind);
  const [, result] = await runItk({
    pipeline: ['@itk-wasm/image-io', kind === 'NRRD' ? 'nrrd-read-image' : 'meta-read-image'],
    args: [absolute, '0', '1', '--memory-io'],
    outputs: IMAGE_OUTPUT,
    folders: [dirname(absolute)],
    timeLimitMs: timeLimitMs(header.dims.reduce((a, b) => a * b, 8)),
  });
  const image = result as Image | undefined;
  if (!image?.size?.length) throw new WorkError('ITK cannot read it');
  const notes: string[] = [];
  const data = scalarData(image);
  const volumesInFile = image.size.slice(3).reduce((a, b) => a * b, 1);
  if (volumesInFile > 1) {
    if (!options.firstVolume) throw severalVolumes(image.size, volumesInFile);
    notes.push(`${image.size.length} dimensions (${image.size.join(' x ')}): ${volumesInFile} volumes, the first is described`);
  }
  const geometry = geometryOfItk(image);
  if (kind === 'NRRD' && !header.fields.has('space') && !header.fields.has('space dimension'))
    notes.push('no orientation in its header (no "space"): axes taken as LPS as ITK does; left and right may be swapped');
  const shear = shearAngleDeg(geometry.direction);
  if (shear > 0.5) notes.push(`its axes are sheared by ${shear.toFixed(1)} degrees (kept: positions are exact)`);
  const first = data.subarray(0, data.length / volumesInFile);
  return { path, format: kind, storedType: header.storedType, volume: checkedVolume(geometry, first), volumesInFile, notes };
}

/** MGH's voxel types: name and bytes. */
const MGH_TYPES: Readonly<Record<number, readonly [string, number]>> = {
  0: ['uint8', 1],
  1: ['int32', 4],
  3: ['float32', 4],
  4: ['int16', 2],
};
const MGH_DATA_OFFSET = 284;

/** Reads .mgh and .mgz. @throws WorkError with the reason, without the file's name */
export async function readMgh(path: string, options: ReadOptions): Promise<LoadedImage> {
  const bytes = await readBytes(path);
  if (bytes.length < MGH_DATA_OFFSET)
    throw new WorkError(`not MGH: ${bytes.length} bytes, expected a header of ${MGH_DATA_OFFSET}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, nx, ny, nz, frames, code] = [0, 4, 8, 12, 16, 20].map((at) => view.getInt32(at));
  if (version !== 1) throw new WorkError(`not MGH: its version field is ${version}, expected 1`);
  const dims = frames > 1 ? [nx, ny, nz, frames] : [nx, ny, nz];
  if (!dims.every((n) => n > 0)) throw new WorkError(`its size is ${dims.join(' x ')}: damaged`);
  const type = MGH_TYPES[code];
  if (!type) throw new WorkError(`its voxel type is number ${code}, expected 0, 1, 3 or 4`);
  const needed = nx * ny * nz * frames * type[1];
  if (needed > MAX_IMAGE_BYTES) throw new WorkError(`its size ${dims.join(' x ')} is more than can be read here`);
  if (needed > bytes.length - MGH_DATA_OFFSET)
    throw new WorkError(
      `its header announces ${needed} bytes of voxels, but ${bytes.length - MGH_DATA_OFFSET} are there: truncated or damaged`,
    );
  const notes: string[] = [];
  if (frames > 1) {
    if (!options.firstVolume) throw severalVolumes(dims, frames);
    notes.push(`4 dimensions (${dims.join(' x ')}): ${frames} volumes, the first is described`);
    view.setInt32(16, 1);
  }
  if (view.getInt16(28) !== 1) notes.push('no orientation in its header: FreeSurfer’s default (coronal slices) is taken');
  const [, result] = await runItk({
    pipeline: ['@itk-wasm/image-io', 'mgh-read-image'],
    args: ['image.mgh', '0', '1', '--memory-io'],
    outputs: IMAGE_OUTPUT,
    files: [{ path: 'image.mgh', data: bytes }],
    timeLimitMs: timeLimitMs(bytes.length),
  });
  const image = result as Image;
  const volume = checkedVolume(geometryOfItk(image), scalarData(image));
  return { path, format: 'MGH', storedType: type[0], volume, volumesInFile: frames, notes };
}
