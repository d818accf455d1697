/**
 * What `config.json` of a model folder says: the network's architecture, the preprocessing that it expects, how it came to be. Read and
 * written by model-folder.ts; the page in the browser reads it too.
 */
import { z } from 'zod';
import { UsageError, WorkError } from '../errors/errors.ts';
import { type Architecture, scaledArchitecture } from '../model/architecture.ts';
import type { PrepareOptions } from '../preparation/prepare-options.ts';
import { pretrainConfigurationSchema } from './configuration.ts';

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
