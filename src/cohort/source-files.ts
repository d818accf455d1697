/** The files that an image lies in, and what they hold as a hash. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { ImageSource } from '../images/node/find.ts';
import type { FileContent } from './cohort.ts';

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

/** The files of an image in order: one, the two of a pair (.hdr, .img), or those of a DICOM stack. */
export async function filesOf(source: ImageSource): Promise<readonly string[]> {
  if (source.kind === 'dicom') return source.files.map(({ path }) => path);
  const [, base, ending] = /^(.*)\.(hdr|img)(?:\.gz)?$/i.exec(source.path) ?? [];
  if (base === undefined) return [source.path];
  const partner = ending!.toLowerCase() === 'hdr' ? 'img' : 'hdr';
  for (const path of [`${base}.${partner}`, `${base}.${partner}.gz`]) if (await isFile(path)) return [source.path, path];
  return [source.path];
}

/** The size and hash of files, one after the other. */
export async function contentOf(paths: readonly string[]): Promise<FileContent> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for (const path of paths)
    for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      hash.update(piece);
      sizeBytes += piece.length;
    }
  return { sizeBytes, sha256: hash.digest('hex') };
}
