/** A piece of a study's work: there already, done now by whoever claims it, or another process's for the time being. */
import { rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DivergedError, RunError } from '../common/errors.ts';
import { findFolder } from '../platform/node/files.ts';
import type { StudyWork } from './runs.ts';

/** What is not there yet: another process is at it; or, where nothing is to be made, it is missing; or it diverged. */
export const NOT_YET = 'not yet';

export interface Piece {
  /** Where its result lies, inside the study's folder. */
  readonly folder: string;
  /** Whether the result is there. */
  readonly isDone: () => Promise<boolean>;
  /**
   * Makes it, or goes on with what lies there.
   * @returns false if it was stopped
   */
  readonly make: (folder: string, signal: AbortSignal | undefined) => Promise<boolean>;
}

/** @throws RunError if it was stopped, and what making it throws, unless it diverged: that is noted, and the study goes on without it */
export async function doPiece(work: StudyWork, { folder, isDone, make }: Piece): Promise<'done' | typeof NOT_YET> {
  const { out, claims, signal, table, diverged, progress } = work;
  if (diverged.has(folder)) return NOT_YET;
  if (await isDone()) return 'done';
  if (table) {
    work.missing.push(folder);
    return NOT_YET;
  }
  if (signal?.aborted) throw stoppedError();
  const claim = await claims.claim(folder);
  if (!claim) return NOT_YET;
  try {
    if (await isDone()) {
      await rm(claim.folder, { recursive: true, force: true });
      return 'done';
    }
    const target = join(out, folder);
    // what an older version, which worked in place, left unfinished
    if ((await findFolder(target)) !== undefined && !(await stat(claim.folder).catch(() => undefined)))
      await rename(target, claim.folder);
    const both = signal ? AbortSignal.any([signal, claim.signal]) : claim.signal;
    const finished = await make(claim.folder, both);
    if (claim.signal.aborted) return NOT_YET;
    if (!finished) throw stoppedError();
    return (await claim.publish(target)) ? 'done' : NOT_YET;
  } catch (error) {
    // what failed because another process has taken over
    if (claim.signal.aborted && !signal?.aborted) return NOT_YET;
    if (!(error instanceof DivergedError)) throw error;
    diverged.set(folder, error.message);
    progress.say(`warning: ${folder}: ${error.message}`);
    return NOT_YET;
  } finally {
    await claim.release();
  }
}

const stoppedError = (): RunError => new RunError('stopped; run the same command to continue');
