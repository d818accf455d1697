/**
 * Reading any image: NIfTI-1 and -2, Analyze, NRRD, MetaImage, MGH and DICOM, as a volume in LPS millimetres.
 *
 * One way in for every format; what a file lacks or what is odd about it is said in `notes`, what cannot be right is refused with the
 * reason. Nothing is ever written beside the input.
 */
import { stat } from 'node:fs/promises';
import { WorkError } from '../../errors/errors.ts';
import type { LoadedImage, ReadOptions } from '../loaded-image.ts';
import { readDicomFile, readDicomStack } from './dicom.ts';
import { isDicomFile } from './dicom-header.ts';
import { findDicomSeries, type ImageSource } from './find.ts';
import { readNifti } from './nifti.ts';
import { readMgh, readTextHeaded } from './other-formats.ts';

export const READABLE =
  '.nii, .nii.gz, .hdr/.img, .nrrd, .nhdr, .mha, .mhd, .mgh, .mgz, a DICOM file or a folder with a DICOM series';

/**
 * Reads an image file, or the DICOM series of a folder. Of a folder with several series the one with most slices is read and the others
 * are named in `notes`.
 * @throws WorkError that names the file and why it cannot be read
 */
export async function readImage(source: string | ImageSource, options: ReadOptions = {}): Promise<LoadedImage> {
  const path = typeof source === 'string' ? source : source.path;
  try {
    if (typeof source !== 'string' && source.kind === 'dicom') return await readDicomStack(source.files, source.path);
    return await readPath(path, options);
  } catch (error) {
    if (error instanceof WorkError) throw new WorkError(`${path}: ${error.message}`);
    throw error;
  }
}

async function readPath(path: string, options: ReadOptions): Promise<LoadedImage> {
  const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new WorkError(error.code === 'ENOENT' ? 'no such file or folder' : `cannot be opened (${error.code})`);
  });
  if (facts.isDirectory()) return readFolder(path);
  if (!facts.isFile()) throw new WorkError('neither a file nor a folder');
  if (/\.(nii|hdr|img)(\.gz)?$/i.test(path)) return readNifti(path, options);
  if (/\.(nrrd|nhdr)$/i.test(path)) return readTextHeaded(path, 'NRRD', options);
  if (/\.(mha|mhd)$/i.test(path)) return readTextHeaded(path, 'MetaImage', options);
  if (/\.(mgh|mgz|mgh\.gz)$/i.test(path)) return readMgh(path, options);
  if (facts.size === 0) throw new WorkError('it is empty (0 bytes)');
  if (/\.(dcm|dicom|ima)$/i.test(path) || (await isDicomFile(path))) return readDicomFile(path);
  throw new WorkError(`not a format that is read here: expected ${READABLE}`);
}

async function readFolder(path: string): Promise<LoadedImage> {
  const { images, refused } = await findDicomSeries(path);
  if (refused.length > 0) throw new WorkError(`its slice ${refused[0].path}: ${refused[0].reason}`);
  const stacks = images.filter((image) => image.kind === 'dicom');
  if (stacks.length === 0) throw new WorkError(`no DICOM slices in this folder; expected ${READABLE}`);
  const loaded = await readDicomStack(stacks[0].files, path);
  if (stacks.length === 1) return loaded;
  const others = stacks
    .slice(1)
    .map((s) => `${s.files.length} slices${s.files[0].description ? ` "${s.files[0].description}"` : ''}`);
  const note = `${stacks.length} DICOM series in the folder: the one with most slices (${stacks[0].files.length}) is read; left out: ${others.join(', ')}`;
  return { ...loaded, notes: [note, ...loaded.notes] };
}
