/** What may be chosen of predictions. Imports nothing: the command line lists it before anything is loaded. */

/** Axes of the grid that a network sees: x runs to the patient's right, y to anterior, z to superior. */
export const MIRROR_AXES = ['x', 'y', 'z'] as const;
export type MirrorAxis = (typeof MIRROR_AXES)[number];

/** What is measured of how sure a prediction is, 0 to 1. */
export const UNCERTAINTIES = ['entropy', 'disagreement'] as const;
export type Uncertainty = (typeof UNCERTAINTIES)[number];

/** How windows are predicted. */
export interface PredictionOptions {
  /** Axes in which each window is mirrored too, in every combination: one axis takes twice the time, three take eight times. Default: none. */
  readonly mirror?: readonly MirrorAxis[];
}
