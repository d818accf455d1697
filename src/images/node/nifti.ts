/** Reading NIfTI-1, NIfTI-2 and Analyze 7.5 files, one or a pair, gzip or not: images/nifti.ts decodes them, with ITK in its worker. */
import { access } from 'node:fs/promises';
import type { Image } from 'itk-wasm';
import { WorkError } from '../../errors/errors.ts';
import type { LoadedImage, ReadOptions } from '../loaded-image.ts';
import { decodeNifti } from '../nifti.ts';
import { parseNiftiHeader } from '../nifti-header.ts';
import { readBytes } from './gunzip.ts';
import { runItk, timeLimitMs } from './itk.ts';

/** The other file of a .hdr/.img pair. */
async function partnerOf(path: string, from: RegExp, to: string): Promise<string> {
  const base = path.replace(from, '');
  for (const candidate of [`${base}.${to}`, `${base}.${to}.gz`]) {
    if (
      await access(candidate).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  }
  throw new WorkError(`its other half ${base}.${to}[.gz] is missing`);
}

/** Reads a `.nii`, `.hdr` or `.img` file, or those with `.gz`. @throws WorkError with the reason, without the file's name */
export async function readNifti(path: string, options: ReadOptions): Promise<LoadedImage> {
  const isPair = /\.(hdr|img)(\.gz)?$/i.test(path);
  const headerPath = /\.img(\.gz)?$/i.test(path) ? await partnerOf(path, /\.img(\.gz)?$/i, 'hdr') : path;
  const headerBytes = await readBytes(headerPath);
  const header = parseNiftiHeader(headerBytes, isPair);
  const voxelBytes = header.pair ? await readBytes(await partnerOf(path, /\.(hdr|img)(\.gz)?$/i, 'img')) : headerBytes;
  return decodeNifti({ path, header, voxelBytes, options, decode });
}

async function decode(file: Uint8Array): Promise<Image> {
  const [, image] = await runItk({
    pipeline: ['@itk-wasm/image-io', 'nifti-read-image'],
    args: ['image.nii', '0', '1', '--memory-io'],
    outputs: [{ type: 'JsonCompatible' }, { type: 'Image' }],
    files: [{ path: 'image.nii', data: file }],
    timeLimitMs: timeLimitMs(file.length),
  });
  return image as Image;
}
