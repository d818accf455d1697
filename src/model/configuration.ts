/**
 * What `config.json` of a model folder says: the network's architecture, the preprocessing that it expects, how it came to be. Read and
 * written by model-folder.ts; the page in the browser reads it too.
 */
import { z } from 'zod';
import { channelsSchema } from '../cohort/cohort.ts';
import { type ChannelOptions, MAX_CHANNELS, MR_SCALES, type PrepareOptions } from '../cohort/prepare-options.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { version } from '../common/version.ts';
import type { Zyx } from '../geometry/volume.ts';
import { type Architecture, type Heads, PROJECTIONS, scaledArchitecture } from './architecture.ts';

export const MODEL_FILE = 'model.safetensors';
export const CONFIG_FILE = 'config.json';
/** Raised when a reader of the old form would misread the new. */
const FORMAT_VERSION = 1;
const positive = z.number().positive();

/** What the outputs of a segmentation or classification head mean, in their order. */
export const taskSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('segmentation'),
    labels: z
      .array(z.object({ code: z.int().describe('Label code.'), name: z.string() }))
      .min(2)
      .describe('Classes; the first is the background.'),
    patch: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]).describe('Training patch size (z, y, x).'),
  }),
  z.object({
    kind: z.literal('classification'),
    classes: z.array(z.string()).min(2).describe('Class names; a single output is the probability of the second.'),
    patch: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]).describe('Training image size (z, y, x).'),
  }),
]);

/** What is done to label maps of a model, chosen on its validation subjects; parts are voxels of one code that touch. */
const postProcessingSchema = z.array(
  z.object({
    code: z.int().describe('Label code.'),
    keepLargest: z.boolean().describe('Keep the largest part only.'),
    minVolumeMm3: z.number().nonnegative().describe('Remove parts below this volume.'),
  }),
);
export type PostProcessing = z.output<typeof postProcessingSchema>;

/** What a network for a task tells apart. */
export type Task = z.output<typeof taskSchema>;

const HEADS = {
  affine: z.boolean(),
  matching: z.boolean(),
  restoration: z.boolean(),
  segmentation: z.int().min(2).max(65_536).optional().describe('Number of classes, including the background.'),
  multiLevel: z
    .literal(true)
    .optional()
    .describe('The segmentation head reads the image and the features of all levels, not the local feature alone.'),
  classification: z.int().min(1).max(65_536).optional().describe('Number of outputs; 1 for two classes.'),
  projection: z
    .object({ kind: z.enum(PROJECTIONS), outputs: z.int().min(1).max(65_536), predictor: z.boolean().optional() })
    .optional()
    .describe('Layers that compare views of an image.'),
};

/** What readers know only that want to know it: the configuration of a training, as its version had it. */
const ofATraining = () => z.record(z.string(), z.unknown()).nullable();

/**
 * The schema of config.json. What applying a model needs stands at the top level; the configurations of its trainings are for people, and are
 * not checked. Unknown keys are ignored, so that later versions may add some. Read it by `parseModelConfiguration`.
 */
export const modelConfigurationSchema = z.object({
  format: z.literal('gvsl-model'),
  formatVersion: z.literal(FORMAT_VERSION),
  architecture: z
    .object({
      width: positive.describe('Width multiplier.'),
      channels: z
        .array(z.int().positive())
        .length(5)
        .describe('Channels of the five levels, from full resolution to the bottleneck.'),
      inputChannels: z.int().min(2).max(MAX_CHANNELS).optional().describe('Channels of the image; 1 if absent.'),
      heads: z.object(HEADS),
    })
    .describe('Network architecture.'),
  preprocessing: z
    .object({
      modality: z.enum(['ct', 'mr']),
      spacingMm: z.tuple([positive, positive, positive]).describe('x, y, z'),
      intensity: z.enum(MR_SCALES).describe('Scaling of MR intensities to [0, 1].'),
      crop: z.enum(['foreground', 'none']).optional().describe('Cropping; foreground if absent.'),
      channels: channelsSchema
        .optional()
        .describe('Channels of the image in their order, and how each is scaled; absent for one.'),
    })
    .nullable()
    .describe('Preprocessing of the training images; null if unknown.'),
  task: taskSchema.nullable().default(null).describe('Task of a segmentation or classification head.'),
  postProcessing: postProcessingSchema
    .optional()
    .describe(
      'Post-processing of label maps that helped on the validation subjects; absent if none did, or none was looked for.',
    ),
  patch: z
    .tuple([z.int().positive(), z.int().positive(), z.int().positive()])
    .optional()
    .describe('Last training patch size (z, y, x); absent if unknown.'),
  method: z.string().optional().describe('Method of pre-training; absent for GVSL, and for what was not pre-trained.'),
  pretraining: ofATraining().describe('Full pre-training configuration; null for an imported model.'),
  training: ofATraining().default(null).describe('Full configuration of the training on a task; null without one.'),
  backends: z
    .array(z.string())
    .optional()
    .describe(
      'Backends that computed its steps, in order. Equal trainings give bit-identical parameters on one backend, and equal up to rounding across backends.',
    ),
  seed: z.int().nonnegative(),
  step: z.int().nonnegative().describe('Training steps.'),
  versions: z.record(z.string(), z.string()).describe('Software versions.'),
});

