/** What a registration can be asked for. Stands alone, so that the command line knows the choices without loading the work. */

/** Where registration starts: the centres on one another, where the images' geometries place them, or the affine that makes them most alike. */
export const STARTS = ['centres', 'stored', 'affine'] as const;
export type Start = (typeof STARTS)[number];

/** What an affine makes alike: mutual information, for any contrasts, or correlation. */
export const SIMILARITIES = ['mi', 'ncc'] as const;
export type Similarity = (typeof SIMILARITIES)[number];

/** What a refinement makes alike: local correlation, or values themselves (images of one scanner and sequence). */
export const REFINE_LOSSES = ['ncc', 'mse'] as const;
export type RefineLoss = (typeof REFINE_LOSSES)[number];

/** What is asked of a registration, whatever its images. */
export interface RegistrationOptions {
  /** Default with a model: centres; without: affine. */
  readonly start: Start;
  /** What `start` affine and the affine part of refinement make most alike. Default mi. */
  readonly similarity: Similarity;
  /** Steps of the refinement at most; 0: none. Default with a model: 0; without: 60. */
  readonly refine: number;
  /** Default ncc. */
  readonly refineLoss: RefineLoss;
  /** Whether a stage that makes the images less alike is built on all the same. Default false. */
  readonly keepAll: boolean;
  /** Side of the network's tiles in voxels; by default both images whole if memory allows. */
  readonly tile?: number | undefined;
}

/** What is done where nothing is asked for: with a network, and without. */
export const DEFAULT_OPTIONS: RegistrationOptions = {
  start: 'centres',
  similarity: 'mi',
  refine: 0,
  refineLoss: 'ncc',
  keepAll: false,
};
export const DEFAULT_OPTIONS_ALONE: RegistrationOptions = { ...DEFAULT_OPTIONS, start: 'affine', refine: 60 };
