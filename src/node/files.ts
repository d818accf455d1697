/** Files as users need them: an output is written aside, synced and renamed, so that a half file is never seen under its name. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Makes the folder's entries durable; some systems cannot sync a folder, and there the rename alone must do. */
async function syncFolder(path: string): Promise<void> {
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

/** A name beside `path`, hidden and unique, which `isLeftOver` recognises. */
export function asideOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}.part`);
}

/** True for a name that `asideOf` made: what a killed process may have left. */
export function isLeftOver(name: string): boolean {
  return /^\..+\.[0-9a-f]{8}\.part$/.test(name);
}

/** Writes `content` (pieces in order) to `path` atomically; makes the folders above it. On an error nothing stays behind. */
export async function writeFileAtomic(path: string, ...content: readonly (string | Uint8Array)[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = asideOf(path);
  try {
    const file = await open(aside, 'wx');
    try {
      for (const piece of content) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Runs `write` on a fresh folder aside, then puts it in the place of `path` (an old folder there is replaced). */
export async function writeFolderAtomic(path: string, write: (aside: string) => Promise<void>): Promise<void> {
  const aside = asideOf(path);
  await mkdir(aside, { recursive: true });
  try {
    await write(aside);
    await syncFolder(aside);
    const old = asideOf(path);
    const hadOld = await rename(path, old).then(
      () => true,
      () => false,
    );
    await rename(aside, path);
    if (hadOld) await rm(old, { recursive: true, force: true });
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}
