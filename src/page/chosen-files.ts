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
    throw new Error(`${folder}: expected config.json and model.safetensors, or a run with them in best/ or last/`);
  }
  return { name: config.path.split('/').slice(0, -1).join('/'), config: config.file, weights: weights.file };
}

/** Whether files are those of a model, not of images. */
export const isModel = (files: readonly ChosenFile[]): boolean =>
  files.some(({ path }) => /^[^/]+\/((best|last)\/)?model\.safetensors$/.test(path));

/** Files of a field, with their paths in the folder that was chosen. */
export const chosenFiles = (files: Iterable<File>): ChosenFile[] =>
  [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/** All files of a dropped file or folder. */
async function filesOf(entry: FileSystemEntry, folder: string): Promise<ChosenFile[]> {
  const path = `${folder}${entry.name}`;
  if (entry.isFile)
    return [{ path, file: await new Promise<File>((take, fail) => (entry as FileSystemFileEntry).file(take, fail)) }];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: ChosenFile[] = [];
  // a call gives at most a hundred
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((take, fail) => reader.readEntries(take, fail));
    if (some.length === 0) return all;
    for (const one of some) all.push(...(await filesOf(one, `${path}/`)));
  }
}

/**
 * Takes files and folders that are dropped anywhere on the page, which would otherwise leave it and open them. Those dropped on a field are the
 * field's.
 * @param take is told too whether a folder is among them
 */
export function takeDropped(take: (files: Promise<readonly ChosenFile[]>, hasFolder: boolean) => void): void {
  const onField = ({ target }: DragEvent): boolean => target instanceof HTMLInputElement && target.type === 'file';
  addEventListener('dragover', (event) => {
    if (!onField(event)) event.preventDefault();
  });
  addEventListener('drop', (event) => {
    if (onField(event)) return;
    event.preventDefault();
    // entries are there during the event alone
    const entries = [...(event.dataTransfer?.items ?? [])]
      .map((item) => item.webkitGetAsEntry())
      .filter((entry) => entry !== null);
    if (entries.length === 0) return;
    const files = Promise.all(entries.map((entry) => filesOf(entry, ''))).then((all) => all.flat());
    take(
      files,
      entries.some(({ isDirectory }) => isDirectory),
    );
  });
}
