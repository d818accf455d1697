/** Opening one image file of any format: by its content, since names lie. */
import { MachineError, RunError } from '../common/errors.ts';
import { headOf } from './bytes.ts';
import { GZIPPED_DICOM, isDicomFile, readDicomFile } from './dicom/sources.ts';
import { type FileStore, HEAD_BYTES } from './file-store.ts';
import type { LoadedImage } from './loaded-image.ts';
import { MGH_HEADER_BYTES, parseMgh } from './mgh.ts';
import { type OpenFile, opened } from './open-file.ts';
import { openNifti } from './open-nifti.ts';
import { describeOther, isVoxelHalf, kindOfName, recognise } from './recognise.ts';
import { textHeader, voxelData } from './voxel-data.ts';

export const READABLE =
  '.nii, .nii.gz, .hdr/.img, .nrrd, .nhdr, .mha, .mhd, .mgh, .mgz, a DICOM file or a folder with a DICOM series';

/**
 * Opens an image file of any format; of most, no more than the header is read yet.
 * @throws RunError with the reason, without the file's name
 */
export async function openImageFile(files: FileStore, path: string): Promise<OpenFile | LoadedImage> {
  const warnings = new Set<string>();
  const stored = await files.unzipped(path, warnings);
  const head = await headOf(stored, HEAD_BYTES).catch((error: unknown) => {
    if (error instanceof MachineError || !(error instanceof RunError)) throw error;
    // a damaged stream is named by the reader that its name calls for
    return new Uint8Array();
  });
  const source = { ...stored, head };
  const content = recognise(head) ?? ((await isDicomFile(files, path)) ? 'DICOM' : null);
  const named = kindOfName(path);
  const kind = isVoxelHalf(path) && content !== 'DICOM' ? 'NIfTI' : (content ?? named);
  if (content !== null && named !== null && kind !== named)
    warnings.add(`its name says ${named}, but its content is ${content}: read as the latter`);
  const other = describeOther(head);
  // the voxels of a pair may look like anything
  if (other && content === null && kind !== null && !isVoxelHalf(path))
    throw new RunError(`its name says ${kind}, but it is ${other}: expected ${READABLE}`);
  if (kind === 'NIfTI' || kind === 'MGH') warnOfCompression(path, stored.gzipped, warnings);
  switch (kind) {
    case 'NIfTI':
      return openNifti(files, path, source, warnings);
    case 'NRRD':
    case 'MetaImage': {
      const { image, place } = await textHeader(kind, source);
      return opened(image, await voxelData(files, path, source, image, place, warnings), 0, warnings);
    }
    case 'MGH':
      return opened(parseMgh(await headOf(source, MGH_HEADER_BYTES)), source, MGH_HEADER_BYTES, warnings);
    case 'DICOM':
      if (stored.gzipped) throw new RunError(GZIPPED_DICOM);
      return readDicomFile(files, path);
  }
  throw new RunError(`${other ? `it is ${other}, ` : ''}not a supported format: expected ${READABLE}`);
}

/** Other programs go by the name. */
function warnOfCompression(path: string, gzipped: boolean, warnings: Set<string>): void {
  if (/\.(gz|mgz)$/i.test(path) === gzipped) return;
  warnings.add(
    gzipped
      ? 'it is compressed with gzip, but its name does not say so: other programs may refuse it'
      : 'it is not compressed, although its name says so: other programs may refuse it',
  );
}
