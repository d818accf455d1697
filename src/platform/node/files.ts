/** Files as users need them: an output is written aside, synced and renamed, so that a half file is never seen under its name. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { MachineError } from '../../common/errors.ts';
import { refuseReplacing } from './guard.ts';
import { withMachineTrouble } from './machine.ts';
import { hasNumber, processState } from './processes.ts';

/** Makes the folder's entries durable; some systems cannot sync a folder, and there the rename alone must do. */
export async function syncFolder(path: string): Promise<void> {
  let folder: FileHandle | undefined;
  try {
    folder = await open(path, 'r');
    await folder.sync();
  } catch {
    // Windows refuses to open a folder for syncing.
  } finally {
    await folder?.close();
  }
}

/** Whether a file is there, be it through links. */
export const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

/** What files hold. */
export interface FileContent {
  readonly sizeBytes: number;
  /** SHA-256, in hexadecimal digits. */
  readonly sha256: string;
}

/** The content of files, one after the other. */
export async function contentOf(paths: readonly string[]): Promise<FileContent> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for (const path of paths)
    for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      hash.update(piece);
      sizeBytes += piece.length;
    }
  return { sizeBytes, sha256: hash.digest('hex') };
}

/** SHA-256 of a file, in hexadecimal digits. */
export const sha256Of = async (path: string): Promise<string> => (await contentOf([path])).sha256;

/** mkdir with the folders above: Node's own recursive form never returns in file systems that refuse folders, such as /proc. */
export async function makeFolder(path: string): Promise<void> {
  if (await stat(path).catch(() => undefined)) return;
  if (dirname(path) !== path) await makeFolder(dirname(path));
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** File systems allow names of 255 bytes. */
const MAX_NAME_BYTES = 255;

/** The beginning of a name that has at most so many bytes in UTF-8; the whole name if it fits. */
export function cutName(name: string, mostBytes: number): string {
  const characters = [...name];
  let bytes = Buffer.byteLength(name);
  while (bytes > mostBytes) bytes -= Buffer.byteLength(characters.pop()!);
  return characters.join('');
}

/** A name beside `path`, hidden and unique, which `isStaleTemp` recognises: it says which process of which machine writes there. */
export function tempPathFor(path: string): string {
  const pid = process.pid.toString(16).padStart(8, '0');
  const ending = `.${HOST}${pid}${randomBytes(4).toString('hex')}.part`;
  return join(dirname(path), `.${cutName(basename(path), MAX_NAME_BYTES - 1 - ending.length)}${ending}`);
}

/** True for a name that `tempPathFor` made: what a killed process may have left. */
export function isStaleTemp(name: string): boolean {
  return /^\..+\.([0-9a-f]{8}|[0-9a-f]{24})\.part$/.test(name);
}

/** What another machine left is given up after a day in which nothing was written to it. */
const FOREIGN_MS = 24 * 3600_000;

/** Whether the process that wrote there certainly does no more: it was one of this machine, and is gone, or killed and about to be. */
async function isAbandoned(folder: string, name: string): Promise<boolean> {
  const [, host, pid] = /\.([0-9a-f]{8})([0-9a-f]{8})[0-9a-f]{8}\.part$/.exec(name) ?? [];
  if (host === undefined) return false;
  if (host !== HOST) {
    const facts = await stat(join(folder, name)).catch(() => undefined);
    return facts !== undefined && Date.now() - facts.mtimeMs > FOREIGN_MS;
  }
  const number = Number.parseInt(pid, 16);
  return !hasNumber(number) || processState(number)?.ending === true;
}

/** Removes what killed processes left unfinished in a folder; what another process is writing stays. */
export async function removeLeftOvers(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names)
    if (isStaleTemp(name) && (await isAbandoned(folder, name))) await rm(join(folder, name), { recursive: true, force: true });
}

/** Folders in which this process has looked already. */
const swept = new Set<string>();

/** `removeLeftOvers` the first time that something is written into a folder: a cohort's may hold thousands of files. */
async function sweepOnce(folder: string): Promise<void> {
  if (swept.has(resolve(folder))) return;
  swept.add(resolve(folder));
  await removeLeftOvers(folder);
}

/** What is being written: removed where the process ends in the middle of it, by Ctrl-C for instance. */
const unfinished = new Set<string>();
process.on('exit', () => {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
});

/**
 * Writes `path` atomically: `write` fills a file aside, which is synced and put in its place. Makes the folders above it.
 * On an error nothing stays behind; what a killed process left beside it goes. @throws MachineError naming `path`: disk full, no permission, ...
 */
export async function writeAtomic(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  await withMachineTrouble(path, async () => {
    await refuseReplacing(path);
    await makeFolder(dirname(path));
    await sweepOnce(dirname(path));
    const aside = tempPathFor(path);
    unfinished.add(aside);
    try {
      const file = await open(aside, 'wx');
      try {
        await write(file);
        await file.sync();
      } finally {
        await file.close();
      }
      await refuseReplacing(path);
      await rename(aside, path);
    } catch (error) {
      await rm(aside, { force: true }).catch(() => {});
      throw error;
    } finally {
      unfinished.delete(aside);
    }
    await syncFolder(dirname(path));
  });
}

/** Writes `content` (pieces in order) to `path` as {@link writeAtomic} does. */
export const writeFileAtomic = (path: string, ...content: readonly (string | Uint8Array)[]): Promise<void> =>
  writeAtomic(path, async (file) => {
    for (const piece of content) await file.writeFile(piece);
  });

