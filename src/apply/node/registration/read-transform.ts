/** Transforms from files: ITK's text (.tfm, .txt) and HDF5 (.h5), ANTs' affine (.mat), and displacement fields (.nii.gz, .nrrd, .mha). */
import { readFile } from 'node:fs/promises';
import { RunError } from '../../../common/errors.ts';
import type { Xyz } from '../../../geometry/volume.ts';
import type { LoadedImage } from '../../../images/loaded-image.ts';
import { readImage } from '../../../images/node/read.ts';
import { namingFile } from '../../../platform/node/machine.ts';
import type { VectorField } from '../../registration/physical-map.ts';
import { parseAntsAffine } from '../../registration/transforms/ants.ts';
import { parseItkText } from '../../registration/transforms/itk-text.ts';
import type { Transform } from '../../registration/transforms/transform.ts';

/** Components of a vector. */
const COMPONENTS = [0, 1, 2] as const;

/** NIfTI's intent codes of vectors as ITK writes them (LPS), and of displacements (RAS, as ITK 5.4 takes them). */
const [VECTOR, DISPLACEMENT] = [1007, 1006];

/**
 * The signs that bring a NIfTI file's vectors to LPS. The file looks alike where other programs store something else than displacements in mm.
 * @throws RunError for what is no such field
 */
function signsOf({ path, vectors, volumesInFile }: LoadedImage): Xyz {
  const expected = 'expected a displacement field as ITK and ANTs write it: five dimensions, vectors in mm';
  if (!vectors) throw new RunError(`${path}: it holds ${volumesInFile} volumes (a time series, or a warp of FSL), ${expected}`);
  const { code, name } = vectors;
  if (/^Mapping/i.test(name)) throw new RunError(`${path}: it holds positions (a deformation of SPM), ${expected}`);
  if (/^NREG/i.test(name)) throw new RunError(`${path}: it is a transform of NiftyReg, ${expected}`);
  if (![0, VECTOR, DISPLACEMENT].includes(code)) throw new RunError(`${path}: its intent code is ${code}, ${expected}`);
  return code === DISPLACEMENT ? [-1, -1, 1] : [1, 1, 1];
}

/**
 * A displacement field, mm, LPS, as ITK and ANTs write it.
 * @param warnings is told what is unusual about the file
 * @throws RunError for an image that is none
 */
async function readField(path: string, warnings: Set<string>): Promise<VectorField> {
  const channels = [];
  let signs: Xyz = [1, 1, 1];
  for (const channel of COMPONENTS) {
    const image = await readImage(path, { channel });
    if (image.volumesInFile !== COMPONENTS.length)
      throw new RunError(
        `${path}: holds ${image.volumesInFile} values a voxel, expected a displacement field of 3 (NIfTI with vector intent, NRRD or MetaImage)`,
      );
    if (image.format.startsWith('NIfTI')) signs = signsOf(image);
    for (const warning of image.warnings) warnings.add(`${path}: ${warning}`);
    channels.push(image.volume);
  }
  const [{ geometry }] = channels;
  const voxels = channels[0].data.length;
  const data = new Float32Array(3 * voxels);
  for (const k of COMPONENTS) for (let i = 0; i < voxels; i++) data[3 * i + k] = signs[k] * channels[k].data[i];
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

/**
 * Reads one file's transform.
 * @param warnings is told what is unusual about a file, a sentence that names it
 * @throws RunError naming the file and what is wrong with it
 */
export async function readTransform(path: string, warnings = new Set<string>()): Promise<Transform> {
  if (/\.(tfm|txt)$/i.test(path)) return parsed(path, (bytes) => parseItkText(bytes.toString('utf8')));
  if (/\.mat$/i.test(path)) return parsed(path, parseAntsAffine);
  if (/\.(h5|hdf5|hdf)$/i.test(path)) {
    const { parseItkHdf5 } = await import('./itk-hdf5.ts');
    return parsed(path, parseItkHdf5);
  }
  if (/\.(nii|nii\.gz|nrrd|nhdr|mha|mhd)$/i.test(path)) return [{ kind: 'field', field: await readField(path, warnings) }];
  throw new RunError(
    `${path}: not a transform by its name; expected .tfm or .txt (ITK text), .h5 (ITK), .mat (ANTs' affine), or a displacement field (.nii.gz, .nrrd, .mha)`,
  );
}

/** Reads transforms that points of the fixed image pass one after another, in the order of antsApplyTransforms: the first is passed first. */
export async function readTransforms(paths: readonly string[], warnings = new Set<string>()): Promise<Transform> {
  const steps: Transform[] = [];
  for (const path of paths) steps.push(await readTransform(path, warnings));
  return steps.flat();
}
