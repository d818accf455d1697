/**
 * What the configurations of all trainings have in common: kinds of values, and the keys that mean the same everywhere, each with what it may be and
 * what it is when nobody says.
 */
import { z } from 'zod';
import { BACKENDS } from '../engine/backend.ts';
import { DEFAULT_SPATIAL, type SpatialOptions } from './augmentation/spatial/spatial.ts';

/** Largest patch side: 512^3 needs more than any machine here has; a larger number is a slip. */
const MAX_PATCH = 512;

/** Widest Gaussian in voxels: beyond, an image is even or a field a translation, and both take ever longer. */
export const MAX_SIGMA = 100;

/** Shapes of the learning rate's decay. */
export const DECAYS = ['cosine', 'polynomial'] as const;

export const count = (least = 0) => z.int().min(least);
export const positive = () => z.number().positive();
export const weight = () => z.number().nonnegative();
export const probability = () => z.number().min(0).max(1);
export const share = () => z.number().positive().max(1);
/** [least, largest] of something drawn uniformly. */
export const range = (bound: z.ZodNumber) =>
  z.tuple([bound, bound]).refine(([least, largest]) => least <= largest, 'the first number must not exceed the second');
/** A group of keys; left out, all of them have their defaults. */
export const section = <Shape extends z.ZodRawShape>(description: string, shape: Shape) =>
  // The cast is sound because every key has a default.
  z
    .strictObject(shape)
    .prefault({} as never)
    .describe(description);

export const patchSide = z.int().min(8).max(MAX_PATCH);

/** The patch: one side, or [z, y, x]. */
export const patchSchema = z.union([patchSide, z.tuple([patchSide, patchSide, patchSide])]);

/** The patch as (z, y, x). */
export const toPatchSize = (patch: z.output<typeof patchSchema>): readonly [number, number, number] =>
  typeof patch === 'number' ? [patch, patch, patch] : patch;

export const initKey = z
  .string()
  .min(1)
  .default('scratch')
  .describe('Model to start from (a model folder or a run), or scratch for random parameters.');

/** How long and how fast a network is pre-trained. */
export const optimiserKeys = {
  init: initKey,
  seed: count().default(1).describe('Random seed; equal seeds give equal runs.'),
  steps: count(1).default(200_000).describe('Total number of optimiser steps, including those before a resume.'),
  batch: count(1).default(2).describe('Samples per step (batch size).'),
  learningRate: positive().default(1e-4).describe('Learning rate of Adam.'),
};

/** What is shown of images with several channels. */
export const CHANNEL_MODES = ['one', 'all'] as const;

export const widthKey = z
  .union([z.literal(1), z.literal(0.5), z.literal(0.25), z.literal(0.125)])
  .default(1)
  .describe('Width multiplier of the channels 32-64-128-256-512 (rounded down to multiples of 8, at least 8).');

/** The crops, and who is kept from training. */
export const dataKeys = {
  channels: z
    .enum(CHANNEL_MODES)
    .default('one')
    .describe(
      'Of cohorts with several channels. one: each sample is of one of them, drawn at random, and the network has one input channel; all: every sample has all of them, and so has the network.',
    ),
  patch: patchSchema.default(96).describe('Size of the random crops in voxels: one side length, or [z, y, x].'),
  heldOut: z
    .number()
    .nonnegative()
    .refine((value) => value < 1 || Number.isInteger(value), 'expected a fraction below 1 or a whole number of subjects')
    .default(0.1)
    .describe(
      'Held-out subjects for evaluation: a fraction below 1, or a number; 0 for none. Test cases of the source that have labels, landmarks or a class are neither trained with nor held out.',
    ),
  split: z
    .string()
    .nullable()
    .default(null)
    .describe(
      'JSON file with the split, as for `gvsl train`: its test subjects are left out, so that nothing has seen them; its validation subjects are held out, in the place of `heldOut`; all others are trained with.',
    ),
};

/** How a run computes. */
export const computingKeys = {
  threads: z
    .union([z.literal('auto'), count(1)])
    .default('auto')
    .describe('Number of CPU threads; auto uses one per core. Results do not depend on it.'),
  backend: z
    .enum(BACKENDS)
    .default('cpu')
    .describe(
      'Compute backend: cpu (WebAssembly), webgpu (any GPU; needs the optional package webgpu), webgpu-f16 (feature maps in half precision: half the memory), auto (a hardware GPU with at least the default WebGPU limits if there is one, else cpu; a run keeps its first choice), reference (slow, double precision, for verification).',
    ),
  maxNonFiniteSteps: count(1)
    .default(10)
    .describe('Steps with a non-finite loss or gradient are skipped; stop after this many in a row.'),
};

