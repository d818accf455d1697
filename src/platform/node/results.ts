/**
 * A folder of results whose names come from elsewhere (the inputs', fixed ones). A call may replace what an earlier one wrote there, and
 * nothing else: a label map that somebody made or corrected by hand is not lost to a prediction of the same name.
 *
 * The folder's hidden record holds the content hash of every result. A name without a hash was about to be written by a call that was stopped.
 */
import { lstat, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MachineError, RunError, UsageError } from '../../common/errors.ts';
import { formatNames } from '../../common/format-names.ts';
import { makeFolder, removeLeftOvers, sha256Of, writeFileAtomic } from './files.ts';
import { refuseReplacing } from './guard.ts';
import { lockFolder } from './lock.ts';
import { withMachineTrouble } from './machine.ts';
import { type Part, partName } from './parts.ts';

const RECORD = '.gvsl-results.json';
/** A part's own, so that parts need not wait for each other. */
const recordOf = (part: Part | undefined): string => (part ? `.gvsl-results-${partName(part)}.json` : RECORD);
const ANY_RECORD = /^\.gvsl-results(-\d+-of-\d+)?\.json$/;

type Files = Record<string, string | null>;

async function readRecord(folder: string, name: string): Promise<Files> {
  const text = await readFile(join(folder, name), 'utf8').catch(() => '{}');
  try {
    const { files } = JSON.parse(text) as { files?: Files };
    return files ?? {};
  } catch {
    return {};
  }
}

const PAUSE_MS = 20;
const PATIENCE_MS = 10_000;

/** Several calls may write into one folder at the same time, each its own names; each waits for the moment that another needs here. */
async function record(folder: string, changes: Files, part: Part | undefined): Promise<void> {
  // of a part that runs twice at once the later word counts; a hash that is lost with it only lets a name be replaced
  if (part) return writeRecord(folder, changes, part);
  const unlock = await (async () => {
    for (const startedMs = performance.now(); ; ) {
      try {
        return lockFolder(folder);
      } catch (error) {
        const isHeld = error instanceof RunError && !(error instanceof MachineError);
        if (!isHeld || performance.now() - startedMs > PATIENCE_MS) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  })();
  try {
    await writeRecord(folder, changes, part);
  } finally {
    unlock();
  }
}

async function writeRecord(folder: string, changes: Files, part: Part | undefined): Promise<void> {
  const name = recordOf(part);
  const files = { ...(await readRecord(folder, name)), ...changes };
  const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeFileAtomic(join(folder, name), `${JSON.stringify({ format: 1, files: sorted }, null, 2)}\n`);
}

/** What all calls have written there, parts too. */
async function readRecords(folder: string): Promise<Files> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => ANY_RECORD.test(name));
  return Object.assign({}, ...(await Promise.all(names.map((name) => readRecord(folder, name))))) as Files;
}

/** A folder that results are written into. */
export interface ResultFolder {
  /** Call it when these results are written. */
  finish(names: readonly string[]): Promise<void>;
}

/**
 * Does work that writes into a folder of results, which is opened for it. Where it fails before anything is written, a folder that was not there
 * before is not there after.
 * @throws as `openResults`, and what the work throws
 */
export async function inResults<Result>(
  folder: string,
  names: ResultNames,
  work: (results: ResultFolder) => Promise<Result>,
): Promise<Result> {
  const wasThere = await stat(folder).catch(() => undefined);
  const results = await openResults(folder, names);
  try {
    return await work(results);
  } catch (error) {
    const left = wasThere ? [] : await readdir(folder).catch(() => []);
    if (left.length === 1 && left[0] === recordOf(names.part)) await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

export interface ResultNames {
  /** Everything that may be written, by path within the folder. */
  readonly names: readonly string[];
  /** Replaces what is there, whoever made it (inputs never). */
  readonly overwrite: boolean;
  /** The part of a list that is done; other parts may write into the folder at the same time. */
  readonly part?: Part | undefined;
  /** What called, for messages: 'gvsl segment'. */
  readonly by: string;
}

/** Which of the names are there, but not as a call has written them. */
async function foreignAmong(folder: string, names: readonly string[]): Promise<string[]> {
  const known = await readRecords(folder);
  const foreign: string[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const there = await lstat(path).catch(() => undefined);
    if (!there || known[name] === null) continue;
    if (!there.isFile() || known[name] !== (await sha256Of(path))) foreign.push(name);
  }
  return foreign;
}

/**
 * Makes the folder and sees that `names` may be written there, before anything is computed.
 * @throws UsageError for a folder that is a file, and for a name that would replace an input or a file that was not written by an earlier call
 */
export async function openResults(folder: string, { names, overwrite, by, part }: ResultNames): Promise<ResultFolder> {
  const facts = await stat(folder).catch(() => undefined);
  if (facts && !facts.isDirectory()) throw new UsageError(`\`out\` ${folder}: is a file; expected a folder`);
  await refuseReplacing(...names.map((name) => join(folder, name)));
  for (const name of names) {
    const path = join(folder, name);
    if ((await lstat(path).catch(() => undefined))?.isDirectory())
      throw new UsageError(`${path}: is a folder, but a file would be written there; choose another \`out\``);
  }
  let foreign = overwrite ? [] : await foreignAmong(folder, names);
  // another call may have written one since its record was read: what is still foreign on a second look is
  if (foreign.length > 0) foreign = await foreignAmong(folder, foreign);
  if (foreign.length > 0) {
    throw new UsageError(
      `\`out\` ${folder}: ${formatNames(foreign)} ${foreign.length > 1 ? 'are' : 'is'} already there and ${foreign.length > 1 ? 'were' : 'was'} not written by ${by}, or changed since; choose another folder, or add \`overwrite\``,
    );
  }
  await withMachineTrouble(folder, () => makeFolder(folder));
  for (const place of new Set([folder, ...names.map((name) => dirname(join(folder, name)))])) await removeLeftOvers(place);
  await record(folder, Object.fromEntries(names.map((name) => [name, null])), part);
  return {
    finish: async (written) => {
      const hashes: Files = {};
      // what another call with the same names has taken away is about to be written by that one
      for (const name of written)
        hashes[name] = await sha256Of(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error;
          return null;
        });
      await record(folder, hashes, part);
    },
  };
}
