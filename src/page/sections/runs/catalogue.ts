/** What a list says of each run, from its `run.json` and the end of its log: small reads, so that hundreds of runs are listed at once. */
import type { ListedFolder } from '../../../common/run-listing.ts';
import { methodDescribed, methodNameOf } from '../../../methods/descriptions.ts';
import { type EvaluationRecord, logRecord, runRecord, type StepRecord, valueAt } from '../../../report/run-data.ts';
import { type RunScore, scoreOf } from '../../../report/score.ts';
import type { RunSource } from './source.ts';

export type RunState = 'running' | 'finished' | 'stopped' | 'not started';

export interface RunEntry {
  readonly path: string;
  /** Its path, or the name of the folder that is served itself. */
  readonly name: string;
  /** 'GVSL, whole', or the task; a dash where nothing says it. */
  readonly method: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string | undefined;
  readonly step: number;
  readonly steps: number | undefined;
  readonly state: RunState;
  readonly score: RunScore | undefined;
}

/** Of a log's end: the last few dozen steps; where no evaluation is among them, as when each step is logged, up to some ten thousand. */
const TAILS_BYTES = [1 << 16, 1 << 19, 1 << 22];
/** Reads at the same time. */
const AT_ONCE = 8;

export const joined = (path: string, name: string): string => (path === '' ? name : `${path}/${name}`);
export const hasFile = ({ files }: ListedFolder, ...names: readonly string[]): boolean =>
  files.some(({ name }) => names.includes(name));
export const isRun = (folder: ListedFolder): boolean => hasFile(folder, 'run.json', 'metrics.jsonl');
/** What only a study has: its table, or its declaration before the table is there. */
export const isStudy = (folder: ListedFolder): boolean =>
  !isRun(folder) && hasFile(folder, 'study.json', 'declared.json', 'table.csv');

/** The end of a log, with its last evaluation if that is not too far back. */
async function lastRecords(source: RunSource, { path, files }: ListedFolder): Promise<(StepRecord | EvaluationRecord)[]> {
  if (!files.some(({ name, sizeBytes }) => name === 'metrics.jsonl' && sizeBytes > 0)) return [];
  for (const [k, bytes] of TAILS_BYTES.entries()) {
    const tail = await source.part(joined(path, 'metrics.jsonl'), -bytes, bytes);
    // the first line may be half a one
    const lines = new TextDecoder().decode(tail?.bytes).split('\n');
    const records = lines.flatMap((line) => logRecord(line) ?? []);
    const isWhole = !tail || tail.bytes.length >= tail.sizeBytes;
    if (isWhole || records.some(({ kind }) => kind === 'evaluation') || k === TAILS_BYTES.length - 1) return records;
  }
  return [];
}

async function entryOf(source: RunSource, folder: ListedFolder, rootName: string): Promise<RunEntry> {
  const { path, locked } = folder;
  const [text, records] = await Promise.all([
    hasFile(folder, 'run.json') ? source.text(joined(path, 'run.json')) : undefined,
    lastRecords(source, folder),
  ]);
  const run = runRecord(text);
  const evaluation = records.findLast((record) => record.kind === 'evaluation');
  const step = Math.max(0, ...records.map((record) => record.step));
  const planned = valueAt(run.configuration, 'steps');
  const steps = typeof planned === 'number' ? planned : undefined;
  const name = methodNameOf(run.method, run.configuration);
  const isKnown = Object.keys(run).length > 0;
  const isOver = (steps !== undefined && step >= steps) || hasFile(folder, 'test.json');
  return {
    path,
    name: path === '' ? rootName : path,
    // a log alone says nothing of its method
    method: run.task ? run.task.kind : isKnown ? (methodDescribed(name)?.title ?? name) : '\u2013',
    startedAt: run.startedAt,
    step,
    steps,
    state: locked ? 'running' : isOver ? 'finished' : records.length === 0 ? 'not started' : 'stopped',
    score: evaluation && scoreOf(run, evaluation),
  };
}

/** The runs of a listing, read again only where they have changed. */
export class Catalogue {
  private readonly known = new Map<string, { readonly mark: string; readonly entry: RunEntry }>();

  /** @param onEntries told now and then while a long list is read */
  async entries(
    source: RunSource,
    folders: readonly ListedFolder[],
    rootName: string,
    onEntries: (entries: readonly RunEntry[], of: number) => void,
  ): Promise<RunEntry[]> {
    const runs = folders.filter(isRun);
    const found = new Array<RunEntry | undefined>(runs.length);
    let next = 0;
    let toldMs = performance.now();
    const work = async (): Promise<void> => {
      while (next < runs.length) {
        const i = next++;
        const folder = runs[i];
        const mark = JSON.stringify([folder.locked, folder.files]);
        const before = this.known.get(folder.path);
        const entry = before?.mark === mark ? before.entry : await entryOf(source, folder, rootName);
        this.known.set(folder.path, { mark, entry });
        found[i] = entry;
        if (performance.now() - toldMs > 300) {
          toldMs = performance.now();
          onEntries(
            found.filter((each) => each !== undefined),
            runs.length,
          );
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return found.filter((each) => each !== undefined);
  }
}
