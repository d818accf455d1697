/** Files that another file names, or that belong to it. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { MachineError, RunError } from '../../common/errors.ts';
import { openingError } from './file-bytes.ts';

/**
 * The first that is there of the files that go with `path`; where `path` is a link, also of those that go with what it links to.
 * @param namesFor their names, given that of the file: absolute, or as seen from its folder
 * @param missing what to say otherwise; is told the places that were tried
 */
export async function findBeside(
  path: string,
  namesFor: (name: string) => readonly string[],
  missing: (tried: readonly string[]) => string,
): Promise<string> {
  const here = resolve(path);
  const tried: string[] = [];
  for (const place of new Set([here, await realpath(here).catch(() => here)])) {
    for (const name of namesFor(basename(place))) {
      const candidate = resolve(dirname(place), name);
      const facts = await stat(candidate).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
        const trouble = openingError(candidate, error);
        throw trouble instanceof MachineError ? trouble : new RunError(`${candidate}: ${trouble.message}`);
      });
      if (facts) return candidate;
      tried.push(candidate);
    }
  }
  throw new RunError(missing(tried));
}
