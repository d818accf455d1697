/** Why an image may not be what a cohort is of, by name: what is left out or refused, and what a user may allow all the same. */
import { UsageError } from '../common/errors.ts';

/** Why an image is not taken. A user may allow each by this name. */
export const REASONS = {
  'label-maps': 'label maps, by name or content',
  'other-modalities': 'images of another modality, by file header, name or dataset.json',
  derived: 'localizers, projections, screenshots, and BIDS derivatives',
  'not-hounsfield': 'ct: values not in Hounsfield units',
  'negative-values': 'mr: a large share of negative values',
} as const;
export type Reason = keyof typeof REASONS;
/** Reasons that lie in the values: such an image is refused, since it may be of the right kind and only wrongly scaled. */
const IN_THE_VALUES: readonly Reason[] = ['not-hounsfield', 'negative-values'];
export const isRefused = (reason: Reason): boolean => IN_THE_VALUES.includes(reason);

/** 'label-maps,derived' as reasons. @throws UsageError for a word that is none */
export function parseReasons(option: string, texts: readonly string[]): Reason[] {
  const words = texts.flatMap((text) => text.split(',')).map((word) => word.trim());
  const unknown = words.find((word) => !Object.hasOwn(REASONS, word));
  if (unknown !== undefined)
    throw new UsageError(`${option} ${unknown}: expected one or more (comma-separated) of ${Object.keys(REASONS).join(', ')}`);
  return [...new Set(words as Reason[])];
}
