/** The files that an image lies in, found as reading it finds them. Nothing is said of what they hold. */
import { MachineError, RunError } from '../../common/errors.ts';
import { headOf } from '../bytes.ts';
import { HEAD_BYTES } from '../file-store.ts';
import type { ImageSource } from '../find-images.ts';
import { otherHalf } from '../open-nifti.ts';
import { recognise } from '../recognise.ts';
import { findDataFile, textHeader } from '../voxel-data.ts';
import { DISK } from './disk.ts';

/** Formats whose header may name other files for the voxels. */
const WITH_DATA_FILES = /\.(mhd|mha|nhdr|nrrd)$/i;

/**
 * The files of an image in order: one, a header and those of its voxels, a pair, or a DICOM stack's. Where some are missing, or the header
 * is damaged, it is the file that is named alone: why it cannot be read, reading says.
 * @throws MachineError
 */
export async function filesOf(source: ImageSource): Promise<readonly string[]> {
  if (source.kind === 'dicom') return source.files.map(({ path }) => path);
  return [source.path, ...(await filesBeside(source.path))];
}

async function filesBeside(path: string): Promise<readonly string[]> {
  try {
    const half = await otherHalf(DISK, path);
    if (half !== null) return [half];
    if (!WITH_DATA_FILES.test(path)) return [];
    const file = await DISK.source(path);
    const kind = recognise(await headOf(file, HEAD_BYTES));
    if (kind !== 'NRRD' && kind !== 'MetaImage') return [];
    const { place } = await textHeader(kind, file);
    const found: string[] = [];
    for (const name of place.files ?? []) found.push(await findDataFile(DISK, path, name));
    return found;
  } catch (error) {
    if (error instanceof MachineError || !(error instanceof RunError)) throw error;
    return [];
  }
}
