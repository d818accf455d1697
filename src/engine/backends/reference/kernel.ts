/** What a plain kernel is given: dense arrays and shapes. It fills `out`; loops say what is meant. Everything is double precision. */
import type { Shape } from '../../graph.ts';

export interface ReferenceCall<Attributes> {
  readonly inputs: readonly Float64Array[];
  readonly inputShapes: readonly Shape[];
  /** Zeros at the start, except for an effect, where it is empty and the first inputs change instead. */
  readonly out: Float64Array;
  readonly shape: Shape;
  readonly attributes: Attributes;
}

export type ReferenceKernel<Attributes> = (call: ReferenceCall<Attributes>) => void;
