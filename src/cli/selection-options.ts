/** The options of prepare and inspect that choose files. */
import type { Selection } from '../cohort/node/selection.ts';
import { parseReasons, REASONS } from '../cohort/reasons.ts';

export interface SelectionFlags {
  readonly match?: readonly string[];
  readonly exclude?: readonly string[];
  readonly allow?: readonly string[];
  readonly channel?: string;
  readonly channels?: string;
}

/** For options that may be repeated; a list after one option would swallow the arguments that follow. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** @throws UsageError for a reason that is none */
export const selectionOf = ({ match = [], exclude = [], allow = [], channel, channels }: SelectionFlags): Selection => ({
  match,
  exclude,
  allow: parseReasons('--allow', allow),
  channel: channel ?? null,
  ...(channels !== undefined && { channels: channels.split(',').map((one) => one.trim()) }),
});

/** The reasons of --allow, a line each. */
export function describeReasons(): string {
  const width = Math.max(...Object.keys(REASONS).map((name) => name.length));
  return Object.entries(REASONS)
    .map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`)
    .join('\n');
}
