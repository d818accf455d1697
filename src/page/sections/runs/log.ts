/**
 * A run's `metrics.jsonl`, read as it grows. Only what came since the last look is read. A run that is resumed cuts its log back to its checkpoint
 * and goes on; so each look begins with the last line that is known, and where that is another one now, the log is read anew.
 */
import { type EvaluationRecord, logRecord, type StepRecord } from '../../../report/run-data.ts';
import type { RunSource } from './source.ts';

/** What is read at once: some thousand lines, parsed without the page standing still. */
const PIECE_BYTES = 1 << 20;
const NEWLINE = 10;
const decoder = new TextDecoder();

export class RunLog {
  records: (StepRecord | EvaluationRecord)[] = [];
  /** Lines that are whole and yet say nothing known. */
  damaged = 0;
  private readonly source: Pick<RunSource, 'part'>;
  private readonly path: string;
  /** Where the last whole line begins, and its bytes; the next look begins here. */
  private lastStart = 0;
  private lastLine = new Uint8Array();
  private reading: Promise<boolean> | undefined;

  /** @param path of the run's folder */
  constructor(source: Pick<RunSource, 'part'>, path: string) {
    this.source = source;
    this.path = path === '' ? 'metrics.jsonl' : `${path}/metrics.jsonl`;
  }

  /** Reads what is new. @returns whether anything is. Two looks at once are one. */
  update(): Promise<boolean> {
    this.reading ??= this.read().finally(() => {
      this.reading = undefined;
    });
    return this.reading;
  }

  private forget(): void {
    this.records = [];
    this.damaged = 0;
    this.lastStart = 0;
    this.lastLine = new Uint8Array();
  }

  private async read(): Promise<boolean> {
    let changed = false;
    for (let limit = PIECE_BYTES; ; ) {
      const known = this.lastLine.length;
      const part = await this.source.part(this.path, this.lastStart, limit);
      const bytes = part?.bytes ?? new Uint8Array();
      if (known > 0 && (bytes.length < known || this.lastLine.some((byte, i) => bytes[i] !== byte))) {
        this.forget();
        changed = true;
        // gone, rather than cut
        if (!part) return true;
        continue;
      }
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      if (end <= known) {
        // at the end, which may be half a line that is being written; or a line longer than the piece
        if (!part || this.lastStart + bytes.length >= part.sizeBytes) return changed;
        limit *= 4;
        continue;
      }
      for (const line of decoder.decode(bytes.subarray(known, end)).split('\n')) {
        const record = logRecord(line);
        if (record) this.records.push(record);
        else if (line !== '') this.damaged++;
      }
      changed = true;
      const start = bytes.subarray(0, end - 1).lastIndexOf(NEWLINE) + 1;
      this.lastLine = bytes.slice(start, end);
      this.lastStart += start;
      limit = PIECE_BYTES + this.lastLine.length;
    }
  }
}
