/**
 * A model folder: `model.safetensors` (parameters under their published names) and `config.json` (what they are: architecture,
 * the preprocessing they expect, how they came to be). Every command that takes a model takes such a folder, or a run, and then
 * its best state.
 */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import type { PrepareOptions } from '../cohort/cohort.ts';
import { UsageError, WorkError } from '../errors/errors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { type Architecture, scaledArchitecture } from '../model/architecture.ts';
import { findFolder, writeFileAtomic } from '../node/files.ts';
import { readSafetensors, writeSafetensors } from '../node/safetensors.ts';
import { pretrainConfigurationSchema } from './configuration.ts';

export const MODEL_FILE = 'model.safetensors';
export const CONFIG_FILE = 'config.json';
/** Raised when a reader of the old form would misread the new. */
const FORMAT_VERSION = 1;
/** A configuration is a page of text. */
const MAX_CONFIG_BYTES = 1_000_000;

const positive = z.number().positive();

/** What the outputs of a segmentation or classification head mean, in their order. */
export const taskSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('segmentation'),
    labels: z
      .array(z.object({ code: z.int().describe('The value in label maps.'), name: z.string() }))
      .min(2)
      .describe('Classes; the first is the background.'),
    patch: z
      .tuple([z.int().positive(), z.int().positive(), z.int().positive()])
      .describe('(z, y, x) of the crops it was trained with.'),
  }),
  z.object({
    kind: z.literal('classification'),
    classes: z.array(z.string()).min(2).describe('With one output: it is the probability of the second.'),
    patch: z
      .tuple([z.int().positive(), z.int().positive(), z.int().positive()])
      .describe('(z, y, x) of the images it was trained with.'),
  }),
]);

/** What a network for a task tells apart. */
export type Task = z.output<typeof taskSchema>;

/** The schema of config.json. Unknown keys are ignored, so that later versions may add some. */
export const modelConfigurationSchema = z.object({
  format: z.literal('gvsl-model'),
  formatVersion: z.literal(FORMAT_VERSION),
  architecture: z
    .object({
      width: positive.describe('The factor on the published widths.'),
      channels: z.array(z.int().positive()).length(5).describe('Channels of the five levels, from full size to the bottleneck.'),
      heads: z.object({
        affine: z.boolean(),
        matching: z.boolean(),
        restoration: z.boolean(),
        segmentation: z.int().min(2).max(65_536).optional().describe('Classes, the background among them.'),
        classification: z.int().min(1).max(65_536).optional().describe('Outputs: 1 for two classes.'),
      }),
    })
    .describe('The network that the parameters belong to.'),
  preprocessing: z
    .object({
      modality: z.enum(['ct', 'mr']),
      spacingMm: z.tuple([positive, positive, positive]).describe('x, y, z'),
      intensity: z.enum(['minmax', 'percentile']).describe('How MR intensities came to [0, 1].'),
      crop: z.enum(['foreground', 'none']).optional().describe('What of each image was kept; foreground if not said.'),
    })
    .nullable()
    .describe('How images were prepared that it learned from; null if that is not known.'),
  task: taskSchema.nullable().default(null).describe('What a network with a segmentation or classification head tells apart.'),
  pretraining: pretrainConfigurationSchema.nullable().describe('The whole configuration of its run; null for an imported model.'),
  training: z
    .record(z.string(), z.unknown())
    .nullable()
    .default(null)
    .describe('The whole configuration of its training on a task; null without one.'),
  seed: z.int().nonnegative(),
  step: z.int().nonnegative().describe('Steps trained.'),
  versions: z.record(z.string(), z.string()).describe('What made it.'),
});

/** What config.json says. */
export type ModelConfiguration = z.output<typeof modelConfigurationSchema>;

/** A network's parameters and what they are. */
export interface Model {
  readonly configuration: ModelConfiguration;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
}

/**
 * Reads and checks a JSON file by a schema.
 * @throws WorkError naming the file, and the first key that is wrong
 */
export async function readJson<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.output<Schema>> {
  let parsed: unknown;
  try {
    if ((await stat(path)).size > MAX_CONFIG_BYTES) throw new Error(`more than ${MAX_CONFIG_BYTES} bytes`);
    parsed = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new WorkError(`${path}: cannot be read as JSON: ${(error as Error).message}`);
  }
  const result = schema.safeParse(parsed);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new WorkError(
    `${path}: ${issue.path.join('.') || 'the document'}: ${issue.message}; was it edited, or made by a newer version?`,
  );
}

