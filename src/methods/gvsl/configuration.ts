/**
 * Everything that a pre-training run can be told, in one schema: what a key means, what it may be, and what it is when nobody
 * says (the paper's protocol). The reference for users is rendered from it (configuration-reference.ts) and files and options
 * are checked by it (read-configuration.ts); nothing is said twice.
 */
import { z } from 'zod';
import { type DamageOptions, DEFAULT_DAMAGE } from '../augmentation/damage/damage.ts';
import {
  computingKeys,
  count,
  learningRateDecaySteps,
  logKeys,
  patchSchema,
  positive,
  probability,
  range,
  section,
  share,
  spatialKeys,
  toPatchSize,
  weight,
} from '../schema-parts.ts';

/** The schema itself. Unknown keys are refused. */
export const pretrainConfigurationSchema = z
  .strictObject({
    seed: count().default(1).describe('Names every random number of the run; equal seeds give equal runs.'),
    steps: count(1).default(200_000).describe('Optimiser steps in all, those before a resume included.'),
    batch: count(1).default(2).describe('Pairs of images a step.'),
    learningRate: positive().default(1e-4).describe("Adam's learning rate."),
    learningRateDecaySteps,
    ...computingKeys,
    model: section('The network.', {
      width: z
        .union([z.literal(1), z.literal(0.5), z.literal(0.25), z.literal(0.125)])
        .default(1)
        .describe('Scales the channels 32-64-128-256-512 (rounded down to multiples of 8, at least 8).'),
      heads: section('Which heads are trained beside the U-Net; at least matching or restoration.', {
        affine: z.boolean().default(true).describe('The affine part of the matching head.'),
        matching: z.boolean().default(true).describe('The matching head whole: without it there is no affine part either.'),
        restoration: z.boolean().default(true).describe('The restoration head, the fundament.'),
      }),
    }),
    data: section('What the network is shown.', {
      patch: patchSchema.default(96).describe('Size of the random crops in voxels: one side, or [z, y, x].'),
      heldOut: z
        .number()
        .nonnegative()
        .refine((value) => value < 1 || Number.isInteger(value), 'a number of subjects (whole) or a share below 1')
        .default(0.1)
        .describe('Subjects kept from training for evaluation: a share below 1, or how many; 0 is none.'),
      jitterVoxels: count()
        .default(4)
        .describe('How far each crop of a pair is moved from the same relative place of its image, along each axis, either way.'),
      mirroredPairs: z
        .boolean()
        .default(false)
        .describe(
          'Every second pair of a batch is the one before it the other way round, so that pose is learnt from the images alone.',
        ),
      spatial: section('The random transformation of the images before they are shown.', {
        mode: z
          .enum(['shared', 'independent', 'none'])
          .default('shared')
          .describe(
            'shared: one for both images of a pair; independent: one for each, so that there is a pose to find; none: no transformation.',
          ),
        ...spatialKeys,
      }),
      damage: section('The damage to the moving image that restoration undoes.', {
        enabled: z.boolean().default(true).describe('Whether there is any.'),
        shufflingProbability: probability()
          .default(DEFAULT_DAMAGE.shufflingProbability)
          .describe('That boxes are shuffled inside.'),
        shufflingBoxes: count().max(1_000_000).default(DEFAULT_DAMAGE.shufflingBoxes).describe('How many boxes.'),
        shufflingShare: share()
          .default(DEFAULT_DAMAGE.shufflingShare)
          .describe("Their largest side as a share of the patch's (two voxels at the least)."),
        intensityProbability: probability()
          .default(DEFAULT_DAMAGE.intensityProbability)
          .describe('That intensities go through a random monotone curve.'),
        inPaintingBoxes: count()
          .max(10_000)
          .default(DEFAULT_DAMAGE.inPaintingBoxes)
          .describe('The most boxes filled with noise.'),
        inPaintingProbability: probability()
          .default(DEFAULT_DAMAGE.inPaintingProbability)
          .describe('Before each of them, that there is one more.'),
        inPaintingShares: range(share())
          .default([...DEFAULT_DAMAGE.inPaintingShares])
          .describe("Least and largest side of such a box as shares of the patch's."),
      } satisfies Record<keyof DamageOptions | 'enabled', z.ZodType>),
    }),
    loss: section('The weights of the losses.', {
      ncc: weight().default(1).describe('Local normalised cross-correlation of the warped and the fixed image.'),
      affineNcc: weight()
        .default(0)
        .describe('The same correlation after the affine part alone, which teaches that part directly; 0 is the paper.'),
      smooth: weight().default(1).describe('Smoothness of the flow.'),
      mse: weight().default(1).describe('Mean squared error of the restored image.'),
      nccWindow: z
        .int()
        .min(3)
        .max(31)
        .refine((value) => value % 2 === 1, 'the window must be odd, so that it has a centre')
        .default(9)
        .describe("Side of the correlation's window in voxels, odd."),
      nccOver: z
        .enum(['all', 'overlap'])
        .default('all')
        .describe(
          'all: every window counts, what lies outside the moving image as darkness (the paper); overlap: only where the images overlap.',
        ),
    }),
    log: section('What the run writes down, and how often. Counts of steps; 0 is never.', {
      ...logKeys({ everySteps: 1000, what: 'Evaluation on held-out pairs', picture: 'a held-out pair' }),
      evaluatePairs: count(1).default(10).describe('Held-out pairs an evaluation looks at.'),
    }),
  })
  .superRefine((configuration, context) => {
    const { matching, restoration } = configuration.model.heads;
    if (!matching && !restoration)
      context.addIssue({
        code: 'custom',
        path: ['model', 'heads'],
        message: 'without matching and without restoration there is nothing to learn; leave one on',
      });
  });

/** A whole, checked configuration. */
export type PretrainConfiguration = z.output<typeof pretrainConfigurationSchema>;

/** The paper's protocol. */
export const DEFAULT_CONFIGURATION: PretrainConfiguration = pretrainConfigurationSchema.parse({});

/** The patch as (z, y, x). */
export const patchSize = ({ data: { patch } }: PretrainConfiguration): readonly [number, number, number] => toPatchSize(patch);
