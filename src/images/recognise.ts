/** What a file is, by its first bytes (names lie), and what its name promises. */
import { latin1 } from './data-place.ts';

export type ImageKind = 'DICOM' | 'NIfTI' | 'NRRD' | 'MetaImage' | 'MGH';

const ENDINGS: readonly (readonly [RegExp, ImageKind])[] = [
  [/\.(nii|hdr|img)(\.gz)?$/i, 'NIfTI'],
  [/\.(nrrd|nhdr)(\.gz)?$/i, 'NRRD'],
  [/\.(mha|mhd)(\.gz)?$/i, 'MetaImage'],
  [/\.(mgh|mgz|mgh\.gz)$/i, 'MGH'],
  [/\.(dcm|dicm|dicom|ima)$/i, 'DICOM'],
];

const endingOf = (name: string) => ENDINGS.find(([ending]) => ending.test(name));

/** The kind that a name promises; null if it is no image's. */
export const kindOfName = (name: string): ImageKind | null => endingOf(name)?.[1] ?? null;

/** The voxels of a pair, whose bytes may look like anything. */
export const isVoxelHalf = (name: string): boolean => /\.img(\.gz)?$/i.test(name);

/** A name without its image ending: 'heart-ct.nii.gz' gives 'heart-ct'. */
export const withoutEnding = (name: string): string => name.replace(endingOf(name)?.[0] ?? '', '');

/** Whether a file's name is that of an image other than DICOM. */
export const isImageName = (name: string): boolean => ![null, 'DICOM'].includes(kindOfName(name));

/** A name without what says that it is an image: 'heart-ct.nii.gz' gives 'heart-ct', and so does 'heart-ct.dcm.nii.gz'. */
export function stemOfName(name: string): string {
  const stem = withoutEnding(name);
  return isImageName(name) && kindOfName(stem) === 'DICOM' ? withoutEnding(stem) : stem;
}

/** The kind of a file's content, by its first 1024 bytes (decompressed); null if it is none that states itself (Analyze, DICOM without its preamble). */
export function recognise(head: Uint8Array): ImageKind | null {
  const text = latin1(head.subarray(0, 1024));
  if (text.startsWith('DICM', 128)) return 'DICOM';
  if (/^NRRD000\d/.test(text)) return 'NRRD';
  if (/^(n\+1|ni1)\0/.test(text.slice(344, 348)) || /^(n\+2|ni2)\0/.test(text.slice(4, 8))) return 'NIfTI';
  if (/^\s*(ObjectType|NDims|Comment|DimSize)\s*=/i.test(text) && /^\s*(NDims|DimSize|ElementType)\s*=/im.test(text))
    return 'MetaImage';
  if (head.length >= 284) {
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const [version, ...rest] = [0, 4, 8, 12, 16, 20].map((at) => view.getInt32(at));
    const plausible = rest.slice(0, 4).every((n) => n > 0 && n < 2 ** 20) && rest[4] >= 0 && rest[4] <= 10;
    if (version === 1 && plausible) return 'MGH';
  }
  return null;
}

const OTHERS: readonly (readonly [string, string])[] = [
  ['\x1f\x8b', 'compressed with gzip twice'],
  ['BZh', 'compressed with bzip2'],
  ['\xfd7zXZ', 'compressed with xz'],
  ['(\xb5/\xfd', 'compressed with zstd'],
  ['PK\x03\x04', 'a zip archive'],
  ['7z\xbc\xaf', 'a 7-Zip archive'],
  ['\x89PNG', 'a PNG picture'],
  ['\xff\xd8\xff', 'a JPEG picture'],
  ['II*\0', 'a TIFF picture'],
  ['MM\0*', 'a TIFF picture'],
  ['%PDF', 'a PDF document'],
  ['\x89HDF', 'an HDF5 file (MINC 2, perhaps)'],
  ['<!DOCTYPE', 'a web page (a download that failed?)'],
  ['<!doctype', 'a web page (a download that failed?)'],
  ['<html', 'a web page (a download that failed?)'],
  ['version https://git-lfs', 'a pointer of Git LFS instead of the file (run "git lfs pull")'],
  ['CDF', 'a NetCDF file (MINC 1, perhaps)'],
];

/** In words what a file is that no reader here takes; null if that is not known. */
export const describeOther = (head: Uint8Array): string | null => {
  const text = latin1(head.subarray(0, 512));
  if (text.startsWith('ustar', 257)) return 'a tar archive';
  return OTHERS.find(([magic]) => text.startsWith(magic))?.[1] ?? null;
};
