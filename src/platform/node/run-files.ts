/**
 * A folder of runs and studies for the page, read-only: which folders there are, and the bytes of the files that tell of them (logs, records, tables,
 * pictures, figures). Never weights or images, and nothing outside of the folder: names are taken apart here, and what they lead to is asked of the
 * system, so that neither `..` nor a link gets out.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { RunError } from '../../common/errors.ts';
import { isListed, type ListedFile, type ListedFolder, type RunListing } from '../../common/run-listing.ts';
import { isLocked } from './lock.ts';
import { machineError } from './machine.ts';

/** What is served, and as what. */
const TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json; charset=utf-8',
  '.jsonl': 'text/plain; charset=utf-8',
  '.csv': 'text/plain; charset=utf-8',
  '.md': 'text/plain; charset=utf-8',
  '.yaml': 'text/plain; charset=utf-8',
  '.yml': 'text/plain; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.html': 'text/html; charset=utf-8',
};

/** A file is shown, never part of the page: a report runs its own scripts, without an origin, and nothing loads anything. */
const FILE_POLICY =
  "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** Folders of a run or a study in which no runs are. */
const INSIDE = new Set(['pictures', 'best', 'last', 'events', 'node_modules']);

/** Folders below the one that is served; deeper ones are not looked for. */
export const MAX_DEPTH = 8;
/** More would be no list for a person, and a slow one. */
export const MAX_FOLDERS = 5000;
/** Folders looked into: somebody may serve a whole disk. */
const MAX_VISITED = 50_000;

const isServed = (name: string): boolean => !name.startsWith('.') && extname(name).toLowerCase() in TYPES;

async function filesIn(folder: string, names: readonly string[]): Promise<ListedFile[]> {
  const files = await Promise.all(
    names.filter(isServed).map(async (name) => {
      // what vanishes meanwhile, as a file that is being replaced, is none; nor is a link, whatever it leads to
      const found = await lstat(join(folder, name)).catch(() => undefined);
      return found?.isFile() ? [{ name, sizeBytes: found.size, modifiedMs: found.mtimeMs }] : [];
    }),
  );
  return files.flat();
}

/** Runs and studies at and below `root`, by path. */
async function listing(root: string): Promise<RunListing> {
  const folders: ListedFolder[] = [];
  let left: string | null = null;
  let visited = 0;
  const visit = async (path: string, depth: number): Promise<void> => {
    if (folders.length >= MAX_FOLDERS) left = `the first ${MAX_FOLDERS} runs and studies are listed`;
    else if (++visited > MAX_VISITED) left = `the first ${MAX_VISITED} folders were looked into`;
    else {
      const folder = join(root, path);
      // no permission, or gone: as if it were not there. Links are not followed, so there are no circles.
      const entries = (await readdir(folder, { withFileTypes: true }).catch(() => [])).toSorted((a, b) =>
        a.name < b.name ? -1 : 1,
      );
      const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
      const marked = isListed(names);
      if (marked) folders.push({ path, files: await filesIn(folder, names), locked: isLocked(folder) });
      const below = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !INSIDE.has(entry.name));
      if (below.length > 0 && depth === MAX_DEPTH) left ??= `folders more than ${MAX_DEPTH} levels down are not looked into`;
      else for (const { name } of below) await visit(path === '' ? name : `${path}/${name}`, depth + 1);
    }
  };
  await visit('', 0);
  return { name: root.split(sep).at(-1) ?? '', folders, left };
}

/** What no name has: where a backslash parts folders, neither it nor a drive's colon. Elsewhere a run may be named after a time of day. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a name with one is refused
const NOT_IN_NAMES = sep === '\\' ? /[/\\:\u0000-\u001f]/ : /[/\u0000-\u001f]/;

/** The names in an address below a prefix; undefined where one is no plain name: `..`, hidden, a slash however written, a drive. */
function namesIn(address: string): string[] | undefined {
  if (address === '') return [];
  try {
    const names = address.split('/').map((part) => decodeURIComponent(part));
    return names.every((name) => name !== '' && !name.startsWith('.') && !NOT_IN_NAMES.test(name)) ? names : undefined;
  } catch {
    return undefined;
  }
}

