/**
 * Work shared by processes on any machines, with a folder in common and nothing else. A process claims a piece of work, does it in a folder of the claim's
 * own, and publishes the result by one rename. All of it stands on mkdir and rename, which network file systems keep; there is no lock that a dead
 * machine could leave behind, and no clock of one machine is compared with another's.
 *
 * - A claim of NAME is the folder `working/NAME@1`, put there whole by a rename, which fails where there is one.
 * - Its holder writes a count into its file `beat` every few seconds. Who finds the count unchanged for a while, or the process gone from this machine,
 *   takes over by renaming `NAME@g` to `NAME@g+1`: of several one succeeds, and only against the claim that was judged.
 * - A holder that was only paused finds its folder gone: its next beat, or its publishing, fails, and it lets go. What it may still write goes to its
 *   old folder; what it has open is no part of the new one, whose files are copies.
 */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, open, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isStaleTemp, makeFolder, syncFolder, tempPathFor, writeFileAtomic } from '../platform/node/files.ts';
import { type Holder, isRunning, thisHost } from '../platform/node/lock.ts';
import { processStartTime } from '../platform/node/processes.ts';

/** Milliseconds. */
export interface ClaimTiming {
  readonly beatMs: number;
  /** A claim without a beat for so long is taken over. Longer than network drives keep old attributes of files (60 s). */
  readonly silenceMs: number;
  /** Between looks at what others hold. */
  readonly waitMs: number;
}

export const CLAIM_TIMING: ClaimTiming = { beatMs: 15_000, silenceMs: 180_000, waitMs: 2000 };

/** A piece of work that this process holds. */
export interface Claim {
  /** Where the work is done; what an earlier holder left is there. */
  readonly folder: string;
  /** Aborted where the claim is lost. */
  readonly signal: AbortSignal;
  /** Puts the folder to where results are looked for. @returns false if the claim was lost before */
  publish(target: string): Promise<boolean>;
  /** Lets go: of what was not published, the next holder goes on. */
  release(): Promise<void>;
}

export interface Claims {
  readonly timing: ClaimTiming;
  /** Claims a piece of work; undefined while another process holds it. */
  claim(name: string): Promise<Claim | undefined>;
  /** Who holds what, in words. */
  holders(): Promise<string[]>;
}

const WORKING = 'working';
const [HOLDER, BEAT, RELEASED, RUN] = ['holder.json', 'beat', 'released', 'run'];

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException).code);
const textIn = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

/** A rename that may have been somebody else's. @returns false if the source is gone or the target there */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ESTALE'].includes(codeOf(error))) return false;
    throw error;
  }
}