/** How gradients become updates, beyond the paper's Adam at a constant rate. */
export const updateKeys = {
  accumulate: count(1)
    .default(1)
    .describe(
      'Batches per step (gradient accumulation): the gradients of a step are the mean over them. Of use where a loss needs whole batches, whose memory grows with them; elsewhere it is the same as a larger batch.',
    ),
  learningRateDecaySteps: count()
    .default(0)
    .describe('Steps of learning-rate decay, after the warm-up; constant afterwards; 0 for a constant rate.'),
  learningRateDecay: z
    .enum(DECAYS)
    .default('cosine')
    .describe('Shape of the decay: cosine, or polynomial (power 0.9, as in nnU-Net).'),
  learningRateEnd: probability()
    .default(0.05)
    .describe('Learning rate at the end of the decay, as a fraction of learningRate; 0 decays to zero.'),
  warmupSteps: count()
    .default(0)
    .describe('Steps of linear learning-rate warm-up: the k-th of n takes k/n of the learning rate; 0 for none.'),
  gradientClip: weight()
    .default(0)
    .describe(
      'Largest global L2 norm of the gradients; larger ones are scaled down to it (torch.nn.utils.clip_grad_norm_); 0 for no clipping.',
    ),
  weightDecay: weight()
    .default(0)
    .describe(
      'Decoupled weight decay (AdamW) of the weights of convolutions and linear layers; biases and parameters of norms do not decay; 0 for none.',
    ),
  emaDecay: z
    .number()
    .min(0)
    .max(0.99999)
    .default(0)
    .describe(
      'Decay of an exponential moving average of the weights (EMA), which is then what is evaluated, chosen as best and exported; 0 for none.',
    ),
};

/** The ranges of the random spatial transformation. */
export const spatialKeys = {
  rotationRadians: weight().max(Math.PI).default(DEFAULT_SPATIAL.rotationRadians).describe('Maximum rotation about each axis.'),
  scale: range(z.number().positive().max(4))
    .default([...DEFAULT_SPATIAL.scale])
    .describe('Minimum and maximum scale per axis.'),
  shearRadians: weight().max(1).default(DEFAULT_SPATIAL.shearRadians).describe('Maximum shear angle.'),
  translationShare: probability()
    .default(DEFAULT_SPATIAL.translationShare)
    .describe('Maximum translation per axis, as a fraction of the size.'),
  elasticAlphaVoxels: range(z.number().nonnegative())
    .default([...DEFAULT_SPATIAL.elasticAlphaVoxels])
    .describe('Minimum and maximum amplitude of the elastic field (factor on smoothed noise); [0, 0] disables it.'),
  // below a voxel it smooths nothing, and a grid of one node a sigma (elastic-field.ts) would have any number of nodes
  elasticSigmaVoxels: range(z.number().min(1).max(MAX_SIGMA))
    .default([...DEFAULT_SPATIAL.elasticSigmaVoxels])
    .describe('Minimum and maximum standard deviation of the Gaussian that smooths the elastic field.'),
} satisfies Record<keyof SpatialOptions, z.ZodType>;

/**
 * What a run writes down.
 * @param evaluation what an evaluation is, and how often there is one by default
 */
export const logKeys = (evaluation: { readonly everySteps: number; readonly what: string; readonly picture: string }) => ({
  everySteps: count(1).default(10).describe('Losses, learning rate and gradient norms.'),
  evaluateEverySteps: count().default(evaluation.everySteps).describe(`${evaluation.what}; the best checkpoint is kept.`),
  picturesEverySteps: count().default(evaluation.everySteps).describe(`Pictures of ${evaluation.picture}.`),
  checkpointEverySteps: count().default(1000).describe('Checkpoints (one is always written at the end and on Ctrl-C).'),
  checkpointEveryMinutes: weight().default(10).describe('Maximum minutes between checkpoints.'),
});

/**
 * The schema of a method's configuration: what every pre-training is told, and the method's own keys, each with its default and description.
 * A configuration is checked by it, and `docs`, help and messages are made of it.
 */
export const pretrainingSchema = <Own extends z.ZodRawShape>(own: Own) =>
  z.strictObject({
    ...optimiserKeys,
    ...updateKeys,
    ...computingKeys,
    model: section('Network architecture.', { width: widthKey }),
    data: section('Input data.', dataKeys),
    log: section(
      'Logging and checkpoint intervals in steps; 0 is never.',
      logKeys({ everySteps: 1000, what: 'Evaluation on held-out subjects', picture: 'a held-out subject' }),
    ),
    ...own,
  });

/** What pre-training reads of every method's configuration. */
export interface PretrainingConfiguration extends LoopConfiguration {
  /** Model to start from; left out: random parameters. */
  readonly init?: string;
  readonly seed: number;
  readonly threads: 'auto' | number;
  readonly backend: string;
  readonly model: { readonly width: number };
  readonly data: {
    /** Left out: one. */
    readonly channels?: (typeof CHANNEL_MODES)[number];
    readonly patch: z.output<typeof patchSchema>;
    readonly heldOut: number;
    /** Left out: none. */
    readonly split?: string | null;
  };
}

/** Samples that a step takes. */
export const samplesPerStep = ({ batch, accumulate = 1 }: Pick<LoopConfiguration, 'batch' | 'accumulate'>): number =>
  batch * accumulate;

/** What the training loop reads of a configuration. */
export interface LoopConfiguration {
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly learningRateDecaySteps: number;
  /** Left out: as `updateKeys` has it. */
  readonly learningRateDecay?: (typeof DECAYS)[number];
  readonly learningRateEnd?: number;
  readonly warmupSteps?: number;
  readonly accumulate?: number;
  readonly gradientClip?: number;
  readonly weightDecay?: number;
  readonly emaDecay?: number;
  readonly maxNonFiniteSteps: number;
  /** Evaluations in a row without gain after which the run ends; 0 or left out: never. */
  readonly earlyStopEvaluations?: number;
  readonly log: {
    readonly everySteps: number;
    readonly evaluateEverySteps: number;
    readonly picturesEverySteps: number;
    readonly checkpointEverySteps: number;
    readonly checkpointEveryMinutes: number;
  };
}
