/**
 * Everything that training on a task can be told, in one schema: what a key means, what it may be, and what it is when nobody says
 * (the paper's transfer protocol: docs/method.md, section 9).
 */
import { z } from 'zod';
import type { Zyx } from '../../geometry/volume.ts';
import {
  computingKeys,
  count,
  initKey,
  logKeys,
  patchSchema,
  positive,
  probability,
  section,
  spatialKeys,
  toPatchSize,
  updateKeys,
} from '../../methods/schema-parts.ts';
import type { ConfigurationKind } from '../configuration-reference.ts';

/** Subjects: a share below 1, or how many. */
const amount = () =>
  z
    .number()
    .nonnegative()
    .refine((value) => value < 1 || Number.isInteger(value), 'expected a fraction below 1 or a whole number of subjects');

/** The schema itself. Unknown keys are refused. */
export const transferConfigurationSchema = z.strictObject({
  task: z.enum(['segmentation', 'classification']).default('segmentation').describe('Task.'),
  mode: z
    .enum(['finetune', 'linear'])
    .default('finetune')
    .describe('finetune: train all parameters; linear: train the head alone on the frozen backbone (linear evaluation).'),
  init: initKey,
  seed: count().default(1).describe('Random seed; equal seeds give equal runs.'),
  steps: count(1).default(40_000).describe('Total number of optimiser steps, including those before a resume.'),
  batch: count(1).default(1).describe('Crops per step (batch size).'),
  learningRate: positive().default(1e-4).describe('Learning rate of Adam.'),
  ...updateKeys,
  earlyStopEvaluations: count()
    .default(0)
    .describe('Early stopping: stop after this many evaluations without improvement; 0 disables.'),
  ...computingKeys,
  model: section('Network architecture.', {
    width: z
      .union([z.literal('auto'), z.literal(1), z.literal(0.5), z.literal(0.25), z.literal(0.125)])
      .default('auto')
      .describe('Width multiplier of the channels 32-64-128-256-512; auto: that of the initial model, or 1 from scratch.'),
  }),
  data: section('Input data.', {
    patch: patchSchema
      .default(128)
      .describe('Size of the random crops and of the sliding windows at inference: one side length, or [z, y, x].'),
    labels: z
      .union([z.literal('all'), count(1)])
      .default('all')
      .describe('Number of labelled subjects to train with; subsets are drawn at random and nested.'),
    validation: amount()
      .default(0.2)
      .describe('Labelled subjects for validation (selection of the best checkpoint): a fraction below 1, or a number.'),
    test: amount()
      .default(0)
      .describe('Held-out test subjects, in addition to the test cases of the cohort: a fraction below 1, or a number.'),
    folds: count(1)
      .default(1)
      .describe('Number of cross-validation folds; above 1, the subjects of `fold` are the validation subjects.'),
    fold: z
      .union([z.literal('all'), count(1)])
      .default('all')
      .describe('Index of the fold to train, from 1; all: one after the other, with a table of the whole cross-validation.'),
    splitSeed: count()
      .default(1)
      .describe('Random seed of the split, separate from `seed`, so that runs with different seeds share a split.'),
    split: z
      .string()
      .nullable()
      .default(null)
      .describe('JSON file with lists training, validation and test of subject ids, instead of a random split.'),
    labelCodes: z
      .union([z.literal('all'), z.array(z.int()).min(1)])
      .default('all')
      .describe('Label codes to segment, besides the background (0); other codes become background.'),
    foregroundShare: probability()
      .default(0)
      .describe('Fraction of crops centred on a voxel of a randomly drawn class (foreground oversampling).'),
    augmentation: section('Data augmentation.', {
      enabled: z
        .union([z.literal('auto'), z.boolean()])
        .default('auto')
        .describe('auto: on for finetune, off for linear (whose features are then computed only once).'),
      spatialProbability: probability().default(0.5).describe('Probability of a spatial transform.'),
      intensityProbability: probability()
        .default(0.15)
        .describe('Probability of each intensity change (brightness, contrast, gamma, noise).'),
      flips: z
        .array(z.enum(['x', 'y', 'z']))
        .default([])
        .describe('Axes flipped with probability 0.5; only where the anatomy allows it (x swaps left and right).'),
      spatial: section('Spatial transform.', spatialKeys),
    }),
  }),
  loss: section('Segmentation loss.', {
    kind: z
      .enum(['dice', 'diceCrossEntropy'])
      .default('dice')
      .describe('dice: soft Dice loss as in the paper; diceCrossEntropy: Dice plus voxel-wise cross-entropy.'),
  }),
  inference: section('Sliding-window inference on validation and test volumes.', {
    overlap: z
      .number()
      .min(0)
      .max(0.9)
      .default(0.5)
      .describe('Minimum overlap of neighbouring windows, as a fraction of the side.'),
    postProcessing: z
      .boolean()
      .default(true)
      .describe(
        'Post-processing: whether keeping the largest part of a structure, or its parts from some volume on, is looked for on the validation subjects at the end; the model stores what helps.',
      ),
  }),
  log: section('Logging, evaluation and checkpoint intervals, in steps; 0 disables.', {
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
