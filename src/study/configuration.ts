/** A study as its file declares it: which methods, on which task, with how many labels, in which modes, with which seeds. */
import { z } from 'zod';
import { section } from '../methods/schema-parts.ts';
import { STUDY_METHODS } from './methods.ts';

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
    .default(METHOD_NAMES)
    .describe('Pre-training methods, in the order of the tables.'),
  baseline: z.enum(METHOD_NAMES).default('scratch').describe('Baseline method for the paired tests; must be one of `methods`.'),
  modes: z
    .array(z.enum(['linear', 'finetune']))
    .min(1)
    .default(['linear', 'finetune'])
    .describe('Transfer modes.'),
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
    configuration: document().describe('Pre-training configuration, as for `gvsl pretrain --config`.'),
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
