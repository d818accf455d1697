/** The files of this machine. */
import { dirname, relative, resolve, sep } from 'node:path';
import type { FileStore } from '../file-store.ts';
import { fileSource, inflatedSource, maybeGzipped, randomAccess } from './file-bytes.ts';
import { findBeside } from './find-beside.ts';

export const DISK: FileStore = {
  source: fileSource,
  unzipped: maybeGzipped,
  inflated: inflatedSource,
  access: randomAccess,
  beside: findBeside,
  folderOf: dirname,
  isWithin: (folder, other) => {
    const way = relative(resolve(other), resolve(folder));
    return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || resolve(way) === way);
  },
};
