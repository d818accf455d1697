/** What a plain kernel is given: dense arrays and shapes. It fills `out`; loops say what is meant. Everything is double precision. */
import type { Shape } from '../../graph.ts';

/**
 * Voxels of a max-pool's window that are closer than single precision may tell. The gradient goes to one of them, and which is a matter of
 * rounding: whoever compares another backend with this one may have it go to the second.
 */
export interface NearTies {
  /** The greatest difference of a window's two greatest voxels that counts; equal ones never do. */
  readonly tolerance: number;
  /** Called for each such window in order: whether the second gets the gradient. */
  readonly takesSecond: (gap: number) => boolean;
}

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
