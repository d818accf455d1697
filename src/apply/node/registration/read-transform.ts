/** Transforms from files: ITK's text (.tfm, .txt) and HDF5 (.h5), ANTs' affine (.mat), and displacement fields (.nii.gz, .nrrd, .mha). */
import { readFile } from 'node:fs/promises';
import { RunError } from '../../../common/errors.ts';
import { readImage } from '../../../images/node/read.ts';
import { namingFile } from '../../../platform/node/machine.ts';
import type { VectorField } from '../../registration/physical-map.ts';
import { parseAntsAffine } from '../../registration/transforms/ants.ts';
import { parseItkText } from '../../registration/transforms/itk-text.ts';
import type { Transform } from '../../registration/transforms/transform.ts';

/** Components of a vector. */
const COMPONENTS = [0, 1, 2] as const;

/** A displacement field, mm, LPS, as ITK and ANTs write it. @throws RunError for an image that is none */
async function readField(path: string): Promise<VectorField> {
  const channels = [];
  for (const channel of COMPONENTS) {
    const image = await readImage(path, { channel });
    if (image.volumesInFile !== COMPONENTS.length)
      throw new RunError(
        `${path}: holds ${image.volumesInFile} values a voxel, expected a displacement field of 3 (NIfTI with vector intent, NRRD or MetaImage)`,
      );
    channels.push(image.volume);
  }
  const [{ geometry }] = channels;
  const voxels = channels[0].data.length;
  const data = new Float32Array(3 * voxels);
  for (const k of COMPONENTS) for (let i = 0; i < voxels; i++) data[3 * i + k] = channels[k].data[i];
  if (!data.every(Number.isFinite)) throw new RunError(`${path}: the displacement field holds values that are no numbers`);
  return { geometry, data };
}

async function parsed(path: string, parse: (bytes: Buffer) => Transform | Promise<Transform>): Promise<Transform> {
  const bytes = await namingFile(path, () => readFile(path));
  try {
    return await parse(bytes);
  } catch (error) {
    const why = error instanceof RunError ? error.message : (error as Error).message;
    throw new RunError(`${path}: cannot be read as a transform: ${why}`);
  }
}

/** Reads one file's transform. @throws RunError naming the file and what is wrong with it */
export async function readTransform(path: string): Promise<Transform> {
  if (/\.(tfm|txt)$/i.test(path)) return parsed(path, (bytes) => parseItkText(bytes.toString('utf8')));
  if (/\.mat$/i.test(path)) return parsed(path, parseAntsAffine);
  if (/\.(h5|hdf5|hdf)$/i.test(path)) {
    const { parseItkHdf5 } = await import('./itk-hdf5.ts');
    return parsed(path, parseItkHdf5);
  }
  if (/\.(nii|nii\.gz|nrrd|nhdr|mha|mhd)$/i.test(path)) return [{ kind: 'field', field: await readField(path) }];
  throw new RunError(
    `${path}: not a transform by its name; expected .tfm or .txt (ITK text), .h5 (ITK), .mat (ANTs' affine), or a displacement field (.nii.gz, .nrrd, .mha)`,
  );
}

/** Reads transforms that points of the fixed image pass one after another, in the order of antsApplyTransforms: the first is passed first. */
export async function readTransforms(paths: readonly string[]): Promise<Transform> {
  const steps: Transform[] = [];
  for (const path of paths) steps.push(await readTransform(path));
  return steps.flat();
}
