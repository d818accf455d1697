/**
 * Work that falls into parts, for job arrays: part I of N does what its number says, by the hash of each name. Parts share nothing, so any of them may run
 * anywhere, twice, or again.
 */
import { createHash } from 'node:crypto';
import { UsageError } from '../../common/errors.ts';

export interface Part {
  /** From 1. */
  readonly index: number;
  readonly of: number;
}

const MOST = 100_000;

/** 'I/N' as a part. @throws UsageError for a text that is none */
export function parsePart(text: string): Part {
  const [, index, of] = /^(\d{1,6})\/(\d{1,6})$/.exec(text.trim())?.map(Number) ?? [];
  if (index === undefined || index < 1 || index > of || of > MOST)
    throw new UsageError(
      `\`part\` ${text}: expected I/N with I from 1 to N, such as 3/7${index === 0 ? '; a job array that begins at 0 adds 1' : ''}`,
    );
  return { index, of };
}

/** The number of the part, from 1, that a name belongs to: the first 48 bits of the SHA-256 of its UTF-8, modulo N, plus 1. */
export const partOf = (name: string, of: number): number =>
  (createHash('sha256').update(name).digest().readUIntBE(0, 6) % of) + 1;

/** Whether a name belongs to a part; every name belongs to the whole. */
export const isInPart = (name: string, part: Part | undefined): boolean =>
  part === undefined || partOf(name, part.of) === part.index;

/** '3/7'. */
export const partText = ({ index, of }: Part): string => `${index}/${of}`;

/** '3-of-7', for names of files. */
export const partName = ({ index, of }: Part): string => `${index}-of-${of}`;
const NAME = /^(\d+)-of-(\d+)$/;
/** The part that such a name means. */
export function partNamed(name: string): Part | undefined {
  const [, index, of] = NAME.exec(name)?.map(Number) ?? [];
  return index === undefined ? undefined : { index, of };
}
