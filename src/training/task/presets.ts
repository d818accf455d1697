/** Recipes of training on tasks by name: what stands under a configuration in the place of the defaults. */

export interface Preset {
  readonly description: string;
  readonly steps: number;
  /** A configuration in part, of a training of so many steps, the first of them warm-up: the learning rate falls until the last. */
  readonly configuration: (steps: number, warmupSteps: number) => Readonly<Record<string, unknown>>;
}

/**
 * The defaults themselves are the paper's protocol (a rate of 1e-4, one crop a step, Dice alone). What each of these changes, and what parts of it
 * give, is in docs/transfer.md.
 */
export const PRESETS = {
  'few-labels': {
    description:
      'trains to convergence in 4,000 steps: two crops a step, Dice and cross-entropy, foreground in a third of crops, stronger augmentation',
    steps: 4000,
    configuration: (steps, warmupSteps) => ({
      steps,
      batch: 2,
      learningRate: 1e-3,
      learningRateDecaySteps: Math.max(0, steps - warmupSteps),
      loss: { kind: 'diceCrossEntropy' },
      data: {
        foregroundShare: 0.33,
        augmentation: {
          spatialProbability: 0.7,
          intensityProbability: 0.2,
          spatial: {
            rotationRadians: 0.26,
            scale: [0.8, 1.2],
            shearRadians: 0.05,
            translationShare: 0.05,
            elasticAlphaVoxels: [0, 150],
          },
        },
      },
      log: { evaluateEverySteps: 500 },
    }),
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as readonly PresetName[];
