/** What a user chose or dropped. */
import { counted } from '../common/counted.ts';
import type { ChosenFile } from './compute/open.ts';

/** Longer lists are for nobody. */
const MOST_SAID = 5;

/** 'a; b; c; and 4 more' */
export const listed = (lines: readonly string[]): string =>
  [...lines.slice(0, MOST_SAID), ...(lines.length > MOST_SAID ? [`and ${lines.length - MOST_SAID} more`] : [])].join('; ');

/** What was chosen or dropped, by its name: 'scans: ', or nothing of files that were chosen one by one. */
const placed = (paths: readonly string[]): string => {
  const tops = new Set(paths.map(topOf));
  return tops.size === 1 && paths[0].includes('/') ? `${topOf(paths[0])}: ` : '';
};

/** '7 files (.txt, .pdf)', with the endings that are there most. */
function describedFiles(paths: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const ending = /[^/.](\.[^/.]+)$/.exec(path)?.[1].toLowerCase() ?? 'without an ending';
    counts.set(ending, (counts.get(ending) ?? 0) + 1);
  }
  const endings = [...counts].sort(([, a], [, b]) => b - a).map(([ending]) => ending);
  return `${counted(paths.length, 'file')} (${endings.slice(0, MOST_SAID).join(', ')}${endings.length > MOST_SAID ? ', ...' : ''})`;
}

/**
 * Why nothing of a choice can be opened: what it holds, what is expected, what to do.
 * @param paths of all that was chosen
 * @param others files that are known to be no usable image, each with the reason: 'PATH: REASON'
 */
export function nothingToOpen(paths: readonly string[], others: readonly string[]): string {
  const expected = 'Expected a scan as DICOM, NIfTI (.nii, .nii.gz, or .hdr with its .img), NRRD, MetaImage or MGH';
  if (paths.length === 0) return `The folder is empty. ${expected}: choose the folder that holds its files`;
  const unknown = paths.filter((path) => !others.some((line) => line.startsWith(`${path}: `)));
  const found = [...(others.length > 0 ? [listed(others)] : []), ...(unknown.length > 0 ? [describedFiles(unknown)] : [])];
  return `${placed(paths)}no image to open. Found ${found.join('; and ')}. ${expected}: choose the folder or the files that hold it`;
}

/** Why nothing of a chosen folder is shown under Runs. */
export const noRuns = (paths: readonly string[]): string =>
  `${placed(paths)}no run and no study among ${counted(paths.length, 'file')}. Expected run.json and metrics.jsonl, as gvsl pretrain and train write them, or a study of gvsl compare: choose their folder, or one that holds several`;

/** @throws Error that names the file, if it cannot be read any more */
export const bytesOf = ({ path, file }: ChosenFile): Promise<ArrayBuffer> =>
  file.arrayBuffer().catch(() => {
    throw new Error(`${path}: it can no longer be read: moved or changed meanwhile? Choose it again`);
  });

/**
 * The two files of a model among those of a folder. A run has several models; the best one is meant, as on the command line.
 * @throws Error saying what was expected
 */
export function modelFiles(files: readonly ChosenFile[]): {
  readonly name: string;
  readonly config: ChosenFile;
  readonly weights: ChosenFile;
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
      `${folder}: expected config.json and model.safetensors, or a run with them in best/ or last/; found ${found} among ${counted(files.length, 'file')}. Choose the folder that has both`,
    );
  }
  return { name: config.path.split('/').slice(0, -1).join('/'), config, weights };
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
      onTrouble(
        `${entries.map(({ name }) => name).join(', ')}: cannot be read: ${(error as Error).message}. Choose it by the fields under Open`,
      );
    }
  });
}
