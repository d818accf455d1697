/**
 * One writer a folder: a `.lock` file that says which process holds it. A lock whose process is gone (killed, or the machine was
 * restarted) is taken over; one of another machine cannot be judged from here and is respected.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { WorkError } from '../errors/errors.ts';

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Distinguishes a process from a later one with its number; null where the system does not tell. */
  readonly startedAt: string | null;
}

/** A lock file is written in the instant it is made; one that stays empty longer belongs to a process that was killed in it. */
const EMPTY_LOCK_STALE_MS = 2000;

/** Linux: the start of a process in clock ticks since boot, field 22 of its stat line (the name before may contain anything but ')'). */
function startOf(pid: number): string | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isRunning({ pid, startedAt }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startedAt === null || startOf(pid) === startedAt;
}

/** The content of a lock file; undefined if it is gone. */
function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function isStale(content: string, path: string): boolean {
  try {
    const holder = JSON.parse(content) as Holder;
    return holder.host === hostname() && !isRunning(holder);
  } catch {
    return Date.now() - statSync(path).mtimeMs > EMPTY_LOCK_STALE_MS;
  }
}

/**
 * Locks a folder (made if missing) for this process.
 * @returns what unlocks it
 * @throws WorkError naming the holder if another process has it
 */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, '.lock');
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), startedAt: startOf(process.pid) } satisfies Holder);
  for (;;) {
    try {
      const file = openSync(path, 'wx');
      writeSync(file, mine);
      closeSync(file);
      return () => {
        if (contentOf(path) === mine) rmSync(path, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const theirs = contentOf(path);
    if (theirs === undefined) continue;
    if (!isStale(theirs, path))
      throw new WorkError(
        `${folder}: another process is writing there (${theirs || 'it is just starting'}); wait for it or stop it. If it is certainly gone, delete ${path}`,
      );
    // Moved aside before it is deleted: of several that find it stale, one succeeds; and what was moved is looked at again,
    // because it may already be the lock of the one that was quicker.
    const aside = `${path}.${randomBytes(4).toString('hex')}`;
    try {
      renameSync(path, aside);
    } catch {
      continue;
    }
    if (contentOf(aside) === theirs) rmSync(aside);
    else renameSync(aside, path);
  }
}