/** Where names lead inside `root`, links resolved; undefined where there is nothing, or it lies outside, or hidden. */
async function inside(root: string, names: readonly string[]): Promise<string | undefined> {
  const found = await realpath(join(root, ...names)).catch(() => undefined);
  if (found === undefined || found === root) return found;
  const base = root.endsWith(sep) ? root : root + sep;
  const isShown =
    found.startsWith(base) &&
    found
      .slice(base.length)
      .split(sep)
      .every((name) => !name.startsWith('.'));
  return isShown ? found : undefined;
}

/** The bytes that are asked for; 'none' where the file has none of them, undefined where all are meant. */
function rangeOf(header: string | undefined, size: number): { start: number; end: number } | 'none' | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  // of an empty file there is no part: all of it is meant
  if (size === 0 || from === undefined || (from === '' && to === '')) return undefined;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(size - 1, Number(to));
  return start > end ? 'none' : { start, end };
}

type Headers = Readonly<Record<string, string>>;

async function sendFile(
  file: FileHandle,
  found: Stats,
  type: string,
  request: IncomingMessage,
  response: ServerResponse,
  common: Headers,
) {
  const tag = `"${found.size.toString(16)}-${found.mtimeMs.toString(16)}"`;
  const headers = {
    ...common,
    'Content-Security-Policy': FILE_POLICY,
    'Content-Type': type,
    'Accept-Ranges': 'bytes',
    ETag: tag,
  };
  const range = rangeOf(request.headers.range, found.size);
  if (range === 'none') response.writeHead(416, { ...headers, 'Content-Range': `bytes */${found.size}` }).end();
  else if (!range && request.headers['if-none-match'] === tag) response.writeHead(304, headers).end();
  else {
    const { start, end } = range ?? { start: 0, end: found.size - 1 };
    response.writeHead(range ? 206 : 200, {
      ...headers,
      'Content-Length': end - start + 1,
      // a browser would put parts together that it keeps, of a file that has changed meanwhile
      ...(range && { 'Content-Range': `bytes ${start}-${end}/${found.size}`, 'Cache-Control': 'no-store' }),
    });
    if (request.method === 'HEAD' || end < start) response.end();
    // a log that is cut meanwhile ends the connection: the reader asks again
    else await pipeline(file.createReadStream({ start, end, autoClose: false }), response).catch(() => response.destroy());
  }
}

/** What answers requests for `/runs/...`. */
export type RunFiles = (request: IncomingMessage, response: ServerResponse, common: Headers) => Promise<void>;

/**
 * Serves the runs and studies of a folder: `/runs/list` as `RunListing`, `/runs/folder/PATH` as the `ListedFile`s of a folder, `/runs/files/PATH`
 * as the file, by `Range` a part of it.
 * @throws RunError where there is no such folder
 */
export async function runFiles(folder: string): Promise<RunFiles> {
  const root = await realpath(folder).catch((error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new RunError(`${folder}: no such folder; expected runs or studies`);
    throw machineError(folder, error);
  });
  if (!(await stat(root)).isDirectory()) throw new RunError(`${folder}: expected a folder of runs or studies, found a file`);
  return async (request, response, common) => {
    const json = (value: unknown): void => {
      response.writeHead(200, { ...common, 'Content-Type': 'application/json; charset=utf-8' }).end(JSON.stringify(value));
    };
    const [address] = request.url!.split('?');
    const refuse = (): void => {
      response.writeHead(404, common).end('not found\n');
    };
    if (address === '/runs/list') return json(await listing(root));
    const [, kind, rest] = /^\/runs\/(folder|files)\/(.*)$/s.exec(address) ?? [];
    const names = rest === undefined ? undefined : namesIn(rest);
    const path = names && (await inside(root, names));
    // no folder has no files: a run may have no pictures yet
    if (kind === 'folder' && names)
      return json(path === undefined ? [] : await filesIn(path, await readdir(path).catch(() => [])));
    if (path === undefined) return refuse();
    const type = isServed(path.split(sep).at(-1)!) ? TYPES[extname(path).toLowerCase()] : undefined;
    // opening what is no file, such as a pipe, could wait for ever
    if (type === undefined || !(await stat(path).catch(() => undefined))?.isFile()) return refuse();
    const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(() => undefined);
    if (!file) return refuse();
    try {
      await sendFile(file, await file.stat(), type, request, response, common);
    } finally {
      await file.close();
    }
  };
}
