/** The demo's patients and their pre-training: the command line and the page in the browser run the same. */
import type { PrepareOptions } from '../cohort/prepare-options.ts';

/**
 * What the demo makes and trains: everything that decides how long it takes and how well it matches. Coarse images, patients that lie less
 * differently than in real hospitals (a pose is learnt in hours, not minutes), less damage than at full size (its boxes would cover the whole
 * small patch), and every pair in both directions.
 */
export const DEMO_SETTINGS = {
  /** Steps of the short demo, over which its learning rate falls too: a weaker result in less than half of the time. */
  shortSteps: 600,
  phantoms: { kind: 'heart-ct', subjects: 24, spacingMm: 6, pose: 0.3 },
  /** Seed of the page's example: other patients than those that its model has learnt from. */
  exampleSeed: 2,
  prepare: { modality: 'ct', spacingMm: [6, 6, 6], size: null, crop: 'none', intensity: 'minmax' } satisfies PrepareOptions,
  pretrain: {
    steps: 1500,
    batch: 2,
    learningRate: 1e-3,
    learningRateDecaySteps: 1500,
    model: { width: 0.25 },
    data: {
      patch: [24, 32, 32],
      heldOut: 6,
      jitterVoxels: 1,
      mirroredPairs: true,
      spatial: {
        rotationRadians: 0.1,
        scale: [0.9, 1.1],
        shearRadians: 0.05,
        translationShare: 0.05,
        elasticAlphaVoxels: [0, 100],
      },
      damage: { shufflingBoxes: 200, inPaintingBoxes: 4, intensityProbability: 0.5 },
    },
    loss: { affineNcc: 1, nccOver: 'overlap', smooth: 3 },
    log: { everySteps: 5, evaluateEverySteps: 300, evaluatePairs: 12, picturesEverySteps: 900, checkpointEverySteps: 300 },
  },
} as const;
