/** NIfTI-1, NIfTI-2 and Analyze 7.5 files, one or a pair, gzip or not. */
import { headOf } from '../bytes.ts';
import { niftiImage } from '../nifti.ts';
import { NIFTI_HEADER_BYTES, parseNiftiHeader } from '../nifti-header.ts';
import { maybeGzipped } from './file-bytes.ts';
import { findBeside } from './find-beside.ts';
import { type OpenFile, opened } from './open-file.ts';

const HALF = /\.(hdr|img)(\.gz)?$/i;

/** Opens a `.nii`, `.hdr` or `.img` file, or those with `.gz`. @throws WorkError with the reason, without the file's name */
export async function openNifti(path: string): Promise<OpenFile> {
  const notes = new Set<string>();
  const partner = (ending: 'hdr' | 'img'): Promise<string> =>
    findBeside(
      path,
      (name) =>
        [ending, ending.toUpperCase()].flatMap((end) => ['', '.gz'].map((zip) => `${name.replace(HALF, '')}.${end}${zip}`)),
      ([first]) => `its other half is missing: looked for ${first}[.gz]`,
    );
  const headerPath = /\.img(\.gz)?$/i.test(path) ? await partner('hdr') : path;
  const file = await maybeGzipped(headerPath, notes);
  const header = parseNiftiHeader(await headOf(file, NIFTI_HEADER_BYTES), HALF.test(path));
  const source = header.pair ? await maybeGzipped(await partner('img'), notes) : file;
  return opened(niftiImage(header), source, header.voxOffset, notes);
}
