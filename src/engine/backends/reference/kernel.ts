/** What a plain kernel is given: dense arrays and shapes. It fills `out`; loops say what is meant. Everything is double precision. */
import type { Shape } from '../../graph.ts';

/**
 * Places where the gradient goes one way or the other, closer to the edge than single precision may tell: the two greatest voxels of a max-pool's
 * window, a LeakyReLU's input and 0. Which way is a matter of rounding there: whoever compares another backend with this one may have it go the other.
 */
export interface NearTies {
  /** The greatest distance that counts; of 0 it never does. */
  readonly tolerance: number;
  /** Called with the distance at each such place, for each kernel that needs it there: whether the gradient goes the other way. */
  readonly takesOther: (gap: number) => boolean;
}

/** Whether a place this far from an edge is on its other side. */
export const isOtherSide = (gap: number, ties: NearTies | undefined): boolean =>
  ties !== undefined && gap > 0 && gap <= ties.tolerance && ties.takesOther(gap);

/** LeakyReLU's derivative at z. */
export const leakyReluDerivative = (z: number, slope: number, ties: NearTies | undefined): number =>
  z > 0 !== isOtherSide(Math.abs(z), ties) ? 1 : slope;

export interface ReferenceCall<Attributes> {
  readonly inputs: readonly Float64Array[];
  readonly inputShapes: readonly Shape[];
  /** Zeros at the start, except for an effect, where it is empty and the first inputs change instead. */
  readonly out: Float64Array;
  readonly shape: Shape;
  readonly attributes: Attributes;
  readonly ties?: NearTies;
}

export type ReferenceKernel<Attributes> = (call: ReferenceCall<Attributes>) => void;
