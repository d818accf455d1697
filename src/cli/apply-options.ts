/** The options that every command that applies a model has, and how they are read. */
import { type Command, Option } from 'commander';
import type { ApplyCall, TaskCall } from '../apply/node/network.ts';
import type { MirrorAxis } from '../apply/prediction-options.ts';
import { UsageError } from '../common/errors.ts';
import { BACKENDS, type BackendName } from '../engine/backend.ts';
import type { Zyx } from '../geometry/volume.ts';
import { numberIn, numberOf, wholeNumber } from './numbers.ts';

/** As commander hands them over. */
export interface ApplyOptions {
  readonly model: string;
  readonly out: string;
  readonly modality?: 'ct' | 'mr';
  readonly series?: string;
  readonly channel?: string;
  readonly overwrite?: boolean;
  readonly window?: string;
  readonly overlap: string;
  readonly backend: BackendName;
  readonly threads?: string;
}

export const OVERWRITE =
  'also replace files of the same names that gvsl did not write or that were changed since; inputs are never replaced';

export const TRANSFORM_FILES =
  "ITK's .tfm, .txt or .h5, ANTs' .mat, displacement fields (.nii.gz, .nrrd, .mha), which points of the fixed image pass in this order, as in antsApplyTransforms";

export const PART =
  'only the images of part I of N (from 1), by their names, for job arrays; reports and tables are named after the part';

export const MIRROR =
  'also predict mirrored copies of each window and average them: axes of x,y,z (x: left and right); each axis doubles the time';

/** Axes as `--mirror` has them; what is none is refused by its meaning. */
export const readMirror = (text: string): readonly MirrorAxis[] => text.split(',').map((axis) => axis.trim() as MirrorAxis);

export const CHANNEL = 'channel to use of multi-channel (4D) images, from 0';

/** Of a command that applies several models together. */
export interface TaskOptions extends Omit<ApplyOptions, 'model'> {
  readonly model: readonly string[];
  readonly part?: string;
}

/** Adds them to a command. */
export const addApplyOptions = (command: Command, out: string): Command =>
  addOtherOptions(command.requiredOption('--model <model>', 'model folder, or a run (its best checkpoint)'), out);

/** Adds them to a command that applies several models together. */
export const addTaskOptions = (command: Command, out: string): Command =>
  addOtherOptions(
    command.requiredOption(
      '--model <model...>',
      'model folder, or a run (its best checkpoint); several, or a cross-validation (the models of its folds): their probabilities are averaged',
    ),
    out,
  ).option('--part <i/n>', PART);

function addOtherOptions(command: Command, out: string): Command {
  return command
    .requiredOption('--out <folder>', out)
    .option('--overwrite', OVERWRITE)
    .option('--series <which>', 'series to use of a DICOM folder with several: its number as listed, or its UID')
    .option('--channel <n>', CHANNEL)
    .addOption(
      new Option('--modality <modality>', 'modality of the images; only needed if the model does not record it').choices([
        'ct',
        'mr',
      ]),
    )
    .option('--window <size>', 'sliding window size in voxels: one side length, or z,y,x (default: the training patch size)')
    .option('--overlap <share>', 'minimum overlap of neighbouring windows, as a fraction of the side', '0.5')
    .addOption(new Option('--backend <name>', 'compute backend').choices(BACKENDS).default('cpu'))
    .option('--threads <n>', 'number of CPU threads (default: all cores, or the CPU quota of the container)');
}

/** One side, or three as z,y,x; what is none is refused by its meaning. */
export function readWindow(text: string): Zyx {
  const sides = text.split(/[,x]/).map(numberOf);
  return (sides.length === 1 ? [sides[0], sides[0], sides[0]] : sides) as unknown as Zyx;
}

/** What they mean. @throws UsageError for a value that is none */
export const readApplyOptions = async ({ model, ...options }: ApplyOptions): Promise<ApplyCall> => ({
  model,
  ...(await readOtherOptions(options)),
});

/**
 * What they mean, and the inputs. Inputs that follow \`--model\` without another option between are taken for models by the parser: what is none
 * behind the first, where no input stands elsewhere, is an input.
 * @throws UsageError for a value that is none, or if there is no input
 */
export async function readTaskOptions(
  named: readonly string[],
  { model: given, part, ...options }: TaskOptions,
): Promise<TaskCall & { readonly inputs: readonly string[] }> {
  let [model, inputs] = [given, named];
  if (inputs.length === 0) {
    const { resolveModels } = await import('../model/node/model-folder.ts');
    const are = await Promise.all(
      given.map((path) =>
        resolveModels(path).then(
          () => true,
          () => false,
        ),
      ),
    );
    const first = are.findIndex((isModel, k) => k > 0 && !isModel);
    if (first < 0)
      throw new UsageError("missing required argument 'input': expected images, folders of images, or DICOM folders");
    [model, inputs] = [given.slice(0, first), given.slice(first)];
  }
  const { parsePart } = await import('../platform/node/parts.ts');
  return { model, inputs, ...(part === undefined ? {} : { part: parsePart(part) }), ...(await readOtherOptions(options)) };
}

async function readOtherOptions({
  backend,
  threads,
  window,
  overlap,
  channel,
  out,
  series,
  modality,
  overwrite,
}: Omit<ApplyOptions, 'model'>): Promise<Omit<ApplyCall, 'model'>> {
  const { createBackend } = await import('../platform/node/backends.ts');
  const { createProgress } = await import('./progress.ts');
  return {
    out,
    ...(series === undefined ? {} : { series }),
    ...(modality === undefined ? {} : { modality }),
    ...(overwrite === undefined ? {} : { overwrite }),
    ...(channel === undefined ? {} : { channel: wholeNumber('--channel', channel, 0) }),
    ...(window === undefined ? {} : { window: readWindow(window) }),
    overlap: numberIn('--overlap', overlap, 0, 0.9),
    backend: await createBackend(backend, threads === undefined ? undefined : wholeNumber('--threads', threads)),
    progress: createProgress(),
  };
}