/** JSON as people read it; equal values give equal bytes. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Writes a model's two files into a folder that exists, or is made. To replace a model whole, write it within `writeFolderAtomic`. */
export async function writeModel(
  folder: string,
  configuration: ModelConfiguration,
  parameters: Iterable<NamedTensor>,
): Promise<void> {
  // What cannot be read back must not be written.
  const checked = modelConfigurationSchema.parse(configuration);
  // "pt" is what PyTorch's readers look for: the names and shapes are a state dict's.
  await writeSafetensors(join(folder, MODEL_FILE), parameters, { format: 'pt' });
  await writeFileAtomic(join(folder, CONFIG_FILE), jsonText(checked));
}

/**
 * Reads a model.
 * @param folder what `resolveModel` returned
 * @throws WorkError naming the file that is missing or damaged
 */
export async function readModel(folder: string): Promise<Model> {
  const configuration = await readJson(join(folder, CONFIG_FILE), modelConfigurationSchema);
  const { tensors } = await readSafetensors(join(folder, MODEL_FILE));
  return { configuration, parameters: tensors };
}

/** The network that a configuration describes. @throws WorkError naming the folder if its channels are not those of its width */
export function architectureOf({ architecture: { width, channels, heads } }: ModelConfiguration, folder: string): Architecture {
  const architecture = scaledArchitecture(width, heads);
  const expected = architecture.widths.slice(0, channels.length);
  if (expected.join() !== channels.join())
    throw new WorkError(
      `${folder}/${CONFIG_FILE}: width ${width} means channels ${expected.join(', ')}, found ${channels.join(', ')}: a network of another architecture`,
    );
  return architecture;
}

/** How the images of its cohort were prepared. @throws UsageError if the model does not know and nobody says, or both disagree */
export function preprocessingOf(
  { preprocessing }: ModelConfiguration,
  folder: string,
  modality: 'ct' | 'mr' | undefined,
): PrepareOptions {
  if (preprocessing && modality && modality !== preprocessing.modality)
    throw new UsageError(
      `--modality ${modality}: the model ${folder} was trained on ${preprocessing.modality}; leave the option out, or use a model trained on ${modality}`,
    );
  const known = preprocessing?.modality ?? modality;
  if (!known) throw new UsageError(`the model ${folder} does not say what it was trained on: add --modality ct or --modality mr`);
  return {
    modality: known,
    spacingMm: preprocessing?.spacingMm ?? [1, 1, 1],
    intensity: preprocessing?.intensity ?? 'minmax',
    crop: preprocessing?.crop ?? 'foreground',
    size: null,
  };
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
const isModelFolder = async (folder: string): Promise<boolean> =>
  (await isFile(join(folder, MODEL_FILE))) && (await isFile(join(folder, CONFIG_FILE)));

/**
 * The model folder that a user means: the path itself, the folder of a `model.safetensors`, or of a run the best state, else the
 * last. Nothing on the disk is changed, so a run may be going on.
 * @throws WorkError that says what was found instead
 */
export async function resolveModel(path: string): Promise<string> {
  const given = basename(path) === MODEL_FILE && (await isFile(path)) ? dirname(path) : path;
  // RUN/last may lie ready beside its name if the run was killed while it was replaced.
  const folder = (await findFolder(given)) ?? given;
  if (await isModelFolder(folder)) return folder;
  for (const which of ['best', 'last']) {
    const state = await findFolder(join(folder, which));
    if (state !== undefined && (await isModelFolder(state))) return state;
  }
  const found = await stat(folder).then(
    (status) => (status.isDirectory() ? 'neither' : 'a file'),
    () => 'nothing',
  );
  if (found === 'nothing') throw new WorkError(`${path}: no such folder; expected a model folder or a run`);
  if (found === 'a file')
    throw new WorkError(`${path}: a file; expected a folder with ${MODEL_FILE} and ${CONFIG_FILE}, or a run`);
  if (await isFile(join(folder, 'metrics.jsonl')))
    throw new WorkError(`${path}: a run without a checkpoint yet; wait for its first one, or continue it with --resume`);
  throw new WorkError(
    `${path}: neither a model folder (${MODEL_FILE} and ${CONFIG_FILE}) nor a run (a folder with best/ or last/)`,
  );
}