/** Makes a folder inside `parent`, which whoever releases the last claim may remove at any moment. */
async function makeInside(parent: string, path: string): Promise<void> {
  for (;;) {
    await makeFolder(parent);
    try {
      return await mkdir(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
}

/** Removes a folder that others look at: for them it is gone at once. */
async function removeAtOnce(path: string): Promise<void> {
  const aside = tempPathFor(path);
  if (await moved(path, aside)) await rm(aside, { recursive: true, force: true });
}

interface HolderRecord extends Holder {
  readonly generation: number;
}

export function openClaims(out: string, timing: ClaimTiming = CLAIM_TIMING): Claims {
  const working = join(out, WORKING);
  const me = { pid: process.pid, host: thisHost(), startedAt: processStartTime(process.pid) };
  /** The last beat of others' claims, and since when it is the same. */
  const heard = new Map<string, { readonly beat: string; readonly sinceMs: number }>();

  const generationsOf = async (name: string): Promise<number[]> =>
    (await readdir(working).catch(() => []))
      .filter((entry) => entry.startsWith(`${name}@`))
      .map((entry) => Number(entry.slice(name.length + 1)))
      .sort((a, b) => b - a);

  const holderIn = async (folder: string): Promise<HolderRecord | undefined> => {
    const text = await textIn(join(folder, HOLDER));
    return text === undefined ? undefined : (JSON.parse(text) as HolderRecord);
  };

  /** Whether a claim may be taken over, and why. */
  const stateOf = async (folder: string, generation: number): Promise<'held' | 'released' | 'dead' | 'silent'> => {
    if (await exists(join(folder, RELEASED))) return 'released';
    const holder = await holderIn(folder);
    if (holder?.generation === generation && holder.host === me.host && !isRunning(holder)) return 'dead';
    const beat = `${holder?.nonce} ${await textIn(join(folder, BEAT))}`;
    const before = heard.get(folder);
    const nowMs = performance.now();
    if (before?.beat !== beat) heard.set(folder, { beat, sinceMs: nowMs });
    return before?.beat === beat && nowMs - before.sinceMs > timing.silenceMs ? 'silent' : 'held';
  };

  const writeHolder = async (folder: string, generation: number): Promise<string> => {
    const nonce = randomBytes(8).toString('hex');
    const aside = join(folder, `.${nonce}`);
    await writeFile(aside, JSON.stringify({ ...me, nonce, generation } satisfies HolderRecord), { flag: 'wx' });
    await rename(aside, join(folder, HOLDER));
    return nonce;
  };

  /** A first claim. */
  const makeFirst = async (name: string): Promise<string | undefined> => {
    const aside = tempPathFor(join(working, name));
    const folder = join(working, `${name}@1`);
    await makeInside(working, aside);
    try {
      const nonce = await writeHolder(aside, 1);
      await writeFile(join(aside, BEAT), '0');
      // a network drive may have done what it says has failed
      return (await moved(aside, folder)) || (await holderIn(folder))?.nonce === nonce ? folder : undefined;
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  };

  const takeOver = async (name: string, generation: number): Promise<string | undefined> => {
    const before = join(working, `${name}@${generation}`);
    const state = await stateOf(before, generation);
    if (state === 'held') return undefined;
    const folder = join(working, `${name}@${generation + 1}`);
    if (!(await moved(before, folder))) return undefined;
    try {
      await writeHolder(folder, generation + 1);
      await rm(join(folder, BEAT), { force: true });
      await writeFile(join(folder, BEAT), '0', { flag: 'wx' });
      await rm(join(folder, RELEASED), { force: true });
      const run = join(folder, RUN);
      if (state === 'silent' && (await exists(run))) {
        // whoever is silent may wake up, and has files open; its lock says nothing any more
        const fresh = tempPathFor(run);
        const filter = (path: string): boolean =>
          !(basename(path).startsWith('.lock') || (path !== run && isStaleTemp(basename(path))));
        await cp(run, fresh, { recursive: true, filter });
        const old = tempPathFor(run);
        await rename(run, old);
        await rename(fresh, run);
        await rm(old, { recursive: true, force: true });
      }
      return folder;
    } catch (error) {
      if (['ENOENT', 'ESTALE', 'EEXIST'].includes(codeOf(error))) return undefined;
      throw error;
    }
  };

  const held = (name: string, folder: string): Claim => {
    const lost = new AbortController();
    let count = 0;
    let open_ = true;
    const beat = async (): Promise<void> => {
      try {
        const file = await open(join(folder, BEAT), 'r+');
        try {
          await file.write(String(++count).padEnd(12), 0);
        } finally {
          await file.close();
        }
      } catch (error) {
        if (open_ && ['ENOENT', 'ESTALE'].includes(codeOf(error))) lost.abort();
      }
    };
    const timer = setInterval(() => void beat(), timing.beatMs);
    timer.unref();
    return {
      folder: join(folder, RUN),
      signal: lost.signal,
      publish: async (target) => {
        // what was written after it was taken over made the folder again, and is not the whole
        if (!(await exists(join(folder, HOLDER)))) {
          lost.abort();
          return exists(target);
        }
        await makeFolder(dirname(target));
        const done = await moved(join(folder, RUN), target);
        if (!done && !(await exists(join(folder, HOLDER)))) lost.abort();
        await syncFolder(dirname(target));
        return done || (await exists(target));
      },
      release: async () => {
        open_ = false;
        clearInterval(timer);
        if (lost.signal.aborted || !(await exists(join(folder, HOLDER)))) {
          // what was written there after it was taken over
          if (!(await exists(join(folder, HOLDER)))) await rm(folder, { recursive: true, force: true });
          return;
        }
        if (await exists(join(folder, RUN))) await writeFile(join(folder, RELEASED), '').catch(() => {});
        else {
          for (const generation of await generationsOf(name)) await removeAtOnce(join(working, `${name}@${generation}`));
          await rmdir(working).catch(() => {});
        }
      },
    };
  };

  return {
    timing,
    claim: async (path) => {
      const name = path.replaceAll(/[/\\]/g, '+');
      const [generation] = await generationsOf(name);
      const folder = generation === undefined ? await makeFirst(name) : await takeOver(name, generation);
      if (folder === undefined) return undefined;
      const claim = held(name, folder);
      // a process that was paused between looking and claiming may stand beside a claim that is further on
      const [highest] = await generationsOf(name);
      if (join(working, `${name}@${highest}`) === folder) return claim;
      await claim.release();
      return undefined;
    },
    holders: async () => {
      const entries = (await readdir(working).catch(() => [])).filter((entry) => !entry.startsWith('.')).sort();
      const texts = await Promise.all(
        entries.map(async (entry) => {
          const holder = await holderIn(join(working, entry));
          const name = entry.slice(0, entry.lastIndexOf('@')).replace('+', '/');
          return holder && !(await exists(join(working, entry, RELEASED)))
            ? [`${name} by process ${holder.pid} on ${holder.host.split(' ')[0]}`]
            : [];
        }),
      );
      return texts.flat();
    },
  };
}

/** Writes a file unless there is one, whole from the start. @returns whether it was written */
export async function writeFirst(path: string, text: string): Promise<boolean> {
  const aside = tempPathFor(path);
  await writeFileAtomic(aside, text);
  try {
    const { link } = await import('node:fs/promises');
    await link(aside, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    // no links here: the last writer wins, and is compared with
    await rename(aside, path);
    return true;
  } finally {
    await rm(aside, { force: true });
  }
}
