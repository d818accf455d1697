/**
 * Results beside earlier ones. Ratios (ratios.ts) tell a slow change from a slow day, on any processor; times are compared where processor, Node,
 * build and threads are the same, and even there they are partly weather.
 */
import { readFile } from 'node:fs/promises';
import { RunError } from '../../common/errors.ts';
import type { Machine } from './machine.ts';
import type { Ratio } from './ratios.ts';
import type { SuiteRow } from './suite.ts';

/** What is compared of results: of a whole suite, or of ratios alone. */
export interface Results {
  readonly format: 'gvsl-bench';
  readonly machine: Machine;
  readonly rows: readonly SuiteRow[];
  readonly ratios?: readonly Ratio[];
}

/** Earlier results. @throws RunError for a file that holds none */
export async function readResults(path: string): Promise<Results> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new RunError(
      `${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}; expected results written by \`gvsl bench --out\``,
    );
  });
  try {
    const results = JSON.parse(text) as Results;
    if (results.format === 'gvsl-bench') return results;
  } catch {
    // told below
  }
  throw new RunError(`${path}: expected results written by \`gvsl bench --out\``);
}

export interface RatioChange {
  readonly what: string;
  readonly now: Ratio;
  readonly before: Ratio;
  /** Every round lies above every earlier one, and the middle more than the tolerance. */
  readonly worse: boolean;
}

export interface TimeChange {
  readonly what: string;
  /** New time over old time, new peak of memory over the old one. */
  readonly time: number;
  readonly memory: number;
  readonly slower: boolean;
  readonly larger: boolean;
}

export interface Comparison {
  /** What was otherwise then, in words: a ratio of ratios may come from that. */
  readonly differences: readonly string[];
  readonly ratios: readonly RatioChange[];
  /** Empty if anything was otherwise. */
  readonly times: readonly TimeChange[];
  /** Whether gvsl became worse, whatever the day: a ratio beyond its noise, or memory, which has none. */
  readonly worse: boolean;
}

/** Less than a twentieth of a ratio, a tenth of a time or of memory is of no account. */
const TOLERANCE = { ratio: 1.05, time: 1.1, memory: 1.1 } as const;

/** All that both have. */
export function compareResults(now: Results, before: Results): Comparison {
  const major = (version: string): string => version.split('.')[0];
  const then = before.machine;
  const differences = [
    ...(now.machine.cpu === then.cpu ? [] : [`on another processor (${then.cpu})`]),
    ...(major(now.machine.node) === major(then.node) ? [] : [`with Node ${then.node}`]),
    ...(now.machine.build === then.build ? [] : [`with build ${then.build}`]),
    ...(now.machine.threads === then.threads ? [] : [`with threads ${then.threads}`]),
  ];
  const ratios = (now.ratios ?? []).flatMap((ratio): RatioChange[] => {
    const old = before.ratios?.find(({ what }) => what === ratio.what);
    if (!old) return [];
    const worse = ratio.low > old.high && ratio.value > TOLERANCE.ratio * old.value;
    return [{ what: ratio.what, now: ratio, before: old, worse }];
  });
  const rows = differences.length > 0 ? [] : now.rows;
  const times = rows.flatMap(({ kind, size, width, gvsl }): TimeChange[] => {
    const old = before.rows.find((row) => row.kind === kind && row.size === size && row.width === width);
    if (!old) return [];
    const [time, memory] = [gvsl.medianS / old.gvsl.medianS, gvsl.peakBytes / old.gvsl.peakBytes];
    const what = `${kind} ${size}^3, width ${width}`;
    return [{ what, time, memory, slower: time > TOLERANCE.time, larger: memory > TOLERANCE.memory }];
  });
  const worse = ratios.some((each) => each.worse) || times.some(({ larger }) => larger);
  return { differences, ratios, times, worse };
}
