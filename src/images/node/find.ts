/**
 * Finding the images of a folder. DICOM is known by content, whatever the files are called, and files of one series belong together in
 * whichever sub-folders they lie; other formats are known by their names' endings. Hidden files are left out, unless they hold DICOM.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { MachineError, RunError } from '../../common/errors.ts';
import { isMachineTrouble, machineError } from '../../platform/node/machine.ts';
import { isVoxelHalf, kindOfName, withoutEnding } from '../recognise.ts';
import { type DicomSource, dicomSources, isDicomFile, type NotRead } from './dicom.ts';
import { openingError } from './file-bytes.ts';

/** An image to read. */
export type ImageSource = { readonly kind: 'file'; readonly path: string } | DicomSource;

export interface Found {
  /** Sorted by path. */
  readonly images: readonly ImageSource[];
  /** Files that should be images but could not be looked at: damaged, truncated, no permission. */
  readonly refused: readonly NotRead[];
  /** Files that were recognised as something else, with what they are: DICOM SEG, structured report, dose, hidden file, ... */
  readonly passedOver: readonly NotRead[];
}

/** What systems leave in folders, and what a killed process of ours leaves. */
const LITTER = /^(\._.*|\.DS_Store|\..*\.part|Thumbs\.db|desktop\.ini)$/i;

/** The name without folder and image ending: 'a/heart-ct.nii.gz' gives 'heart-ct', and so does 'a/heart-ct.dcm.nii.gz'. */
export function imageStem(path: string): string {
  const stem = withoutEnding(basename(path));
  return isImageName(path) && kindOfName(stem) === 'DICOM' ? withoutEnding(stem) : stem;
}

/** Whether a file's name is that of an image other than DICOM. */
export const isImageName = (path: string): boolean => ![null, 'DICOM'].includes(kindOfName(path));

const isForbidden = (error: unknown): boolean => ['EACCES', 'EPERM'].includes(String((error as NodeJS.ErrnoException).code));

/** Every image below `folder`, sorted by path. @throws RunError if the folder cannot be listed */
export async function findImages(folder: string): Promise<Found> {
  const files: ImageSource[] = [];
  const dicom: string[] = [];
  const refused: NotRead[] = [];
  const passedOver: NotRead[] = [];
  const visited = new Set<string>();

  async function look(name: string, path: string, names: readonly string[]): Promise<void> {
    if (LITTER.test(name)) return;
    const isDicom = await isDicomFile(path).catch((error) => {
      if (error instanceof MachineError || !(error instanceof RunError)) throw error;
      // what cannot be opened is refused as what its name says it is; without an ending it may be a slice
      if (!isImageName(name) && !/\.[a-z]\w{1,4}$/i.test(name)) refused.push({ path, reason: error.message });
      return false;
    });
    if (isDicom || (kindOfName(name) === 'DICOM' && !name.startsWith('.'))) dicom.push(path);
    else if (name.startsWith('.')) passedOver.push({ path, reason: 'a hidden file' });
    else if (isVoxelHalf(name)) {
      const base = withoutEnding(name).toLowerCase();
      const hasHeader = names.some((n) => n.toLowerCase() === `${base}.hdr` || n.toLowerCase() === `${base}.hdr.gz`);
      if (!hasHeader) files.push({ kind: 'file', path });
    } else if (isImageName(name)) files.push({ kind: 'file', path });
  }

  async function visit(path: string): Promise<void> {
    const real = await realpath(path);
    if (visited.has(real)) return;
    visited.add(real);
    const names = (await readdir(path)).sort();
    const folders: string[] = [];
    for (const name of names) {
      const child = join(path, name);
      const facts = await stat(child).catch((error: NodeJS.ErrnoException) => {
        const trouble = openingError(child, error);
        if (trouble instanceof MachineError) throw trouble;
        return error.code === 'ENOENT' ? new RunError('cannot be opened (a broken link?)') : trouble;
      });
      if (facts instanceof Error) {
        if (!name.startsWith('.')) refused.push({ path: child, reason: facts.message });
      } else if (facts.isDirectory()) {
        if (name.startsWith('.')) passedOver.push({ path: child, reason: 'a hidden folder' });
        else folders.push(child);
      } else if (facts.isFile()) await look(name, child, names);
    }
    for (const child of folders) {
      try {
        await visit(child);
      } catch (error) {
        // a folder that is not ours to list ends no search
        if (error instanceof RunError || !isForbidden(error)) throw error;
        refused.push({ path: child, reason: 'a folder that cannot be listed: no permission' });
      }
    }
  }

  try {
    await visit(folder);
  } catch (error) {
    if (error instanceof RunError) throw error;
    if (isMachineTrouble(error) && !isForbidden(error)) throw machineError(folder, error);
    throw new RunError(`${folder}: cannot list folder (${(error as Error).message})`);
  }
  const series = await dicomSources(dicom);
  const images = [...files, ...series.images];
  const key = (image: ImageSource): string => (image.kind === 'dicom' ? join(image.path, image.name) : image.path);
  const order = new Intl.Collator('en', { numeric: true });
  return {
    images: images.sort((a, b) => order.compare(key(a), key(b)) || (key(a) < key(b) ? -1 : 1)),
    refused: [...refused, ...series.refused],
    passedOver: [...passedOver, ...series.passedOver],
  };
}

/** The stacks of the DICOM series that `folder` is: its own files, and what its sub-folders hold of the same series. */
export async function findDicomSeries(folder: string): Promise<Found> {
  return seriesOfFolder(folder, await findImages(folder));
}

/** Of what was found below `folder`, the DICOM series that `folder` itself is; none if its sub-folders hold series of their own. */
export function seriesOfFolder(folder: string, { images, refused, passedOver }: Found): Found {
  const here = resolve(folder);
  const own = images.filter((image) => image.kind === 'dicom' && resolve(image.path) === here);
  const folders = new Set([
    here,
    ...own.flatMap((image) => (image.kind === 'dicom' ? image.files : [])).map((f) => resolve(dirname(f.path))),
  ]);
  const nearby = ({ path }: NotRead): boolean => folders.has(resolve(dirname(path)));
  return {
    images: own,
    refused: refused.filter((entry) => nearby(entry) && !isImageName(entry.path)),
    passedOver: passedOver.filter(nearby),
  };
}
