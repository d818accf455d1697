/**
 * Reading any image: NIfTI-1 and -2, Analyze, NRRD, MetaImage, MGH and DICOM, as a volume in LPS millimetres.
 *
 * One way in for every format; what a file lacks or is unusual about it is said in `warnings`, what cannot be right is refused with the
 * reason. Nothing is ever written beside the input.
 */
import { stat } from 'node:fs/promises';
import { RunError } from '../../common/errors.ts';
import { describeStack, readDicomSource } from '../dicom/sources.ts';
import type { ImageSource } from '../find-images.ts';
import type { LoadedImage, ReadOptions } from '../loaded-image.ts';
import type { OpenFile } from '../open-file.ts';
import { type OpenImage, openedImage } from '../open-image.ts';
import { openImageFile, READABLE } from '../open-image-file.ts';
import { DISK } from './disk.ts';
import { openingError } from './file-bytes.ts';
import { findImages, seriesOfFolder } from './find.ts';

/**
 * Opens an image file, or the DICOM series of a folder, without reading more than its header where the format allows that.
 * @throws RunError that names the file and why it cannot be read
 */
export async function openImage(source: string | ImageSource, options: ReadOptions = {}): Promise<OpenImage> {
  const path = typeof source === 'string' ? source : source.path;
  return openedImage(path, () => openSource(source), options);
}

/**
 * Reads an image file, or the DICOM series of a folder. Of a folder with several series the one with most slices is read and the others
 * are named in `warnings`.
 * @throws RunError that names the file and why it cannot be read
 */
export const readImage = async (source: string | ImageSource, options: ReadOptions = {}): Promise<LoadedImage> =>
  (await openImage(source, options)).load();

async function openSource(source: string | ImageSource): Promise<OpenFile | LoadedImage> {
  if (typeof source === 'string') return openPath(source);
  return source.kind === 'dicom' ? readDicomSource(DISK, source) : openPath(source.path);
}

async function openPath(path: string): Promise<OpenFile | LoadedImage> {
  const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw openingError(path, error);
  });
  return facts.isDirectory() ? readFolder(path) : openImageFile(DISK, path);
}

/** The DICOM series that a folder is, or the only one below it. */
async function readFolder(path: string): Promise<LoadedImage> {
  const found = await findImages(path);
  const own = seriesOfFolder(path, found);
  if (own.refused.length > 0) throw new RunError(`its slice ${own.refused[0].path}: ${own.refused[0].reason}`);
  const stacks = (own.images.length > 0 ? own : found).images.filter((image) => image.kind === 'dicom');
  if (stacks.length === 0) {
    const others = found.passedOver.slice(0, 3).map(({ path: other, reason }) => `${other}: ${reason}`);
    throw new RunError(
      `no DICOM slices in this folder; expected ${READABLE}${others.length > 0 ? `. Skipped: ${others.join('; ')}` : ''}`,
    );
  }
  const [largest, second] = stacks;
  if (second === undefined) return readDicomSource(DISK, largest);
  const name = ({ stack, description, modality }: (typeof stacks)[number]): string =>
    `${modality} ${stack.distinction ? describeStack(stack) : `${stack.frames.length} slices${description ? ` "${description}"` : ''}`}`;
  if (own.images.length === 0 || second.stack.frames.length === largest.stack.frames.length)
    throw new RunError(`it holds ${stacks.length} volumes, expected one: ${stacks.map(name).join('; ')}`);
  const loaded = await readDicomSource(DISK, largest);
  const note = `${stacks.length} DICOM series in the folder: using the one with most slices (${largest.stack.frames.length}); skipped: ${stacks.slice(1).map(name).join(', ')}`;
  return { ...loaded, warnings: [note, ...loaded.warnings] };
}
