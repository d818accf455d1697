/**
 * `metrics.jsonl`: one JSON object a line, in the order of the steps, for any tool to read. A resumed run goes on from exactly
 * the lines that its checkpoint had seen. Written with blocking calls: a line is a few hundred bytes, and it must be with the
 * system before the step counts as logged.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RunError } from '../../../common/errors.ts';
import { namingFile, withMachineTroubleSync } from '../../../platform/node/machine.ts';

/** One line. A number that is not finite becomes null: JSON has no word for it. */
export interface MetricsRecord {
  readonly step: number;
  /** What the line is about: 'step' or 'evaluation'. */
  readonly kind: string;
  readonly [name: string]: unknown;
}

/** An open log; `close` it. */
export interface MetricsLog {
  append(record: MetricsRecord): void;
  /** Makes all lines durable; before a checkpoint, so that it never knows more than the log. */
  sync(): void;
  close(): void;
}

/** Keeps nothing. */
export const NO_METRICS: MetricsLog = { append: () => {}, sync: () => {}, close: () => {} };

const CHUNK_BYTES = 1 << 20;
const NEWLINE = 10;

/** The step of a line; undefined for what is no line of ours, such as the half one that a killed process left. */
function stepOf(line: string): number | undefined {
  try {
    const { step } = JSON.parse(line) as { step?: unknown };
    return typeof step === 'number' ? step : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes at the start of the file that are whole lines of steps up to `lastStep`. */
function lengthUpTo(file: number, lastStep: number): number {
  let kept = 0;
  let carried = Buffer.alloc(0);
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; ; ) {
    const read = readSync(file, chunk, 0, CHUNK_BYTES, at);
    if (read === 0) return kept;
    at += read;
    const text = Buffer.concat([carried, chunk.subarray(0, read)]);
    let start = 0;
    for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE, start)) {
      const step = stepOf(text.toString('utf8', start, end));
      if (step === undefined || step > lastStep) return kept;
      kept += end + 1 - start;
      start = end + 1;
    }
    carried = Buffer.from(text.subarray(start));
    // No line of ours is so long: some other file, which need not be gathered in memory.
    if (carried.length > 16 * CHUNK_BYTES) return kept;
  }
}

/**
 * Opens a log for appending.
 * @param resumedStep lines of later steps are cut off, and so is a half line; -1 (a new run) begins empty
 * @throws MachineError naming the file, as its methods do: disk full, no permission, ...; what was half written does not count
 */
export function openMetricsLog(path: string, resumedStep = -1): MetricsLog {
  return withMachineTroubleSync(path, () => {
    mkdirSync(dirname(path), { recursive: true });
    // Not 'a+': an appending file cannot be cut on every system.
    closeSync(openSync(path, 'a'));
    const log = openSync(path, 'r+');
    let end = lengthUpTo(log, resumedStep);
    if (end < fstatSync(log).size) ftruncateSync(log, end);
    return {
      append: (record) =>
        withMachineTroubleSync(path, () => {
          const line = Buffer.from(`${JSON.stringify(record)}\n`);
          for (let done = 0; done < line.length; ) done += writeSync(log, line, done, line.length - done, end + done);
          end += line.length;
        }),
      sync: () => withMachineTroubleSync(path, () => fsyncSync(log)),
      close: () => {
        try {
          fsyncSync(log);
        } catch {
          // what counts was synced before its checkpoint; an error on the way out must not hide the one that led there
        }
        closeSync(log);
      },
    };
  });
}

/**
 * All lines of a log, which may still be written.
 * @throws RunError naming the file, and the line that is damaged
 */
export async function readMetrics(path: string): Promise<MetricsRecord[]> {
  const text = await namingFile(path, () => readFile(path, 'utf8'));
  // what follows the last newline is nothing, or half a line
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line, i) => {
    try {
      return JSON.parse(line) as MetricsRecord;
    } catch {
      throw new RunError(`${path}: line ${i + 1} is damaged: ${line.slice(0, 80)}`);
    }
  });
}
