/** A study as its file declares it: which methods, on which task, with how many labels, in which modes, with which seeds. */
import { z } from 'zod';
import { section } from '../methods/schema-parts.ts';
import { GVSL_METHODS, SCRATCH, STUDY_METHODS } from './methods.ts';

const METHOD_NAMES = STUDY_METHODS.map(({ name }) => name) as [string, ...string[]];
/** A configuration of its own, checked when it is used. */
const document = () => z.record(z.string(), z.unknown()).default({});

export const studySchema = z.strictObject({
  name: z.string().min(1).default('study').describe('Title of the study in its tables.'),
  cohort: z.string().min(1).describe('Labelled cohort made by `gvsl prepare`.'),
  task: z.enum(['segmentation', 'classification']).default('segmentation').describe('Task.'),
  methods: z
    .array(z.enum(METHOD_NAMES))
    .min(1)
    .default([...GVSL_METHODS])
    .describe('Pre-training methods (gvsl methods lists them), and scratch; tables have them in the order of that list.'),
  baseline: z.enum(METHOD_NAMES).default(SCRATCH).describe('Baseline method for the paired tests; must be one of `methods`.'),
  modes: z
    .array(z.enum(['linear', 'probe', 'finetune']))
    .min(1)
    .default(['linear', 'finetune'])
    .describe(
      "Transfer modes: linear evaluation of the frozen U-Net; probe: a linear classifier of the encoder's levels brought to full size, without the decoder; fine-tuning. With a method that trains the encoder alone, linear brings probe with it.",
    ),
  labels: z
    .array(z.union([z.literal('all'), z.int().min(1)]))
    .min(1)
    .default(['all'])
    .describe('Numbers of labelled subjects for training.'),
  seeds: z
    .array(z.int().nonnegative())
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
    budget: z
      .enum(['passes', 'steps', 'time'])
      .default('passes')
      .describe(
        'What every method gets as much of as GVSL has in `steps` steps: passes through the encoder, steps, or time, for which the step of each is measured once.',
      ),
    search: section('A search that is the same for every method; the validation subjects choose, after training on the task.', {
      learningRate: z
        .array(z.number().positive())
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

/** A whole, checked study. */
export type Study = z.output<typeof studySchema>;

export const STUDY = { schema: studySchema, command: 'compare' } as const;