/** What config.json says. */
export type ModelConfiguration = z.output<typeof modelConfigurationSchema>;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Who made a model, as far as it says. */
function makerOf(document: Record<string, unknown>): string {
  const made = isRecord(document.versions) ? document.versions.gvsl : undefined;
  return typeof made === 'string' && made !== version ? `made by gvsl ${made}, this is ${version}` : `this is gvsl ${version}`;
}

/**
 * Checks what config.json holds.
 * @param path names it in messages
 * @throws RunError naming the first thing that is wrong, or that a newer version must have written
 */
export function parseModelConfiguration(document: unknown, path: string): ModelConfiguration {
  if (!isRecord(document) || document.format !== 'gvsl-model')
    throw new RunError(
      `${path}: expected "format": "gvsl-model"; found ${isRecord(document) ? JSON.stringify(document.format) : 'no object'}`,
    );
  const { formatVersion } = document;
  if (typeof formatVersion === 'number' && formatVersion > FORMAT_VERSION)
    throw new RunError(
      `${path}: formatVersion ${formatVersion}: made by a newer gvsl (${makerOf(document)}, which reads ${FORMAT_VERSION}); update gvsl`,
    );
  const heads = isRecord(document.architecture) ? document.architecture.heads : undefined;
  const unknown = isRecord(heads)
    ? Object.keys(heads).filter((name) => !(name in HEADS) && heads[name] !== false && heads[name] !== null)
    : [];
  if (unknown.length > 0)
    throw new RunError(
      `${path}: architecture.heads: ${unknown.join(', ')}: unknown heads; this version supports ${Object.keys(HEADS).join(', ')} (${makerOf(document)}): update gvsl`,
    );
  const parsed = modelConfigurationSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new RunError(
    `${path}: ${issue.path.join('.') || 'the document'}: ${issue.message}; was it edited, or made by a newer version (${makerOf(document)})?`,
  );
}

/** The crops (z, y, x) that a model was trained with; null if it does not say. Models of version 0.1 say it in `pretraining` only. */
export function trainedPatch({ task, patch, pretraining }: ModelConfiguration): Zyx | null {
  if (task) return task.patch;
  if (patch) return patch;
  const data = pretraining?.data;
  const side = isRecord(data) ? data.patch : undefined;
  const isSide = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;
  if (isSide(side)) return [side, side, side];
  return Array.isArray(side) && side.length === 3 && side.every(isSide) ? [side[0], side[1], side[2]] : null;
}

/** The network that a configuration describes. @throws RunError naming the folder if its channels are not those of its width */
export function architectureOf(
  { architecture: { width, channels, heads, inputChannels }, preprocessing }: ModelConfiguration,
  folder: string,
): Architecture {
  const architecture = scaledArchitecture(width, heads, inputChannels);
  const named = preprocessing?.channels?.length ?? 1;
  if (preprocessing && named !== (inputChannels ?? 1))
    throw new RunError(
      `${folder}/${CONFIG_FILE}: architecture.inputChannels ${inputChannels ?? 1}, but preprocessing.channels names ${named}`,
    );
  const expected = architecture.widths.slice(0, channels.length);
  if (expected.join() !== channels.join())
    throw new RunError(
      `${folder}/${CONFIG_FILE}: width ${width} means channels ${expected.join(', ')}, found ${channels.join(', ')}: a different architecture`,
    );
  return architecture;
}

