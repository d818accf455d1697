/** What a page is told of a folder of runs and studies: paths relative to the folder, with slashes. */

export interface ListedFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** Since 1970. */
  readonly modifiedMs: number;
}

export interface ListedFolder {
  /** '' for the folder itself. */
  readonly path: string;
  readonly files: readonly ListedFile[];
  /** Whether a process is training there. */
  readonly locked: boolean;
}

export interface RunListing {
  /** The last part of the folder's name. */
  readonly name: string;
  readonly folders: readonly ListedFolder[];
  /** Why there may be more; null where all are listed. */
  readonly left: string | null;
}

const MARKS = ['run.json', 'metrics.jsonl', 'study.json', 'declared.json', 'table.csv'];

/** Whether a folder with these files is a run or a study. */
export const isListed = (names: readonly string[]): boolean => names.some((name) => MARKS.includes(name));
