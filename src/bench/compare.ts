/** Results beside earlier ones: what became slower or larger, and whether the two can be compared at all. */
import { readFile } from 'node:fs/promises';
import { WorkError } from '../errors/errors.ts';
import type { SuiteResult } from './suite.ts';

/** Earlier results. @throws WorkError for a file that holds none */
export async function readResults(path: string): Promise<SuiteResult> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new WorkError(
      `${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}; expected results that \`gvsl bench --out\` wrote`,
    );
  });
  try {
    const results = JSON.parse(text) as SuiteResult;
    if (results.format === 'gvsl-bench') return results;
  } catch {
    // told below
  }
  throw new WorkError(`${path}: expected results that \`gvsl bench --out\` wrote, found something else`);
}

export interface Change {
  readonly what: string;
  /** New time over old time, new peak of memory over the old one. */
  readonly ratio: number;
  readonly memoryRatio: number;
  /** Beyond the tolerance. */
  readonly slower: boolean;
  readonly larger: boolean;
}

export interface Comparison {
  /** What was otherwise then, in words: with any of it a ratio says nothing about a change of gvsl. */
  readonly differences: readonly string[];
  readonly changes: readonly Change[];
}

/** More than a tenth counts as a regression: beyond what a quiet machine varies by. */
const TOLERANCE = 1.1;

/** Every row that both have. */
export function compareResults(now: SuiteResult, before: SuiteResult): Comparison {
  const major = (version: string): string => version.split('.')[0]!;
  const then = before.machine;
  const differences = [
    ...(now.machine.cpu === then.cpu ? [] : [`on another processor (${then.cpu})`]),
    ...(major(now.machine.node) === major(then.node) ? [] : [`with Node ${then.node}`]),
    ...(now.machine.build === then.build ? [] : [`with build ${then.build}`]),
    ...(now.machine.threads === then.threads ? [] : [`with threads ${then.threads}`]),
  ];
  const changes = now.rows.flatMap(({ kind, size, width, gvsl }): Change[] => {
    const old = before.rows.find((row) => row.kind === kind && row.size === size && row.width === width);
    if (!old) return [];
    const [ratio, memoryRatio] = [gvsl.medianS / old.gvsl.medianS, gvsl.peakBytes / old.gvsl.peakBytes];
    const what = `${kind} ${size}^3, width ${width}`;
    return [{ what, ratio, memoryRatio, slower: ratio > TOLERANCE, larger: memoryRatio > TOLERANCE }];
  });
  return { differences, changes };
}
