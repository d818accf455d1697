/** Finding the subjects of a source: which layout it has, and its subjects by that layout. Hidden files (`._*`) are never looked at. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { imageStem } from '../../images/node/find.ts';
import { isFile } from '../../platform/node/files.ts';
import { type Dataset, labelNamesOf, readDataset, readJsonObject } from './layouts/dataset.ts';
import { fromLists, listedPath } from './layouts/lists.ts';
import { fromNnUnet, listedCases } from './layouts/nnunet.ts';
import { fromPlain } from './layouts/plain.ts';
import { EVERYTHING, patternsOf, type Selection } from './selection.ts';
import type { FoundSubjects, Search } from './subject-task.ts';

/**
 * @param source a folder, or MONAI's datalist
 * @param modality what the cohort is to be of; null to find images of any
 * @throws RunError if the folder cannot be listed, its dataset.json or the datalist cannot be read, or that has an image twice
 */
export async function findSubjects(
  source: string,
  modality: 'ct' | 'mr' | null = null,
  selection: Selection = EVERYTHING,
): Promise<FoundSubjects> {
  const isList = /\.json$/i.test(source) && (await isFile(source));
  const search: Search = { modality, selection, patterns: patternsOf(selection) };
  const dataset = isList ? await readJsonObject(source, "expected MONAI's datalist") : await readDataset(source);
  const found = isList && dataset ? await fromLists(source, dataset, 'MONAI', search) : await ofFolder(source, dataset, search);
  return { ...found, labelNames: labelNamesOf(dataset) };
}

async function ofFolder(folder: string, dataset: Dataset | null, search: Search): Promise<FoundSubjects> {
  const isFolder = async (name: string): Promise<boolean> =>
    (await stat(join(folder, name)).catch(() => undefined))?.isDirectory() ?? false;
  if (Array.isArray(dataset?.training) && !(await listsWithoutChannels(folder, dataset.training)))
    return fromLists(join(folder, 'dataset.json'), dataset, 'Decathlon', search);
  const cases = dataset && listedCases(dataset);
  if (cases) {
    const found = await fromLists(join(folder, 'dataset.json'), { ...dataset, training: cases }, 'nnU-Net', search);
    if (!(await isFolder('imagesTs'))) return found;
    const message = 'not read: dataset.json lists the cases ("dataset"); prepare a copy of the folder without that list for it';
    return { ...found, problems: [...found.problems, { source: join(folder, 'imagesTs'), kind: 'warning', message }] };
  }
  if ((await isFolder('imagesTr')) || (await isFolder('imagesTs'))) return fromNnUnet(folder, dataset, search);
  return fromPlain(folder, search);
}

/** nnU-Net 1 lists images without the number of a channel that their files have. */
async function listsWithoutChannels(folder: string, training: readonly unknown[]): Promise<boolean> {
  const [first] = training;
  const listed = typeof first === 'string' ? first : (first as { image?: unknown } | undefined)?.image;
  if (typeof listed !== 'string') return false;
  const path = await listedPath(folder, listed);
  const stem = imageStem(path);
  return !(await isFile(path)) && (await isFile(join(dirname(path), `${stem}_0000${basename(path).slice(stem.length)}`)));
}
