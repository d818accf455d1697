/** Which of the files of a source become images: patterns of their names, and what is allowed although it would be left out. */
import picomatch from 'picomatch';
import type { Reason } from '../reasons.ts';

export interface Selection {
  /** Patterns, of which an image's path must fit one; none for all. A pattern without a slash is one of the file's name. */
  readonly match: readonly string[];
  /** Patterns of files that are left alone, label maps too. */
  readonly exclude: readonly string[];
  readonly allow: readonly Reason[];
  /** Of images with several channels, the number (from 0) or name of the one to take. */
  readonly channel: string | null;
  /** Several channels to take together, by number or name; ['all'] for all. Not with `channel`. */
  readonly channels?: readonly string[] | undefined;
}

export const EVERYTHING: Selection = { match: [], exclude: [], allow: [], channel: null };

/** Whether a path, relative to the source and with '/' between folders, fits one of the patterns. */
function fitting(patterns: readonly string[]): (path: string) => boolean {
  const tests = patterns.map((pattern) => {
    const isMatch = picomatch(pattern.replace(/^\.\//, ''), { nocase: true });
    // a name's pattern fits in every folder
    return (path: string): boolean => isMatch(pattern.includes('/') ? path : path.slice(path.lastIndexOf('/') + 1));
  });
  return (path) => tests.some((test) => test(path));
}

export interface Patterns {
  /** Whether a file may be an image. */
  isMatched(path: string): boolean;
  /** Whether a file is left alone altogether. */
  isExcluded(path: string): boolean;
}

export function patternsOf({ match, exclude }: Pick<Selection, 'match' | 'exclude'>): Patterns {
  const [isMatched, isExcluded] = [fitting(match), fitting(exclude)];
  return { isMatched: (path) => match.length === 0 || isMatched(path), isExcluded };
}
