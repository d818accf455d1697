/** DICOM files, wherever they lie, as stacks of frames, and their volumes. */
import { counted } from '../../common/counted.ts';
import { MachineError, RunError } from '../../common/errors.ts';
import type { FileStore } from '../file-store.ts';
import type { LoadedImage } from '../loaded-image.ts';
import { withoutCopies } from './copies.ts';
import { looksLikeDicom, SNIFFED_BYTES } from './data-set.ts';
import { type DicomFile, readDicomObject } from './frames.ts';
import { type DicomStack, gridOf, stacksOf } from './stacks.ts';
import { noIntensities, readStack } from './volume.ts';

/** One volume of a DICOM series: what its headers say, for choosing among several. */
export interface DicomSource {
  readonly kind: 'dicom';
  /** The folder that holds its files (the nearest one that holds them all). */
  readonly path: string;
  /** Tells the stacks of a folder apart ('series-1'); empty if there is one. */
  readonly name: string;
  /** As the headers state it: 'CT', 'MR', 'PT', ...; empty if they do not. */
  readonly modality: string;
  /** Series description. */
  readonly description: string;
  readonly files: readonly DicomFile[];
  readonly stack: DicomStack;
}

export interface NotRead {
  readonly path: string;
  readonly reason: string;
}

/** Why a file is not read that other formats may be. */
export const GZIPPED_DICOM = 'it is DICOM compressed with gzip: decompress it first, for example with gunzip';

/** Whether a file is DICOM by its content. */
export async function isDicomFile(files: FileStore, path: string): Promise<boolean> {
  return looksLikeDicom(await (await files.access(path)).read(0, SNIFFED_BYTES));
}

/** One file as a volume. @throws RunError without the file's name */
export async function readDicomFile(files: FileStore, path: string): Promise<LoadedImage> {
  const object = await readDicomObject(await files.access(path));
  if (object.kind === 'other') throw new RunError(`${object.what}: not an image with intensities`);
  const stacks = stacksOf([object.file]);
  if (stacks.length > 1)
    throw new RunError(
      `it holds ${stacks.length} volumes, expected one: ${stacks.map(describeStack).join('; ')}. Pass its folder to choose one of them`,
    );
  const image = await readStack(stacks[0], path, files.access);
  return object.file.frames.length > 1 ? image : { ...image, format: 'DICOM file' };
}

/** 'acquisition number 2 (6 slices)' */
export const describeStack = ({ frames, distinction }: DicomStack): string =>
  `${distinction || frames[0].file.description || 'a further stack'} (${counted(frames.length, 'slice')})`;

/** The volume of one stack. @throws RunError without the image's name */
export const readDicomSource = (files: FileStore, { stack, path }: DicomSource): Promise<LoadedImage> =>
  readStack(stack, path, files.access);

/**
 * The stacks of DICOM files that lie below one folder, wherever they lie there: files of one series belong together across folders if
 * they form one grid.
 */
export async function dicomSources(
  files: FileStore,
  paths: readonly string[],
): Promise<{ images: DicomSource[]; refused: NotRead[]; passedOver: NotRead[] }> {
  const refused: NotRead[] = [];
  const passedOver: NotRead[] = [];
  const series = new Map<string, DicomFile[]>();
  for (const path of paths) {
    try {
      const object = await readDicomObject(await files.access(path));
      const reason = object.kind === 'other' ? object.what : noIntensities(object.file);
      if (reason) passedOver.push({ path, reason });
      if (object.kind === 'other' || reason) continue;
      const { file } = object;
      const key = JSON.stringify(file.seriesUid ? [file.seriesUid, file.studyUid, file.patientId] : [files.folderOf(path)]);
      const others = series.get(key);
      if (others) others.push(file);
      else series.set(key, [file]);
    } catch (error) {
      if (!(error instanceof RunError) || error instanceof MachineError) throw error;
      refused.push({ path, reason: error.message });
    }
  }
  const found: DicomStack[] = [];
  for (const one of series.values()) found.push(...(await stacksOfSeries(files, one)));
  const byPath = new Map<string, DicomStack[]>();
  for (const stack of found) {
    const folder = commonFolder(
      files,
      stack.frames.map(({ file }) => files.folderOf(file.path)),
    );
    const others = byPath.get(folder);
    if (others) others.push(stack);
    else byPath.set(folder, [stack]);
  }
  const images = [...byPath].flatMap(([path, stacks]) =>
    stacks
      .sort((a, b) => b.frames.length - a.frames.length || (a.frames[0].file.path < b.frames[0].file.path ? -1 : 1))
      .map((stack, k): DicomSource => {
        const { modality, description } = stack.frames[0].file;
        const own = [...new Set(stack.frames.map(({ file }) => file))];
        return {
          kind: 'dicom',
          path,
          name: stacks.length > 1 ? `series-${k + 1}` : '',
          modality,
          description,
          files: own,
          stack,
        };
      }),
  );
  return { images, refused, passedOver };
}

