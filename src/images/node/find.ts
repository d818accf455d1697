/** Finding the images of a folder: files by their names' endings, DICOM series by their headers. Hidden files are left out (`._*` too). */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { WorkError } from '../../errors/errors.ts';
import { type DicomFile, groupSeries, isDicomFile, readDicomHeader } from './dicom-header.ts';

/** An image to read. */
export type ImageSource =
  | { readonly kind: 'file'; readonly path: string }
  /** One stack of a DICOM folder. `name` tells the stacks of a folder apart. */
  | { readonly kind: 'dicom'; readonly path: string; readonly name: string; readonly files: readonly DicomFile[] };

export interface Found {
  readonly images: readonly ImageSource[];
  /** Files that look like images but could not even be looked at. */
  readonly refused: readonly { readonly path: string; readonly reason: string }[];
}

/** Endings of the files that readImage reads; .img only as the half of a pair. */
const IMAGE_NAME = /\.(nii|nii\.gz|hdr|hdr\.gz|nrrd|nhdr|mha|mhd|mgh|mgz|mgh\.gz)$/i;
const VOXEL_HALF = /\.img(\.gz)?$/i;
const DICOM_NAME = /\.(dcm|dicom|ima)$/i;

/** The name without folder and image ending: 'a/heart-ct.nii.gz' gives 'heart-ct'. */
export const imageStem = (path: string): string =>
  basename(path).replace(IMAGE_NAME, '').replace(VOXEL_HALF, '').replace(DICOM_NAME, '');

export const isImageName = (path: string): boolean => IMAGE_NAME.test(path) || VOXEL_HALF.test(path);

/** Every image below `folder`, sorted by path. @throws WorkError if the folder cannot be listed */
export async function findImages(folder: string): Promise<Found> {
  const images: ImageSource[] = [];
  const refused: { path: string; reason: string }[] = [];
  const visited = new Set<string>();

  async function visit(path: string): Promise<void> {
    const real = await realpath(path);
    if (visited.has(real)) return;
    visited.add(real);
    const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort();
    const folders: string[] = [];
    const dicom: string[] = [];
    for (const name of names) {
      const child = join(path, name);
      const facts = await stat(child).catch(() => undefined);
      if (!facts) refused.push({ path: child, reason: 'cannot be opened (a broken link?)' });
      else if (facts.isDirectory()) folders.push(child);
      else if (!facts.isFile()) continue;
      else if (IMAGE_NAME.test(name)) images.push({ kind: 'file', path: child });
      else if (VOXEL_HALF.test(name)) {
        const base = name.replace(VOXEL_HALF, '').toLowerCase();
        const hasHeader = names.some((n) => n.toLowerCase() === `${base}.hdr` || n.toLowerCase() === `${base}.hdr.gz`);
        if (!hasHeader) images.push({ kind: 'file', path: child });
      } else if (DICOM_NAME.test(name) || extname(name) === '' || !/\.[a-z]\w{1,4}$/i.test(name)) {
        if (DICOM_NAME.test(name) || (await isDicomFile(child).catch(() => false))) dicom.push(child);
      }
    }
    if (dicom.length > 0) {
      const series = await seriesOfFiles(path, dicom);
      images.push(...series.images);
      refused.push(...series.refused);
    }
    for (const child of folders) await visit(child);
  }

  try {
    await visit(folder);
  } catch (error) {
    throw new WorkError(`${folder}: cannot be listed (${(error as Error).message})`);
  }
  return { images, refused };
}

async function seriesOfFiles(folder: string, paths: readonly string[]): Promise<Found> {
  const headers: DicomFile[] = [];
  const refused: { path: string; reason: string }[] = [];
  for (const path of paths) {
    try {
      const header = await readDicomHeader(path);
      if (header) headers.push(header);
    } catch (error) {
      if (!(error instanceof WorkError)) throw error;
      refused.push({ path, reason: error.message });
    }
  }
  const groups = groupSeries(headers);
  const images = groups.map((files, k): ImageSource => {
    const name = groups.length > 1 ? `series-${k + 1}` : '';
    return { kind: 'dicom', path: folder, name, files };
  });
  return { images, refused };
}

/** The stacks of the DICOM files directly in `folder`. */
export async function findDicomSeries(folder: string): Promise<Found> {
  const paths: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    if (name.startsWith('.') || !(await stat(path)).isFile()) continue;
    if (DICOM_NAME.test(name) || (await isDicomFile(path))) paths.push(path);
  }
  return seriesOfFiles(folder, paths);
}
