/** NIfTI-1, NIfTI-2 and Analyze 7.5 files, one or a pair, gzip or not. */
import { type ByteSource, headOf } from './bytes.ts';
import type { FileStore } from './file-store.ts';
import { niftiImage } from './nifti.ts';
import { NIFTI_HEADER_BYTES, parseNiftiHeader } from './nifti-header.ts';
import { type OpenFile, opened } from './open-file.ts';
import { isVoxelHalf, recognise } from './recognise.ts';

const HALF = /\.(hdr|img)(\.gz)?$/i;
const PAIR = /\.(nii|hdr|img)(\.gz)?$/i;

/** Where the other half of a pair lies. @throws RunError if it is missing */
const findHalf = (files: FileStore, path: string, ending: 'hdr' | 'img'): Promise<string> =>
  files.beside(
    path,
    (name) => [ending, ending.toUpperCase()].flatMap((end) => ['', '.gz'].map((zip) => `${name.replace(PAIR, '')}.${end}${zip}`)),
    ([first]) => `its other half is missing: looked for ${first}[.gz]`,
  );

/** The other half of a `.hdr` or `.img` file; null for any other. @throws RunError if it is missing */
export async function otherHalf(files: FileStore, path: string): Promise<string | null> {
  const [, ending] = HALF.exec(path) ?? [];
  return ending === undefined ? null : findHalf(files, path, ending.toLowerCase() === 'hdr' ? 'img' : 'hdr');
}

/**
 * Opens a `.nii`, `.hdr` or `.img` file, or those with `.gz`; of a pair either.
 * @param file the bytes of `path`
 * @throws RunError with the reason, without the file's name
 */
export async function openNifti(files: FileStore, path: string, file: ByteSource, warnings: Set<string>): Promise<OpenFile> {
  const partner = async (ending: 'hdr' | 'img'): Promise<ByteSource> => {
    const found = await findHalf(files, path, ending);
    return { ...(await files.unzipped(found, warnings)), name: found };
  };
  const first = await headOf(file, NIFTI_HEADER_BYTES);
  const voxelsFirst = isVoxelHalf(path) && recognise(first) !== 'NIfTI';
  const head = voxelsFirst ? await headOf(await partner('hdr'), NIFTI_HEADER_BYTES) : first;
  const header = parseNiftiHeader(head, HALF.test(path));
  const source = !header.pair || voxelsFirst ? file : await partner('img');
  return opened(niftiImage(header), source, header.voxOffset, warnings);
}
