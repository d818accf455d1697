/** How results are told. A batch: warnings first, the results, what failed, and a last line that counts all three. */
import type { Part } from '../platform/node/parts.ts';
import { formatTable } from './table.ts';

type Failures = readonly { readonly path: string; readonly reason: string }[];

export interface Batch {
  readonly images: readonly { readonly path: string; readonly warnings: readonly string[] }[];
  readonly failed: Failures;
  readonly warnings: readonly string[];
}

/** '1 image', '2 images'. */
export const count = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`;

/** What had no result, and why: lines with an empty one behind them; none if nothing failed. */
export const failedTable = (failed: Failures): string[] =>
  failed.length === 0
    ? []
    : [
        formatTable(
          ['failed', 'reason'],
          failed.map(({ path, reason }) => [path, reason]),
        ),
        '',
      ];

/** Warnings under their heading: lines with an empty one behind them; none without warnings. */
export const warningLines = (warnings: readonly string[]): string[] =>
  warnings.length === 0 ? [] : ['Warnings:', ...warnings.map((warning) => `  ${warning}`), ''];

/**
 * 1 if an image failed, or if none of what was given is an image that the model takes: a script goes on as if there were results otherwise.
 * A part of a batch may have none.
 */
export const batchExitCode = ({ images, failed }: Batch, part: Part | undefined): 0 | 1 =>
  failed.length > 0 || (images.length === 0 && part === undefined) ? 1 : 0;

/** @param where what was written, as the last line ends with */
export function batchText({ images, failed, warnings }: Batch, table: string, where: string): string {
  const all = [...warnings, ...images.flatMap(({ path, warnings: own }) => own.map((warning) => `${path}: ${warning}`))];
  const counts = [
    images.length + failed.length === 0 ? 'no image processed' : count(images.length + failed.length, 'image'),
    ...(failed.length > 0 ? [`${failed.length} failed`] : []),
    ...(all.length > 0 ? [count(all.length, 'warning')] : []),
  ];
  return [
    ...warningLines(all),
    ...(images.length > 0 ? [table, ''] : []),
    ...failedTable(failed),
    `${counts.join(', ')}; ${where}`,
  ].join('\n');
}
