/**
 * One writer a folder: a `.lock` file that says which process holds it. A lock whose process is gone (killed, or the machine was
 * restarted) is taken over; one of another machine cannot be judged from here and is respected.
 *
 * A lock appears with its whole content: it is written aside and linked to its name, which fails where there is one (link(2)). A stale lock is
 * replaced only by whoever holds a second lock, named after the stale one's content, and only while the stale one still stands: so of
 * several processes that find it stale one succeeds, and none moves what another has made in the meantime.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { RunError } from '../../common/errors.ts';
import { tempPathFor } from './files.ts';
import { isMachineTrouble, machineError } from './machine.ts';
import { hasNumber, processState } from './processes.ts';

export interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Distinguishes a process from a later one with its number; null where the system does not tell. */
  readonly startedAt: string | null;
  /** No two locks are alike, not even one process's. */
  readonly nonce: string;
}

/**
 * Where files cannot be linked (exFAT, some network drives) a lock is made empty and filled in the next instant; one that stays without
 * content so long belongs to a process that was killed in it.
 */
const EMPTY_LOCK_STALE_MS = 10_000;
/** A takeover is a few calls; whoever meets one waits for it, at most so long. */
const TAKEOVER_WAIT_MS = 2000;
/** A process that was killed may take a second or two to give back its memory; whoever meets its lock waits for it, at most so long. */
const ENDING_WAIT_MS = 10_000;
/** Codes of link(2) on file systems without it. */
const NO_LINKS = ['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EINVAL', 'UNKNOWN'];

/** The process that made a lock, as far as it is there. */
function stateOf({ pid, startedAt }: Holder): 'running' | 'ending' | 'gone' {
  if (!hasNumber(pid)) return 'gone';
  const state = processState(pid);
  if (startedAt !== null && state?.startedAt !== startedAt) return 'gone';
  if (state?.gone) return 'gone';
  return state?.ending ? 'ending' : 'running';
}

/** Whether a process of this machine is there that holds something. */
export const isRunning = (holder: Holder): boolean => stateOf(holder) !== 'gone';

/** Whether the lock's process has been killed or has ended, and will be gone in a moment. */
function isEnding(content: string): boolean {
  try {
    const holder = JSON.parse(content) as Holder;
    return holder.host === hostname() && stateOf(holder) === 'ending';
  } catch {
    return false;
  }
}

/** This machine, as far as its numbers of processes reach: containers of one name number theirs apart. */
export function thisHost(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** The content of a lock file; undefined if it is gone. */
function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Who holds a lock, for people. */
function holderText(content: string): string {
  try {
    const { pid, host } = JSON.parse(content) as Holder;
    return `process ${pid} on ${host}`;
  } catch {
    return 'just starting';
  }
}

function isStale(content: string, path: string): boolean {
  try {
    const holder = JSON.parse(content) as Holder;
    return holder.host === hostname() && stateOf(holder) === 'gone';
  } catch {
    const madeMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    return madeMs !== undefined && Date.now() - madeMs > EMPTY_LOCK_STALE_MS;
  }
}

/** Whether a process holds the folder, as far as that can be told from here: one of another machine counts. */
export function isLocked(folder: string): boolean {
  const path = join(folder, '.lock');
  const content = contentOf(path);
  return content !== undefined && !isStale(content, path);
}

/** Makes `path` with `content`, whole from the start. @returns false if there is one already */
function create(path: string, content: string): boolean {
  const aside = tempPathFor(path);
  try {
    writeFileSync(aside, content, { flag: 'wx' });
    linkSync(aside, path);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!NO_LINKS.includes(code)) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
  try {
    const file = openSync(path, 'wx');
    try {
      writeSync(file, content);
    } finally {
      closeSync(file);
    }
    return contentOf(path) === content;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

const pause = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};

/** The lock that a takeover of `path` with this content needs. */
const takeoverOf = (path: string, content: string): string =>
  `${path}.${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;

/**
 * Makes the lock file `path`, in the place of a stale one if need be.
 * @returns what stands there if another process holds it
 */
function acquire(path: string, mine: string): string | undefined {
  const askedMs = performance.now();
  for (;;) {
    if (create(path, mine)) return undefined;
    const theirs = contentOf(path);
    if (theirs === undefined) continue;
    if (isEnding(theirs) && performance.now() - askedMs < ENDING_WAIT_MS) {
      pause(20);
      continue;
    }
    if (!isStale(theirs, path)) return theirs;
    const takeover = takeoverOf(path, theirs);
    const startMs = performance.now();
    for (let other = acquire(takeover, mine); other !== undefined; other = acquire(takeover, mine)) {
      if (performance.now() - startMs > TAKEOVER_WAIT_MS) return other;
      pause(5);
    }
    try {
      // still the one that was judged: whoever else took it over had this second lock too
      if (contentOf(path) !== theirs || !isStale(theirs, path)) continue;
      const aside = tempPathFor(path);
      writeFileSync(aside, mine, { flag: 'wx' });
      try {
        renameSync(aside, path);
      } catch (error) {
        rmSync(aside, { force: true });
        throw error;
      }
      return undefined;
    } finally {
      rmSync(takeover, { force: true });
    }
  }
}

/**
 * Removes what processes left that were killed while they made or took over a lock here. Only for whoever holds it: then no takeover that
 * was under way can succeed any more, since the content that it was for never comes back.
 */
function sweep(path: string): void {
  const name = /^\.lock(?:\.[0-9a-f]{16})*(?:\.[0-9a-f]{8}\.part)?$/;
  for (const entry of readdirSync(dirname(path)).filter((each) => each !== '.lock' && name.test(each))) {
    const left = join(dirname(path), entry);
    const content = contentOf(left);
    if (content !== undefined && isStale(content, left)) rmSync(left, { force: true });
  }
}

/** mkdir with the folders above; Node's own recursive form never returns in file systems that refuse folders, such as /proc. */
function makeFolderSync(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })) return;
  if (dirname(path) !== path) makeFolderSync(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Locks a folder (made if missing) for this process.
 * @returns what unlocks it
 * @throws RunError naming the holder if another process has it, MachineError naming the folder if no lock can be made there
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, '.lock');
  const mine = JSON.stringify({
    pid: process.pid,
    host: hostname(),
    startedAt: processState(process.pid)?.startedAt ?? null,
    nonce: randomBytes(8).toString('hex'),
  } satisfies Holder);
  let theirs: string | undefined;
  try {
    makeFolderSync(folder);
    theirs = acquire(path, mine);
    if (theirs === undefined) sweep(path);
  } catch (error) {
    throw isMachineTrouble(error) ? machineError(folder, error) : error;
  }
  if (theirs !== undefined)
    throw new RunError(
      `${folder}: another process is writing there (${holderText(theirs)}); wait for it or stop it. If no such process exists, delete ${path}`,
    );
  return () => {
    if (contentOf(path) === mine) rmSync(path, { force: true });
  };
}