/** Channels of a model that does not say what they are. */
const unnamedChannels = (count: number, modality: 'ct' | 'mr'): ChannelOptions[] =>
  Array.from({ length: count }, (_, number) => ({
    name: String(number),
    number,
    scale: modality === 'ct' ? 'hounsfield' : 'minmax',
  }));

/** How the images of its cohort were prepared. @throws UsageError if the model does not know and nobody says, or both disagree */
export function preprocessingOf(
  { preprocessing, architecture }: ModelConfiguration,
  folder: string,
  modality: 'ct' | 'mr' | undefined,
): PrepareOptions {
  if (preprocessing && modality && modality !== preprocessing.modality)
    throw new UsageError(
      `\`modality\` ${modality}: the model ${folder} was trained on ${preprocessing.modality}; omit it, or use a model trained on ${modality}`,
    );
  const known = preprocessing?.modality ?? modality;
  if (!known)
    throw new UsageError(`the model ${folder} does not record its training modality: add \`modality\` ct or \`modality\` mr`);
  return {
    modality: known,
    spacingMm: preprocessing?.spacingMm ?? [1, 1, 1],
    intensity: preprocessing?.intensity ?? 'minmax',
    crop: preprocessing?.crop ?? 'foreground',
    size: null,
    ...(architecture.inputChannels !== undefined && {
      channels: preprocessing?.channels ?? unnamedChannels(architecture.inputChannels, known),
    }),
  };
}

/** What a training says of the model that it is at. */
export interface ModelState {
  readonly width: number;
  readonly heads: Heads;
  /** Channels of the image that it sees; 1 if absent, also of a cohort with several. */
  readonly inputChannels?: number | undefined;
  /** How the cohort was prepared. */
  readonly options: PrepareOptions;
  readonly task: Task | null;
  readonly patch: Zyx;
  /** The configuration of the training, and what kind it is. */
  readonly kind: 'pretraining' | 'training';
  /** The way to pre-train, where it is another than GVSL. */
  readonly method?: string | undefined;
  readonly configuration: object;
  readonly seed: number;
  readonly step: number;
  /** Names of what computed it, in order. */
  readonly backends: readonly string[];
}

/** config.json of a model in training. Equal training gives equal files: how long a run goes on, and on what, shapes nothing of the model. */
export function configurationOf({
  width,
  heads,
  inputChannels = 1,
  options,
  kind,
  method,
  configuration,
  step,
  ...state
}: ModelState): ModelConfiguration {
  const { affine, matching, restoration, segmentation, classification, projection } = heads;
  const { modality, spacingMm, intensity, crop } = options;
  const channels =
    inputChannels === 1 ? undefined : options.channels?.map(({ name, number, scale }) => ({ name, number, scale }));
  const trained = { ...configuration, steps: Math.max(1, step), threads: 'auto', backend: 'auto' };
  return {
    format: 'gvsl-model',
    formatVersion: FORMAT_VERSION,
    architecture: {
      width,
      channels: scaledArchitecture(width).widths.slice(0, 5),
      ...(inputChannels === 1 ? {} : { inputChannels }),
      heads: {
        affine,
        matching,
        restoration,
        ...(segmentation === undefined ? {} : { segmentation }),
        ...(classification === undefined ? {} : { classification }),
        ...(projection === undefined ? {} : { projection: { ...projection } }),
      },
    },
    preprocessing: {
      modality,
      spacingMm: [spacingMm[0], spacingMm[1], spacingMm[2]],
      intensity,
      crop,
      ...(channels && { channels }),
    },
    task: state.task,
    patch: [state.patch[0], state.patch[1], state.patch[2]],
    ...(method === undefined ? {} : { method }),
    pretraining: kind === 'pretraining' ? trained : null,
    training: kind === 'training' ? trained : null,
    seed: state.seed,
    step,
    backends: [...state.backends],
    versions: { gvsl: version },
  };
}
