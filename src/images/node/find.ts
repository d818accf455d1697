/**
 * Finding the images of a folder. DICOM is known by content, whatever the files are called, and files of one series belong together in
 * whichever sub-folders they lie; other formats are known by their names' endings. Hidden files are left out, unless they hold DICOM.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { MachineError, RunError } from '../../common/errors.ts';
import { isMachineTrouble, machineError } from '../../platform/node/machine.ts';
import type { NotRead } from '../dicom/sources.ts';
import { type Found, ImageSearch } from '../find-images.ts';
import { isImageName, stemOfName } from '../recognise.ts';
import { DISK } from './disk.ts';
import { openingError } from './file-bytes.ts';

/** The name without folder and image ending: 'a/heart-ct.nii.gz' gives 'heart-ct', and so does 'a/heart-ct.dcm.nii.gz'. */
export const imageStem = (path: string): string => stemOfName(basename(path));

const isForbidden = (error: unknown): boolean => ['EACCES', 'EPERM'].includes(String((error as NodeJS.ErrnoException).code));

/** Every image below `folder`, sorted by path. @throws RunError if the folder cannot be listed */
export async function findImages(folder: string): Promise<Found> {
  const search = new ImageSearch(DISK);
  const visited = new Set<string>();

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
        if (!name.startsWith('.')) search.refuse(child, facts.message);
      } else if (facts.isDirectory()) {
        if (name.startsWith('.')) search.passOver(child, 'a hidden folder');
        else folders.push(child);
      } else if (facts.isFile()) await search.look(name, child, names);
    }
    for (const child of folders) {
      try {
        await visit(child);
      } catch (error) {
        // a folder that is not ours to list ends no search
        if (error instanceof RunError || !isForbidden(error)) throw error;
        search.refuse(child, 'a folder that cannot be listed: no permission');
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
  return search.finish();
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
