/**
 * What a command reads is never replaced by what it writes.
 *
 * A command names what it reads once (`guardInputs`); every write below it (files.ts) then asks here, before anything is computed where the
 * command can tell (`refuseReplacing`) and again in the moment of writing. Files are compared as the file system knows them (device and
 * inode), so links of both kinds, letter case, `..`, mounts and any other spelling lead to the same file.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { BigIntStats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError } from '../../common/errors.ts';

/** A file, or a folder with everything in it, that is read. */
export interface Input {
  readonly path: string;
  /** What it is to the user: 'an input image', 'the model'. */
  readonly what: string;
}

interface Kept extends Input {
  readonly id: string;
  readonly isFolder: boolean;
}

interface Guard {
  readonly byId: ReadonlyMap<string, Kept>;
  readonly hasFolders: boolean;
}

const current = new AsyncLocalStorage<Guard>();

const factsOf = (path: string): Promise<BigIntStats | undefined> => stat(path, { bigint: true }).catch(() => undefined);
const idOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

/** The folders above a path as the file system knows them, the nearest first. */
async function foldersAbove(path: string): Promise<string[]> {
  const ids: string[] = [];
  let folder = dirname(await realpath(path));
  for (;;) {
    const facts = await factsOf(folder);
    if (facts) ids.push(idOf(facts));
    const above = dirname(folder);
    if (above === folder) return ids;
    folder = above;
  }
}

/** Whether `path`, which need not exist yet, is `folder` or lies in it, through whatever links. */
export async function isInside(path: string, folder: string): Promise<boolean> {
  const wanted = await factsOf(folder);
  if (!wanted) return false;
  let nearest = resolve(path);
  while (!(await factsOf(nearest)) && dirname(nearest) !== nearest) nearest = dirname(nearest);
  const itself = await factsOf(nearest);
  const ids = [...(itself ? [idOf(itself)] : []), ...(await foldersAbove(nearest))];
  return ids.includes(idOf(wanted));
}

/**
 * Refuses an output in an input's folder, where what is written time and again would be taken for what is read.
 * @param what the folder is to the user: 'the cohort'
 * @throws UsageError naming both
 */
export async function refuseInside(out: string, folder: string, what: string): Promise<void> {
  if (await isInside(out, folder))
    throw new UsageError(`\`out\` ${out}: results would be written into ${what} ${folder}; choose another folder`);
}

/** Runs `work`, in which no write replaces one of `inputs` (in addition to what a caller guards). What is not there cannot be replaced. */
export async function guardInputs<T>(inputs: readonly Input[], work: () => Promise<T>): Promise<T> {
  const outer = current.getStore();
  const byId = new Map(outer?.byId);
  let hasFolders = outer?.hasFolders ?? false;
  for (const input of inputs) {
    const facts = await factsOf(input.path);
    if (!facts) continue;
    const isFolder = facts.isDirectory();
    hasFolders ||= isFolder;
    byId.set(idOf(facts), { ...input, id: idOf(facts), isFolder });
  }
  return current.run({ byId, hasFolders }, work);
}

/** The guarded input that a write to `path` would replace or change. */
async function replacedBy(path: string, { byId, hasFolders }: Guard): Promise<Kept | undefined> {
  const facts = await factsOf(path);
  if (!facts) return undefined;
  const itself = byId.get(idOf(facts));
  if (itself) return itself;
  if (hasFolders) {
    for (const id of await foldersAbove(path)) {
      const kept = byId.get(id);
      if (kept?.isFolder) return kept;
    }
  }
  // a folder is replaced with all that is in it
  if (facts.isDirectory()) {
    for (const kept of byId.values()) {
      const above = await foldersAbove(kept.path).catch((): string[] => []);
      if (above.includes(idOf(facts))) return kept;
    }
  }
  return undefined;
}

/**
 * Refuses outputs that would replace something that the command reads. Without a guard, nothing is refused.
 * @throws UsageError naming both
 */
export async function refuseReplacing(...outputs: readonly string[]): Promise<void> {
  const guard = current.getStore();
  if (!guard || guard.byId.size === 0) return;
  for (const output of outputs) {
    const kept = await replacedBy(output, guard);
    if (kept)
      throw new UsageError(
        `${output}: would replace ${kept.isFolder ? `what is in ${kept.path}` : kept.path}, ${kept.what}, which is an input; choose another output`,
      );
  }
}

/** What of a run is read: its records, states and pictures. A report or an exported model that lies beside them is not. */
const OF_A_MODEL = /^(.*\.(json|jsonl|ya?ml|index)|model.*\.safetensors|pytorch_model.*)$/i;
const STATES = /^\.?(best|last|pictures|events)(\.ready)?$/;

/** What is read of a model folder, a run, or a single file of weights. */
export async function modelInputs(path: string, what = 'the model'): Promise<Input[]> {
  const facts = await factsOf(path);
  if (!facts) return [];
  // the configuration beside a file of weights is read with it
  const folder = facts.isDirectory() ? path : dirname(path);
  const names = await readdir(folder).catch(() => []);
  const inside = names
    .filter((name) => OF_A_MODEL.test(name) || STATES.test(name))
    .map((name) => ({ path: join(folder, name), what }));
  return facts.isDirectory() ? inside : [{ path, what }, ...inside.filter((input) => basename(input.path) === 'config.json')];
}
