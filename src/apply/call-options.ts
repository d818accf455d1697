/** What every call that applies a model may be told, and how its windows are counted. */
import { type ProgressListener, toProgress } from '../common/progress.ts';

/** What every call may be told. */
export interface WorkOptions {
  /** Told of every window or tile that is done. */
  readonly progress?: ProgressListener;
  /** Ends the work before the next window or tile; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Counts the windows of some work. */
export async function counting<Result>(
  listener: ProgressListener | undefined,
  total: number,
  unit: string,
  work: (onOne: () => void) => Promise<Result>,
): Promise<Result> {
  const progress = toProgress(listener);
  progress.start(total, unit);
  try {
    return await work(() => progress.advance());
  } finally {
    progress.stop();
  }
}
