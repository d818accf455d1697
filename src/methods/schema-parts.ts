/**
 * What the configurations of all trainings have in common: kinds of values, and the keys that mean the same everywhere, each with what it may be and
 * what it is when nobody says.
 */
import { z } from 'zod';
import { BACKENDS } from '../engine/backend.ts';
import { DEFAULT_SPATIAL, type SpatialOptions } from './augmentation/spatial/spatial.ts';

/** Largest patch side: 512^3 needs more than any machine here has; a larger number is a slip. */
const MAX_PATCH = 512;

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

/** How a run computes. */
export const computingKeys = {
  threads: z
    .union([z.literal('auto'), count(1)])
    .default('auto')
    .describe('Threads that compute; auto is one for each core. The result does not depend on it.'),
  backend: z
    .enum(BACKENDS)
    .default('cpu')
    .describe(
      'What computes: cpu (WebAssembly), webgpu (any GPU; needs the optional package webgpu), webgpu-f16 (the same with feature maps in half precision: half the memory), auto (a real GPU with the default limits of WebGPU if there is one, else cpu; a run keeps what it began with), reference (plain and slow, for checking).',
    ),
  maxNonFiniteSteps: count(1)
    .default(10)
    .describe('A step whose loss or gradient is not finite is skipped; after so many in a row the run stops.'),
};

export const learningRateDecaySteps = count()
  .default(0)
  .describe(
    'Over so many steps the learning rate falls to a twentieth, along half a cosine, and stays there; 0: it stays as it is.',
  );

/** The ranges of the random spatial transformation. */
export const spatialKeys = {
  rotationRadians: weight().max(Math.PI).default(DEFAULT_SPATIAL.rotationRadians).describe('Largest rotation about each axis.'),
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
} satisfies Record<keyof SpatialOptions, z.ZodType>;

/**
 * What a run writes down.
 * @param evaluation what an evaluation is, and how often there is one by default
 */
export const logKeys = (evaluation: { readonly everySteps: number; readonly what: string; readonly picture: string }) => ({
  everySteps: count(1).default(10).describe('Losses, rate and gradient norms.'),
  evaluateEverySteps: count().default(evaluation.everySteps).describe(`${evaluation.what}; the best state is kept.`),
  picturesEverySteps: count().default(evaluation.everySteps).describe(`Pictures of ${evaluation.picture}.`),
  checkpointEverySteps: count().default(1000).describe('The state to go on from (also at the end and on Ctrl-C),'),
  checkpointEveryMinutes: weight().default(10).describe('and after so many minutes, whichever comes first.'),
});

/** What the training loop reads of a configuration. */
export interface LoopConfiguration {
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly learningRateDecaySteps: number;
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
