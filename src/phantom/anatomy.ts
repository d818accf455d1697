/** What an anatomy hands to the scanner: painted layers and named points, both in the canonical body's frame (LPS directions, mm). */

import type { RandomStream } from '../common/random.ts';
import type { Xyz } from '../geometry/volume.ts';
import type { Layer } from './paint.ts';

export interface NamedPoint {
  readonly name: string;
  readonly at: Xyz;
}

export interface Anatomy {
  /** From the outside in, as `paint` draws them. */
  readonly layers: readonly Layer[];
  /** The same anatomical points in every patient. */
  readonly landmarks: readonly NamedPoint[];
  /** What the examination must show, the landmarks always included: the field of view is laid round these points. */
  readonly field: readonly Xyz[];
  /** The parameters drawn for this patient, for the record. */
  readonly facts: Readonly<Record<string, number | readonly number[]>>;
}

/** One in the middle, give or take `half`. */
export const about = (random: RandomStream, middle: number, half: number): number => random.uniform(middle - half, middle + half);

/** Numbers as they are recorded: three decimals. */
export const rounded = (value: number): number => Math.round(value * 1000) / 1000;
