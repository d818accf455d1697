/** A study as its file declares it: which methods, on which task, with how many labels, in which modes, with which seeds. */
import { z } from 'zod';
import { section } from '../methods/schema-parts.ts';
import { STUDY_METHODS } from './methods.ts';

const METHOD_NAMES = STUDY_METHODS.map(({ name }) => name) as [string, ...string[]];
/** A configuration of its own, checked when it is used. */
const document = () => z.record(z.string(), z.unknown()).default({});

export const studySchema = z.strictObject({
  name: z.string().min(1).default('study').describe('Names the study in its tables.'),
  cohort: z.string().min(1).describe('The labelled cohort that `gvsl prepare` made.'),
  task: z.enum(['segmentation', 'classification']).default('segmentation').describe('What is learnt.'),
  methods: z
    .array(z.enum(METHOD_NAMES))
    .min(1)
    .default(METHOD_NAMES)
    .describe('Methods of pre-training, in the order of the tables.'),
  baseline: z
    .enum(METHOD_NAMES)
    .default('scratch')
    .describe('The method that the others are tested against; it must be among them.'),
  modes: z
    .array(z.enum(['linear', 'finetune']))
    .min(1)
    .default(['linear', 'finetune'])
    .describe('Modes of transfer.'),
  labels: z
    .array(z.union([z.literal('all'), z.int().min(1)]))
    .min(1)
    .default(['all'])
    .describe('Numbers of labelled subjects to train with.'),
  seeds: z
    .array(z.int().nonnegative())
    .min(1)
    .default([1, 2, 3])
    .describe('Seeds; each is a run of everything after pre-training.'),
  pretraining: section('How the methods are pre-trained.', {
    cohort: z.string().nullable().default(null).describe('The unlabelled cohort; null: the labelled one.'),
    configuration: document().describe('Configuration of pre-training, as `gvsl pretrain --config` takes it.'),
    models: z
      .record(z.string(), z.string())
      .default({})
      .describe('Models that exist already, by method: a model folder or a run.'),
  }),
  transfer: section('How the task is trained; the same budget for every method.', {
    configuration: document().describe('Configuration of training, as `gvsl train --config` takes it.'),
    linear: document().describe('What is otherwise for linear evaluation.'),
    finetune: document().describe('What is otherwise for fine-tuning.'),
  }),
});

/** A whole, checked study. */
export type Study = z.output<typeof studySchema>;

export const STUDY = { schema: studySchema, command: 'compare' } as const;