/** The stacks of the files of one series: over all its folders if that gives whole grids, else folder by folder. */
async function stacksOfSeries(files: FileStore, all: readonly DicomFile[]): Promise<DicomStack[]> {
  const folderOf = ({ path }: DicomFile): string => files.folderOf(path);
  const folders = new Map<string, DicomFile[]>();
  for (const file of all) {
    const others = folders.get(folderOf(file));
    if (others) others.push(file);
    else folders.set(folderOf(file), [file]);
  }
  if (folders.size > 1) {
    const stacks = await stacksWithoutCopies(files, all);
    const spanning = stacks.filter(({ frames }) => frames.some(({ file }) => folderOf(file) !== folderOf(frames[0].file)));
    if (spanning.every(isVolume)) return stacks;
  }
  const each: DicomStack[] = [];
  for (const own of folders.values()) each.push(...(await stacksWithoutCopies(files, own)));
  return each;
}

function isVolume(stack: DicomStack): boolean {
  try {
    gridOf(stack);
    return true;
  } catch (error) {
    if (error instanceof RunError) return false;
    throw error;
  }
}

async function stacksWithoutCopies(store: FileStore, all: readonly DicomFile[]): Promise<DicomStack[]> {
  // 'IM2.dcm' is kept rather than 'IM2 (1).dcm', and one folder's files rather than some of each
  const ordered = all.toSorted((a, b) => {
    const [x, y] = [store.folderOf(a.path), store.folderOf(b.path)];
    if (x !== y) return x < y ? -1 : 1;
    return a.path.length - b.path.length || (a.path < b.path ? -1 : 1);
  });
  const { files, copies } = await withoutCopies(ordered, store.access);
  const stacks = stacksOf(files);
  return stacks.map((stack) => {
    const own = [...new Set(stack.frames.map(({ file }) => file))];
    const left = own.flatMap((file) => copies.get(file) ?? []);
    const siblings = stacks.filter((other) => other.frames[0].file.seriesUid === own[0].seriesUid);
    const warnings = [...stack.warnings];
    if (left.length > 0)
      warnings.push(
        `${left.length} identical ${left.length === 1 ? 'copy' : 'copies'} of its files ignored (${left[0]}${left.length > 1 ? ', ...' : ''})`,
      );
    const shared = own.length - new Set(own.map((file) => file.sopInstanceUid || file)).size;
    if (shared > 0)
      warnings.push(`${shared + 1} different files of it share SOP Instance UIDs with others (a faulty anonymiser?)`);
    if (siblings.length > 1) {
      const others = siblings.filter((other) => other !== stack).map(describeStack);
      const named = others.length > 5 ? [...others.slice(0, 4), `${others.length - 4} more`] : others;
      const own = stack.distinction ? `: ${stack.distinction}` : '';
      warnings.push(`one of ${siblings.length} volumes of its series${own}; the others: ${named.join('; ')}`);
    }
    return { ...stack, warnings };
  });
}

/** The nearest folder that holds all of the folders. */
function commonFolder(files: FileStore, folders: readonly string[]): string {
  let common = folders[0];
  for (const folder of new Set(folders))
    while (!files.isWithin(folder, common) && files.folderOf(common) !== common) common = files.folderOf(common);
  return common;
}
