/** A study as its file declares it: which methods, on which task, with how many labels, in which modes, with which seeds. */
import { z } from 'zod';
import { section } from '../methods/schema-parts.ts';
import { GVSL_METHODS, SCRATCH, STUDY_METHODS } from './methods.ts';

const METHOD_NAMES = STUDY_METHODS.map(({ name }) => name) as [string, ...string[]];
/** A configuration of its own, checked when it is used. */
const document = () => z.record(z.string(), z.unknown()).default({});

/** A list without repetitions: what is named twice would count twice in means over seeds, and in corrections for the number of comparisons. */
const distinct = <Item extends z.ZodType>(item: Item) =>
  z.array(item).refine((items) => new Set(items).size === items.length, 'each may be named only once');

/** Names become those of folders. */
const VARIANT_NAME = /^[a-z0-9][a-z0-9.-]{0,63}$/;
const variantSchema = z.looseObject({
  of: z.enum(METHOD_NAMES.filter((name) => name !== SCRATCH) as [string, ...string[]]),
  title: z.string().min(1).optional(),
});

const schema = z.strictObject({
  name: z.string().min(1).default('study').describe('Title of the study in its tables.'),
  cohort: z.string().min(1).describe('Labelled cohort made by `gvsl prepare`.'),
  task: z.enum(['segmentation', 'classification']).default('segmentation').describe('Task.'),
  methods: distinct(z.string())
    .min(1)
    .default([...GVSL_METHODS])
    .describe(
      'Pre-training methods (gvsl methods lists them), scratch, and variants; tables have them in the order of that list, variants after their method.',
    ),
  baseline: z.string().default(SCRATCH).describe('Baseline method for the paired tests; must be one of `methods`.'),
  modes: distinct(z.enum(['linear', 'probe', 'finetune']))
    .min(1)
    .default(['linear', 'finetune'])
    .describe(
      "Transfer modes: linear evaluation of the frozen U-Net; probe: a linear classifier of the encoder's levels brought to full size, without the decoder; fine-tuning. With a method that trains the encoder alone, linear brings probe with it.",
    ),
  labels: distinct(z.union([z.literal('all'), z.int().min(1)]))
    .min(1)
    .default(['all'])
    .describe('Numbers of labelled subjects for training.'),
  seeds: distinct(z.int().nonnegative())
    .min(1)
    .default([1, 2, 3])
    .describe('Random seeds; each repeats everything after pre-training.'),
  pretraining: section('Pre-training.', {
    cohort: z.string().nullable().default(null).describe('Unlabelled cohort; null for the labelled one.'),
    configuration: document().describe('Pre-training configuration of all methods, as for `gvsl pretrain --config`.'),
    methods: z
      .partialRecord(z.enum(METHOD_NAMES), z.record(z.string(), z.unknown()))
      .default({})
      .describe("Keys of one method, by its name; they override `configuration`. GVSL's ablations take gvsl's as well."),
    variants: z
      .record(z.string(), variantSchema)
      .default({})
      .describe(
        'Variants by a name of their own, to be named in `methods`: `of`, the method; `title`, what tables call it; and keys, which override those of the method. Another `seed` repeats its pre-training.',
      ),
    budget: z
      .enum(['passes', 'steps', 'time'])
      .default('passes')
      .describe(
        'What every method gets as much of as GVSL has in `steps` steps: passes through the encoder, steps, or time, for which a step of each, and a clustering of DeepCluster, are measured once.',
      ),
    search: section('A search that is the same for every method; the validation subjects choose, after training on the task.', {
      learningRate: distinct(z.number().positive())
        .default([])
        .describe('Learning rates of pre-training that are tried; empty for that of the configuration.'),
    }),
    models: z.record(z.string(), z.string()).default({}).describe('Existing models by method: a model folder or a run.'),
  }),
  transfer: section('Training on the task, with the same budget for every method.', {
    configuration: document().describe('Training configuration, as for `gvsl train --config`.'),
    linear: document().describe('Overrides for linear evaluation.'),
    finetune: document().describe('Overrides for fine-tuning.'),
  }),
});

export const studySchema = schema.superRefine((study, context) => {
  const variants = Object.keys(study.pretraining.variants);
  const known = [...METHOD_NAMES, ...variants];
  const refuse = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
  for (const name of variants.filter((each) => !VARIANT_NAME.test(each)))
    refuse(['pretraining', 'variants', name], 'a name is made of small letters, digits, dots and hyphens');
  for (const name of variants)
    if (METHOD_NAMES.includes(name)) refuse(['pretraining', 'variants', name], 'this is the name of a method; choose another');
  for (const name of study.methods)
    if (!known.includes(name)) refuse(['methods'], `expected of ${known.join(', ')}, not '${name}'`);
});

/** A whole, checked study. */
export type Study = z.output<typeof studySchema>;

export const STUDY = { schema: studySchema, command: 'compare' } as const;
