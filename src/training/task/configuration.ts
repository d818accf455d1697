/**
 * Everything that training on a task can be told, in one schema: what a key means, what it may be, and what it is when nobody says
 * (the paper's transfer protocol, docs/transfer.md).
 */
import { z } from 'zod';
import type { Zyx } from '../../geometry/volume.ts';
import {
  computingKeys,
  count,
  learningRateDecaySteps,
  logKeys,
  patchSchema,
  positive,
  probability,
  section,
  spatialKeys,
  toPatchSize,
} from '../../methods/schema-parts.ts';
import type { ConfigurationKind } from '../configuration-reference.ts';

/** Subjects: a share below 1, or how many. */
const amount = () =>
  z
    .number()
    .nonnegative()
    .refine((value) => value < 1 || Number.isInteger(value), 'a number of subjects (whole) or a share below 1');

/** The schema itself. Unknown keys are refused. */
export const transferConfigurationSchema = z.strictObject({
  task: z.enum(['segmentation', 'classification']).default('segmentation').describe('What is learnt.'),
  mode: z
    .enum(['finetune', 'linear'])
    .default('finetune')
    .describe('finetune: everything is trained; linear: the head alone, on the frozen backbone.'),
  init: z
    .string()
    .min(1)
    .default('scratch')
    .describe('The model whose backbone training starts from (a model folder or a run), or scratch.'),
  seed: count().default(1).describe('Names every random number of the run; equal seeds give equal runs.'),
  steps: count(1).default(40_000).describe('Optimiser steps in all, those before a resume included.'),
  batch: count(1).default(1).describe('Crops a step.'),
  learningRate: positive().default(1e-4).describe("Adam's learning rate."),
  learningRateDecaySteps,
  earlyStopEvaluations: count().default(0).describe('So many evaluations in a row without gain end the run; 0: never.'),
  ...computingKeys,
  model: section('The network.', {
    width: z
      .union([z.literal('auto'), z.literal(1), z.literal(0.5), z.literal(0.25), z.literal(0.125)])
      .default('auto')
      .describe('Scales the channels 32-64-128-256-512; auto: those of the model it starts from, 1 from scratch.'),
  }),
  data: section('What the network is shown.', {
    patch: patchSchema
      .default(128)
      .describe('Size of the random crops, and of the windows of inference: one side, or [z, y, x].'),
    labels: z
      .union([z.literal('all'), count(1)])
      .default('all')
      .describe('How many labelled subjects to train with; fewer are drawn from all, and each number contains the smaller ones.'),
    validation: amount()
      .default(0.2)
      .describe('Labelled subjects that the best state is chosen by: a share below 1, or how many.'),
    test: amount()
      .default(0)
      .describe(
        'Labelled subjects kept from everything until the end, beside those that the cohort calls test cases: a share below 1, or how many.',
      ),
    folds: count(1).default(1).describe('Above 1: so many folds; the validation subjects are those of `fold`.'),
    fold: count(1).default(1).describe('Which fold, from 1.'),
    splitSeed: count().default(1).describe('Names the split, apart from `seed`, so that runs of several seeds share it.'),
    split: z
      .string()
      .nullable()
      .default(null)
      .describe('A JSON file with the lists training, validation and test of subject ids, instead of a drawn split.'),
    labelCodes: z
      .union([z.literal('all'), z.array(z.int()).min(1)])
      .default('all')
      .describe(
        'Codes of the label maps that are classes beside the background (0), for segmentation; others become background.',
      ),
    foregroundShare: probability()
      .default(0)
      .describe('Share of the crops that are centred on a labelled voxel of a class drawn at random; the others lie anywhere.'),
    augmentation: section('Changes of the crops in training.', {
      enabled: z
        .union([z.literal('auto'), z.boolean()])
        .default('auto')
        .describe('auto: on for finetune, off for linear, whose features are then computed once.'),
      spatialProbability: probability().default(0.5).describe('That a crop is transformed.'),
      intensityProbability: probability().default(0.15).describe('Of each change of brightness, contrast, gamma, noise.'),
      flips: z
        .array(z.enum(['x', 'y', 'z']))
        .default([])
        .describe('Axes that are mirrored half of the time; only where anatomy allows it (x exchanges left and right).'),
      spatial: section('The random transformation.', spatialKeys),
    }),
  }),
  loss: section('The loss of segmentation.', {
    kind: z
      .enum(['dice', 'diceCrossEntropy'])
      .default('dice')
      .describe("dice: the paper's; diceCrossEntropy: with the voxels' cross-entropy beside it."),
  }),
  inference: section('How validation and test volumes are predicted.', {
    overlap: z.number().min(0).max(0.9).default(0.5).describe('Least share of a side that neighbouring windows have in common.'),
  }),
  log: section('What the run writes down, and how often. Counts of steps; 0 is never.', {
    ...logKeys({ everySteps: 200, what: 'Evaluation on the validation subjects', picture: 'a validation subject' }),
  }),
});

/** A whole, checked configuration. */
export type TransferConfiguration = z.output<typeof transferConfigurationSchema>;

export const TRANSFER: ConfigurationKind<typeof transferConfigurationSchema> = {
  schema: transferConfigurationSchema,
  command: 'train',
};

/** The patch as (z, y, x). */
export const transferPatch = ({ data: { patch } }: TransferConfiguration): Zyx => toPatchSize(patch);

/** Whether crops are augmented. */
export const isAugmented = ({ mode, data: { augmentation } }: TransferConfiguration): boolean =>
  augmentation.enabled === 'auto' ? mode === 'finetune' : augmentation.enabled;
