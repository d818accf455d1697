/**
 * Everything that a pre-training run can be told, in one schema: what a key means, what it may be, and what it is when nobody
 * says (the paper's protocol). The reference for users is rendered from it (configuration-reference.ts) and files and options
 * are checked by it (read-configuration.ts); nothing is said twice.
 */
import { z } from 'zod';
import { type DamageOptions, DEFAULT_DAMAGE } from '../method/damage/damage.ts';
import { DEFAULT_SPATIAL, type SpatialOptions } from '../method/spatial/spatial.ts';

/** Largest patch side: 512^3 needs more than any machine here has; a larger number is a slip. */
const MAX_PATCH = 512;

const count = (least = 0) => z.int().min(least);
const positive = () => z.number().positive();
const weight = () => z.number().nonnegative();
const probability = () => z.number().min(0).max(1);
const share = () => z.number().positive().max(1);
/** [least, largest] of something drawn uniformly. */
const range = (bound: z.ZodNumber) =>
  z.tuple([bound, bound]).refine(([least, largest]) => least <= largest, 'the first number must not exceed the second');
/** A group of keys; left out, all of them have their defaults. */
const section = <Shape extends z.ZodRawShape>(description: string, shape: Shape) =>
  // The cast is sound because every key has a default.
  z
    .strictObject(shape)
    .prefault({} as never)
    .describe(description);

const patchSide = z.int().min(8).max(MAX_PATCH);

/** The schema itself. Unknown keys are refused. */
export const pretrainConfigurationSchema = z
  .strictObject({
    seed: count().default(1).describe('Names every random number of the run; equal seeds give equal runs.'),
    steps: count(1).default(200_000).describe('Optimiser steps in all, those before a resume included.'),
    batch: count(1).default(2).describe('Pairs of images a step.'),
    learningRate: positive().default(1e-4).describe("Adam's learning rate."),
    learningRateDecaySteps: count()
      .default(0)
      .describe(
        'Over so many steps the learning rate falls to a twentieth, along half a cosine, and stays there; 0: it stays as it is.',
      ),
    threads: z
      .union([z.literal('auto'), count(1)])
      .default('auto')
      .describe('Threads that compute; auto is one for each core. The result does not depend on it.'),
    backend: z
      .enum(['auto', 'cpu', 'reference'])
      .default('auto')
      .describe('What computes: cpu (WebAssembly), reference (plain and slow, for checking), auto (the best there is).'),
    maxNonFiniteSteps: count(1)
      .default(10)
      .describe('A step whose loss or gradient is not finite is skipped; after so many in a row the run stops.'),
    model: section('The network.', {
      width: z
        .union([z.literal(1), z.literal(0.5), z.literal(0.25), z.literal(0.125)])
        .default(1)
        .describe('Scales the channels 32-64-128-256-512 (rounded up to multiples of 8).'),
      heads: section('Which heads are trained beside the U-Net; at least matching or restoration.', {
        affine: z.boolean().default(true).describe('The affine part of the matching head.'),
        matching: z.boolean().default(true).describe('The matching head whole: without it there is no affine part either.'),
        restoration: z.boolean().default(true).describe('The restoration head, the fundament.'),
      }),
    }),
    data: section('What the network is shown.', {
      patch: z
        .union([patchSide, z.tuple([patchSide, patchSide, patchSide])])
        .default(96)
        .describe('Size of the random crops in voxels: one side, or [z, y, x].'),
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
        rotationRadians: weight()
          .max(Math.PI)
          .default(DEFAULT_SPATIAL.rotationRadians)
          .describe('Largest rotation about each axis.'),
        scale: range(z.number().positive().max(4))
          .default([...DEFAULT_SPATIAL.scale])
          .describe('Least and largest scale of each axis.'),
        shearRadians: weight().max(1).default(DEFAULT_SPATIAL.shearRadians).describe('Largest angle of each shear.'),
        translationShare: probability()
          .default(DEFAULT_SPATIAL.translationShare)
          .describe('Largest translation along each axis, as a share of its size.'),
        elasticAlphaVoxels: range(z.number().nonnegative())
          .default([...DEFAULT_SPATIAL.elasticAlphaVoxels])
          .describe('Least and largest factor on the smoothed noise of the elastic field; [0, 0] is none.'),
        elasticSigmaVoxels: range(z.number().positive().max(100))
          .default([...DEFAULT_SPATIAL.elasticSigmaVoxels])
          .describe('Least and largest standard deviation of the Gaussian that smooths it.'),
      } satisfies Record<keyof SpatialOptions | 'mode', z.ZodType>),
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
      everySteps: count(1).default(10).describe('Losses, rate and gradient norms.'),
      evaluateEverySteps: count().default(1000).describe('Evaluation on held-out pairs; the best state is kept.'),
      evaluatePairs: count(1).default(10).describe('Held-out pairs an evaluation looks at.'),
      picturesEverySteps: count().default(1000).describe('Pictures of a held-out pair.'),
      checkpointEverySteps: count().default(1000).describe('The state to go on from (also at the end and on Ctrl-C),'),
      checkpointEveryMinutes: weight().default(10).describe('and after so many minutes, whichever comes first.'),
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
export const patchSize = ({ data: { patch } }: PretrainConfiguration): readonly [number, number, number] =>
  typeof patch === 'number' ? [patch, patch, patch] : patch;
