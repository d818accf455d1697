/** What a plain kernel is given: dense arrays and shapes. It fills `out`; sums run in double precision, loops say what is meant. */
import type { Shape } from '../../graph.ts';

export interface ReferenceCall<Attributes> {
  readonly inputs: readonly Float32Array[];
  readonly inputShapes: readonly Shape[];
  /** Zeros at the start, except for an effect, where it is empty and the first inputs change instead. */
  readonly out: Float32Array;
  readonly shape: Shape;
  readonly attributes: Attributes;
}

export type ReferenceKernel<Attributes> = (call: ReferenceCall<Attributes>) => void;
