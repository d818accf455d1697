/** What long work says while it goes on, whoever listens: a bar on a terminal, a page, a function of the caller's, nobody. */

/** What long work reports to. `advance` may be called often. */
export interface Progress {
  /** Starts (or restarts) counting to `total` things, named in the plural: 'images', 'steps'. */
  start(total: number, unit: string, done?: number): void;
  /** `note` says what was just done. */
  advance(by?: number, note?: string): void;
  /** A line for the user. */
  say(line: string): void;
  stop(): void;
}

/** How far work has come. */
export interface ProgressEvent {
  readonly done: number;
  /** 0 while nothing is counted. */
  readonly total: number;
  /** What is counted, in the plural: 'windows', 'images', 'steps'; empty while nothing is. */
  readonly unit: string;
  /** What was just done, or a line for the user that belongs to no count. */
  readonly text?: string;
}

/** Who is told: a function that is called with each event, or an object with a method for each kind of news. */
export type ProgressListener = Progress | ((event: ProgressEvent) => void);

/** Reports nowhere. */
export const SILENT: Progress = { start: () => {}, advance: () => {}, say: () => {}, stop: () => {} };

/** The listener as work calls it; nobody listens by default. */
export function toProgress(listener: ProgressListener = SILENT): Progress {
  if (typeof listener !== 'function') return listener;
  let [done, total, unit] = [0, 0, ''];
  const tell = (text?: string): void => listener({ done, total, unit, ...(text ? { text } : {}) });
  return {
    start: (count, name, already = 0) => {
      [done, total, unit] = [already, count, name];
      tell();
    },
    advance: (by = 1, note = '') => {
      done += by;
      tell(note);
    },
    say: tell,
    stop: () => {},
  };
}
