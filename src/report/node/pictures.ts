/** A run's pictures, their bytes inside the report. */
import { readdir, readFile } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';
import { pngSize, type RunPictures } from '../pictures.ts';

/** Of the run in `folder`; nothing from outside of it. */
export const embeddedPictures = async (folder: string): Promise<RunPictures> => ({
  names: await readdir(join(folder, 'pictures')).catch(() => []),
  picture: async (path) => {
    if (isAbsolute(path) || normalize(path).startsWith('..')) return undefined;
    const bytes = await readFile(join(folder, path)).catch(() => undefined);
    const size = bytes && pngSize(bytes);
    return size && { uri: `data:image/png;base64,${bytes.toString('base64')}`, ...size };
  },
});
