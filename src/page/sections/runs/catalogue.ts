/** What a list says of each run, from its `run.json` and the end of its log: small reads, so that hundreds of runs are listed at once. */
import type { ListedFolder } from '../../../common/run-listing.ts';
import { methodDescribed, methodNameOf } from '../../../methods/descriptions.ts';
import { logRecord, runRecord, valueAt } from '../../../report/run-data.ts';
import { type RunScore, scoreOf } from '../../../report/score.ts';
import type { RunSource } from './source.ts';

export type RunState = 'running' | 'finished' | 'stopped' | 'not started';

export interface RunEntry {
  readonly path: string;
  /** Its path, or the name of the folder that is served itself. */
  readonly name: string;
  /** 'GVSL, whole', or the task. */
  readonly method: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string | undefined;
  readonly step: number;
  readonly steps: number | undefined;
  readonly state: RunState;
  readonly score: RunScore | undefined;
}

/** Lines of the last few dozen steps, and with them nearly always the last evaluation. */
const TAIL_BYTES = 1 << 16;
/** Reads at the same time. */
const AT_ONCE = 8;

export const joined = (path: string, name: string): string => (path === '' ? name : `${path}/${name}`);
export const hasFile = ({ files }: ListedFolder, ...names: readonly string[]): boolean =>
  files.some(({ name }) => names.includes(name));
export const isRun = (folder: ListedFolder): boolean => hasFile(folder, 'run.json', 'metrics.jsonl');
/** What only a study has: its table, or its declaration before the table is there. */
export const isStudy = (folder: ListedFolder): boolean =>
  !isRun(folder) && hasFile(folder, 'study.json', 'declared.json', 'table.csv');

async function entryOf(source: RunSource, folder: ListedFolder, rootName: string): Promise<RunEntry> {
  const { path, locked } = folder;
  const isStarted = folder.files.some(({ name, sizeBytes }) => name === 'metrics.jsonl' && sizeBytes > 0);
  const [text, tail] = await Promise.all([
    hasFile(folder, 'run.json') ? source.text(joined(path, 'run.json')) : undefined,
    isStarted ? source.part(joined(path, 'metrics.jsonl'), -TAIL_BYTES, TAIL_BYTES) : undefined,
  ]);
  const run = runRecord(text);
  // the first line may be half a one
  const records = new TextDecoder()
    .decode(tail?.bytes)
    .split('\n')
    .flatMap((line) => logRecord(line) ?? []);
  const evaluation = records.findLast((record) => record.kind === 'evaluation');
  const step = Math.max(0, ...records.map((record) => record.step));
  const planned = valueAt(run.configuration, 'steps');
  const steps = typeof planned === 'number' ? planned : undefined;
  const name = methodNameOf(run.method, run.configuration);
  const isOver = (steps !== undefined && step >= steps) || hasFile(folder, 'test.json');
  return {
    path,
    name: path === '' ? rootName : path,
    method: run.task ? run.task.kind : (methodDescribed(name)?.title ?? name),
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
