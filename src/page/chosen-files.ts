/** What a user chose or dropped. */
import type { ChosenFile } from './compute/open.ts';

/**
 * The two files of a model among those of a folder. A run has several models; the best one is meant, as on the command line.
 * @throws Error saying what was expected
 */
export function modelFiles(files: readonly ChosenFile[]): {
  readonly name: string;
  readonly config: Blob;
  readonly weights: Blob;
} {
  const find = (name: string): ChosenFile | undefined =>
    ['', 'best/', 'last/']
      .map((folder) => files.find(({ path }) => path.split('/').slice(1).join('/') === folder + name))
      .find((file) => file !== undefined);
  const [config, weights] = [find('config.json'), find('model.safetensors')];
  if (!config || !weights) {
    const folder = files[0]?.path.split('/')[0] ?? 'an empty folder';
    const found = config ? 'config.json alone' : weights ? 'model.safetensors alone' : 'neither';
    throw new Error(
      `${folder}: expected config.json and model.safetensors, or a run with them in best/ or last/; found ${found}. Choose the folder that has both`,
    );
  }
  return { name: config.path.split('/').slice(0, -1).join('/'), config: config.file, weights: weights.file };
}

/** Whether files are those of a model, not of images. */
export const isModel = (files: readonly ChosenFile[]): boolean =>
  files.some(({ path }) => /^[^/]+\/((best|last)\/)?model\.safetensors$/.test(path));

/** A file that was chosen or dropped, by its path in the folder that was. */
export interface NamedFile extends ChosenFile {
  readonly file: File;
}

/** Files of a field, with their paths in the folder that was chosen. */
export const chosenFiles = (files: Iterable<File>): NamedFile[] =>
  [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/** The first part of a path: what was chosen or dropped. */
export const topOf = (path: string): string => path.split('/')[0];

/** Models among what was dropped, each with its files, and all other files. */
export function modelsAmong(files: readonly NamedFile[]): {
  readonly models: readonly NamedFile[][];
  readonly others: readonly NamedFile[];
} {
  const byTop = new Map<string, NamedFile[]>();
  for (const file of files) byTop.set(topOf(file.path), [...(byTop.get(topOf(file.path)) ?? []), file]);
  const groups = [...byTop.values()];
  return { models: groups.filter(isModel), others: groups.filter((group) => !isModel(group)).flat() };
}

/** All files of a dropped file or folder. */
async function filesOf(entry: FileSystemEntry, folder: string): Promise<NamedFile[]> {
  const path = `${folder}${entry.name}`;
  if (entry.isFile)
    return [{ path, file: await new Promise<File>((take, fail) => (entry as FileSystemFileEntry).file(take, fail)) }];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: NamedFile[] = [];
  // a call gives at most a hundred
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((take, fail) => reader.readEntries(take, fail));
    if (some.length === 0) return all;
    for (const one of some) all.push(...(await filesOf(one, `${path}/`)));
  }
}

/** What was dropped: its files, and whether a folder is among it. */
export interface Dropped {
  readonly files: readonly NamedFile[];
  readonly hasFolder: boolean;
}

interface Taker {
  readonly wants: (files: readonly NamedFile[]) => boolean;
  readonly take: (dropped: Dropped) => void;
}
const takers: Taker[] = [];

/** Takes of what is dropped anywhere on the page what it wants; of several that want it, who asked last. */
export function takeDropped(wants: Taker['wants'], take: Taker['take']): void {
  takers.unshift({ wants, take });
}

/**
 * Hands on files and folders that are dropped anywhere on the page, which would otherwise leave it and open them. Those dropped on a field are the
 * field's.
 * @param onTrouble told of what cannot be read
 */
export function listenForDrops(onTrouble: (text: string) => void): void {
  const onField = ({ target }: DragEvent): boolean => target instanceof HTMLInputElement && target.type === 'file';
  addEventListener('dragover', (event) => {
    if (!onField(event)) event.preventDefault();
  });
  addEventListener('drop', async (event) => {
    if (onField(event)) return;
    event.preventDefault();
    // entries are there during the event alone
    const entries = [...(event.dataTransfer?.items ?? [])]
      .map((item) => item.webkitGetAsEntry())
      .filter((entry) => entry !== null);
    if (entries.length === 0) return;
    try {
      const files = (await Promise.all(entries.map((entry) => filesOf(entry, '')))).flat();
      const hasFolder = entries.some(({ isDirectory }) => isDirectory);
      takers.find(({ wants }) => wants(files))?.take({ files, hasFolder });
    } catch (error) {
      onTrouble(`${entries.map(({ name }) => name).join(', ')}: cannot be read: ${(error as Error).message}`);
    }
  });
}