/** The names of a replacement that was under way: a complete new folder, and the old one that it replaces. */
const readyOf = (path: string): string => join(dirname(path), `.${basename(path)}.ready`);
const oldOf = (path: string): string => join(dirname(path), `.${basename(path)}.old`);
const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * Runs `write` on a fresh folder aside, then puts it in the place of `path` (an old folder there is replaced). What `write`
 * makes must be durable when it returns (`writeFileAtomic` sees to it).
 *
 * No system call that Node has exchanges two folders, so for a moment `path` is absent. A process killed then loses nothing:
 * the complete new folder lies beside it as `.NAME.ready`, `findFolder` finds it there, and the next writer's `repairFolder`
 * puts it in place. (A link to versioned folders would have no such moment, but Windows and many shared drives have no links.)
 * One writer at a time.
 */
export async function writeFolderAtomic(path: string, write: (aside: string) => Promise<void>): Promise<void> {
  await refuseReplacing(path);
  await withMachineTrouble(path, () => writeFolder(path, write));
}

async function writeFolder(path: string, write: (aside: string) => Promise<void>): Promise<void> {
  await makeFolder(dirname(path));
  await repairFolder(path);
  const aside = tempPathFor(path);
  await writeAside(path, aside, async () => {
    await write(aside);
    await syncFolder(aside);
    await refuseReplacing(path);
    await rename(aside, readyOf(path));
    // Before the old folder is touched, so that a power cut cannot keep the later change and lose this one.
    await syncFolder(dirname(path));
  });
  await repairFolder(path);
}

/** Fills the fresh folder `aside` for `path`; on an error nothing stays behind. */
async function writeAside(path: string, aside: string, write: (aside: string) => Promise<void>): Promise<void> {
  unfinished.add(aside);
  try {
    await mkdir(aside);
    await write(aside);
    await syncFolder(aside);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => {});
    // the user knows the folder by its name alone
    if (error instanceof MachineError) throw new MachineError(error.message.replaceAll(aside, path), error.code);
    throw error;
  } finally {
    unfinished.delete(aside);
  }
}

/**
 * Runs `write` on a fresh folder aside, then gives it the name `path`, which must not be there, or be an empty folder. Several may try at once: one
 * has its way, the others fail.
 * @throws MachineError, or RunError if there is something by now, naming `path`
 */
export async function writeNewFolder(path: string, write: (aside: string) => Promise<void>): Promise<void> {
  await withMachineTrouble(path, async () => {
    await refuseReplacing(path);
    await makeFolder(dirname(path));
    await removeLeftOvers(dirname(path));
    const aside = tempPathFor(path);
    await writeAside(path, aside, write);
    await rename(aside, path).catch(async (error: unknown) => {
      await rm(aside, { recursive: true, force: true }).catch(() => {});
      throw error;
    });
    await syncFolder(dirname(path));
  });
}

/**
 * Finishes a replacement of `path` that was cut off, and removes what it left. Every step can itself be cut off and done again.
 * Only for whoever may write there.
 */
export async function repairFolder(path: string): Promise<void> {
  const [ready, old] = [readyOf(path), oldOf(path)];
  if (await exists(ready)) {
    // The ready folder is complete, so whatever stands at the old one's name is older than it and than `path`.
    await rm(old, { recursive: true, force: true });
    if (await exists(path)) await rename(path, old);
    await rename(ready, path);
  }
  await rm(old, { recursive: true, force: true });
  const beside = await readdir(dirname(path)).catch(() => []);
  const mine = beside.filter((name) => isStaleTemp(name) && name.startsWith(`.${basename(path)}.`));
  for (const name of mine) await rm(join(dirname(path), name), { recursive: true, force: true });
  await syncFolder(dirname(path));
}

/** Where the newest complete content of `path` lies, without touching anything: there, or ready beside it; undefined if nowhere. */
export async function findFolder(path: string): Promise<string | undefined> {
  if (await exists(path)) return path;
  return (await exists(readyOf(path))) ? readyOf(path) : undefined;
}

/**
 * Works with a file beside `path` that is gone afterwards; where the system lets a file without a name be used, also if the process is
 * killed. @throws MachineError naming `path`, and what `work` throws
 */
export async function withScratch<Result>(path: string, work: (scratch: FileHandle) => Promise<Result>): Promise<Result> {
  const name = tempPathFor(path);
  return withMachineTrouble(path, async () => {
    await makeFolder(dirname(path));
    const scratch = await open(name, 'wx+');
    unfinished.add(name);
    try {
      await rm(name).catch(() => {});
      return await work(scratch);
    } finally {
      await scratch.close();
      await rm(name, { force: true });
      unfinished.delete(name);
    }
  });
}

/** Writes all of `bytes` at a position of the file. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}

/** Linux and macOS hand over less than 2 GiB a call, and Node takes no longer ask. */
const MAX_READ_BYTES = 2 ** 30;

/** Fills `bytes` from a position of the file; gives how many there were: fewer only where the file ends. */
export async function fillFrom(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, MAX_READ_BYTES), position + done);
    if (bytesRead === 0) return done;
    done += bytesRead;
  }
  return bytes.length;
}

/** Fills `bytes` from a position of the file. @throws Error if the file ends before */
export async function readAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  const done = await fillFrom(file, bytes, position);
  if (done < bytes.length) throw new Error(`the file ends at byte ${position + done}, before ${position + bytes.length}`);
}

/** Waits for all of them, also where one fails; then throws what the first to fail threw. */
export async function allDone(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
