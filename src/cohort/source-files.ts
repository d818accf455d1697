/** The files that an image lies in, and what they hold as a hash. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { ImageSource } from '../images/node/find.ts';
import { isFile } from '../node/files.ts';
import type { FileContent } from './cohort.ts';

/** Header files that name the files of their voxels come within this. */
const HEADER_BYTES = 2 ** 16;

/** The files that a MetaImage or NRRD header names for its voxels: one, or a list. Not those that a pattern stands for. */
async function detachedFiles(path: string): Promise<string[]> {
  const file = await open(path).catch(() => undefined);
  if (!file) return [];
  const { bytesRead, buffer } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0).finally(() => file.close());
  const text = buffer.toString('latin1', 0, bytesRead);
  const [, named, rest] = /^(?:ElementDataFile[ \t]*=|data ?file:)[ \t]*(.*?)[ \t]*\r?$([\s\S]*)/im.exec(text) ?? [];
  if (named === undefined || /^LOCAL$/i.test(named)) return [];
  const names = /^LIST\b/i.test(named) ? (rest ?? '').split(/\r?\n/) : [named];
  const paths = names.filter((name) => name.trim() !== '').map((name) => resolve(dirname(path), name.trim()));
  const there = await Promise.all(paths.map(isFile));
  return paths.filter((_, k) => there[k]);
}

/** The files of an image in order: one, a header and its voxels, or those of a DICOM stack. */
export async function filesOf(source: ImageSource): Promise<readonly string[]> {
  if (source.kind === 'dicom') return source.files.map(({ path }) => path);
  if (/\.(mhd|nhdr)$/i.test(source.path)) return [source.path, ...(await detachedFiles(source.path))];
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
