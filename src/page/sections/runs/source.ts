/** Where runs come from: the server that `gvsl page --runs` is, or a folder that was chosen in the browser. Both are read only. */

import { isListed, type ListedFile, type ListedFolder, type RunListing } from '../../../common/run-listing.ts';
import { type NamedFile, topOf } from '../../chosen-files.ts';

/** Bytes of a file from some place on. */
export interface Part {
  readonly bytes: Uint8Array;
  /** Of the whole file, as it was then. */
  readonly sizeBytes: number;
}

export interface RunSource {
  /** Whether files may grow while they are looked at. */
  readonly isLive: boolean;
  list(): Promise<RunListing>;
  /** Files in a folder; none where there is no folder. */
  files(path: string): Promise<readonly ListedFile[]>;
  /** undefined where there is no such file. */
  text(path: string): Promise<string | undefined>;
  /** Bytes from a place on, at most `limit`; from a negative place: so many at the end. undefined where there is no such file. */
  part(path: string, from: number, limit: number): Promise<Part | undefined>;
  /** An address for an image or a link. */
  url(path: string): string | undefined;
}

const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

/** What the page's own server serves; undefined where it serves no runs, or is some other server. */
export async function servedRuns(): Promise<RunSource | undefined> {
  const ask = async (kind: 'folder' | 'files', path: string, request: RequestInit = {}): Promise<Response | undefined> => {
    const answer = await fetch(`./runs/${kind}/${encoded(path)}`, request);
    if (answer.ok || answer.status === 416) return answer;
    if (answer.status === 404) return undefined;
    throw new Error(`the server of the page answers ${answer.status} for ${path}`);
  };
  const list = async (): Promise<Response> => fetch('./runs/list');
  const first = await list().catch(() => undefined);
  if (first?.status !== 200 || !first.headers.get('content-type')?.startsWith('application/json')) return undefined;
  return {
    isLive: true,
    list: async () => {
      const answer = await list();
      if (!answer.ok) throw new Error(`the server of the page answers ${answer.status} for the list of runs`);
      return answer.json();
    },
    files: async (path) => ((await (await ask('folder', path))?.json()) as ListedFile[] | undefined) ?? [],
    text: async (path) => (await ask('files', path))?.text(),
    part: async (path, from, limit) => {
      // a part of a file that grows is nothing to keep: browsers put kept parts together
      const range = from < 0 ? `bytes=${from}` : `bytes=${from}-${from + limit - 1}`;
      const answer = await ask('files', path, { headers: { Range: range }, cache: 'no-store' });
      if (!answer) return undefined;
      const size = /\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1];
      const bytes = answer.status === 416 ? new Uint8Array() : new Uint8Array(await answer.arrayBuffer());
      return { bytes, sizeBytes: size === undefined ? bytes.length : Number(size) };
    },
    url: (path) => `./runs/files/${encoded(path)}`,
  };
}

/** Whether files hold the log of a run or a study, in any of their folders. */
export const areRuns = (files: readonly NamedFile[]): boolean =>
  files.some(({ path }) => /\/(run\.json|study\.json|metrics\.jsonl)$/.test(path));

/** A folder as the browser's chooser gives it: its files as they were then. */
export function chosenRuns(files: readonly NamedFile[]): RunSource {
  const byPath = new Map(files.map(({ path, file }) => [path.split('/').slice(1).join('/'), file]));
  const folders = new Map<string, ListedFile[]>();
  const locked = new Set<string>();
  for (const [path, { size, lastModified }] of byPath) {
    const at = path.lastIndexOf('/');
    const [folder, name] = [path.slice(0, Math.max(at, 0)), path.slice(at + 1)];
    if (name === '.lock') locked.add(folder);
    folders.set(folder, [...(folders.get(folder) ?? []), { name, sizeBytes: size, modifiedMs: lastModified }]);
  }
  const marked = [...folders].filter(([, own]) => isListed(own.map(({ name }) => name)));
  const urls = new Map<string, string>();
  return {
    isLive: false,
    list: async () => ({
      name: topOf(files[0]?.path ?? ''),
      folders: marked
        .map(([path, own]): ListedFolder => ({ path, files: own, locked: locked.has(path) }))
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
      left: null,
    }),
    files: async (path) => folders.get(path) ?? [],
    text: async (path) => byPath.get(path)?.text(),
    part: async (path, from, limit) => {
      const file = byPath.get(path);
      if (!file) return undefined;
      const start = from < 0 ? Math.max(0, file.size + from) : from;
      return { bytes: new Uint8Array(await file.slice(start, start + limit).arrayBuffer()), sizeBytes: file.size };
    },
    url: (path) => {
      const file = byPath.get(path);
      if (file && !urls.has(path)) urls.set(path, URL.createObjectURL(file));
      return urls.get(path);
    },
  };
}
