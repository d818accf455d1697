/** Sources whose images a JSON file lists: the Medical Segmentation Decathlon's `dataset.json` and MONAI's datalists. */
import { access, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { RunError } from '../../../common/errors.ts';
import type { ImageSource } from '../../../images/find-images.ts';
import { findDicomSeries, imageStem } from '../../../images/node/find.ts';
import { isImageName } from '../../../images/recognise.ts';
import { isFile } from '../../../platform/node/files.ts';
import type { CohortProblem } from '../../cohort.ts';
import { otherModality } from '../../fitness.ts';
import { channelOfName, contrastOf, modalityOfChannel } from '../names.ts';
import {
  type ChannelSource,
  type Draft,
  type FoundSubjects,
  imageStemOf,
  landmarksOf,
  named,
  problemOfMisfit,
  relativePath,
  type Search,
} from '../subject-task.ts';
import { channelNamesOf, channelsInFile, type Dataset, wantedChannels } from './dataset.ts';
import { withPatients } from './patients.ts';

/** The lists that are read, by their names: MONAI's programs call the same ones differently. */
const SECTIONS = {
  training: 'train',
  train: 'train',
  validation: 'train',
  val: 'train',
  valid: 'train',
  test: 'test',
  testing: 'test',
} as const;

/**
 * Lists of {"image": path or [paths], "label": path, or a class}, or of image paths: Decathlon's dataset.json and MONAI's datalists.
 * Paths are relative to the list's folder, and may lead out of it.
 */
export async function fromLists(
  list: string,
  document: Dataset,
  layout: 'Decathlon' | 'MONAI' | 'nnU-Net',
  { modality, selection, patterns }: Search,
): Promise<FoundSubjects> {
  const folder = dirname(list);
  const problems: CohortProblem[] = [];
  const draft: Omit<Draft, 'patient'>[] = [];
  const seen = new Map<string, string>();
  const channelNames = channelNamesOf(document);
  const {
    numbers: [channel, ...further],
    channels: chosen,
    isChosen,
  } = await wantedChannels(selection, channelNames, () => channelsOfFirst(document, folder));
  const stated = modalityOfChannel(channelNames?.[channel]);
  let unmatched = 0;
  if (!Object.keys(SECTIONS).some((section) => Array.isArray(document[section])))
    throw new RunError(
      `${list}: expected lists named training, validation or test; found ${Object.keys(document).join(', ') || 'nothing'}`,
    );
  for (const [name, entries] of Object.entries(document))
    if (!(name in SECTIONS) && Array.isArray(entries) && entries.some(isEntry))
      problems.push({
        source: list,
        kind: 'warning',
        message: `its list "${name}" is not read: expected lists named training, validation or test; rename it`,
      });
  const ids = new Map<ImageSource, string>();
  /** Entries without a label that have the path of an image under another name, by that name. */
  const unread = new Map<string, number>();
  for (const [section, split] of Object.entries(SECTIONS)) {
    const entries = Array.isArray(document[section]) ? (document[section] as unknown[]) : [];
    for (const [index, entry] of entries.entries()) {
      const { image, label, id, ...rest } = (typeof entry === 'string' ? { image: entry } : (entry ?? {})) as Record<
        string,
        unknown
      >;
      const several = Array.isArray(image) && image.length > 1;
      const listed: unknown = Array.isArray(image) ? image[several ? channel : 0] : image;
      if (typeof listed !== 'string') throw new RunError(`${list}: ${section}[${index}]: expected an "image" with a path`);
      // macOS lists its own files too
      if (basename(listed).startsWith('._')) continue;
      const path = await listedPath(folder, listed);
      const before = seen.get(path);
      if (before !== undefined)
        throw new RunError(
          `${list}: ${listed} is in ${before === section ? `${section} twice` : `${before} and in ${section}`}; each subject may be in one list only`,
        );
      seen.set(path, section);
      const note = (kind: CohortProblem['kind'], message: string): void => void problems.push({ source: path, kind, message });
      const name = relativePath(folder, path);
      if (patterns.isExcluded(name)) continue;
      if (!patterns.isMatched(name)) {
        unmatched++;
        continue;
      }
      if (several && !isChosen)
        note(
          'warning',
          `${image.length} channels are listed: using the first; choose another with \`channel\` 0 to ${image.length - 1}, or several with \`channels\``,
        );
      const misfit = modality && stated ? otherModality(stated, modality, `${basename(list)} says`) : null;
      if (misfit && !selection.allow.includes(misfit.reason)) {
        problems.push(problemOfMisfit(path, misfit));
        continue;
      }
      const source = await imageAt(path);
      if (typeof source === 'string') {
        note('refused', `listed in ${basename(list)}, but ${source}`);
        continue;
      }
      const others: ChannelSource[] = [];
      const lacking: string[] = [];
      for (const number of further) {
        const other: unknown = several ? image[number] : undefined;
        if (!several) others.push({ image: source, channel: number });
        else if (typeof other !== 'string') lacking.push(`lists ${image.length} channels, so none is number ${number}`);
        else {
          const found = await imageAt(await listedPath(folder, other));
          if (typeof found === 'string') lacking.push(`its channel ${other} ${found}`);
          else others.push({ image: found });
        }
      }
      if (lacking.length > 0) {
        note('refused', `${basename(list)}: ${lacking.join('; ')}`);
        continue;
      }
      const facts = await labelFacts(folder, label);
      if ('missing' in facts) {
        note('refused', `its label ${facts.missing} is listed in ${basename(list)}, but does not exist`);
        continue;
      }
      if ('warning' in facts) note('warning', facts.warning);
      if (label === undefined)
        for (const [name, value] of Object.entries(rest))
          if (typeof value === 'string' && isImageName(value)) unread.set(name, (unread.get(name) ?? 0) + 1);
      const landmarksPath = await landmarksOf(join(folder, split === 'train' ? 'landmarksTr' : 'landmarksTs'), imageStem(path));
      const { labels = [], ...named } = 'warning' in facts ? {} : facts;
      if (layout === 'nnU-Net' && typeof id === 'string') ids.set(source, id);
      draft.push({
        image: source,
        labels,
        labelsAreCertain: true,
        landmarksPath,
        split,
        contrast: contrastOf(path),
        ...(others.length > 0 && { others }),
        ...(!several && isChosen && { channel }),
        ...(channelNames && { channelNames }),
        ...named,
      });
    }
  }
  for (const [name, count] of unread)
    problems.push({
      source: list,
      kind: 'warning',
      message: `${count} ${count === 1 ? 'entry' : 'entries'} without a "label" but with "${name}", which is not read: expected label maps as "label"; rename it if it is one`,
    });
  // channels' files are named after their subject and its channel
  const ofChannels = new Set(
    draft.filter(({ image, others }) => others?.some((other) => other.image !== image)).map(({ image }) => image),
  );
  const stemOf = (image: ImageSource): string => {
    const subject = ofChannels.has(image) ? channelOfName(image.path)?.subject : undefined;
    return ids.get(image) ?? (subject === undefined ? imageStemOf(image) : basename(subject));
  };
  return { layout, tasks: named(folder, withPatients(folder, draft), stemOf), problems, unmatched, channels: chosen };
}

/** How many channels the first image of a list has: files of its own, or those in its file. */
async function channelsOfFirst(document: Dataset, folder: string): Promise<number | undefined> {
  const [first] = Object.keys(SECTIONS).flatMap((section) =>
    Array.isArray(document[section]) ? (document[section] as unknown[]) : [],
  );
  const image: unknown = typeof first === 'string' ? first : (first as { image?: unknown } | undefined)?.image;
  if (Array.isArray(image) && image.length > 1) return image.length;
  const path: unknown = Array.isArray(image) ? image[0] : image;
  const source = typeof path === 'string' ? await imageAt(await listedPath(folder, path)) : undefined;
  return typeof source === 'object' ? channelsInFile(source) : undefined;
}

/** Whether an entry of a list may be an image's. */
const isEntry = (entry: unknown): boolean =>
  typeof entry === 'string' ? isImageName(entry) : typeof entry === 'object' && entry !== null && 'image' in entry;

/** A path as a list names it, seen from its folder; lists that Windows wrote separate folders by backslashes. */
export async function listedPath(folder: string, listed: string): Promise<string> {
  const path = resolve(folder, listed);
  if (!listed.includes('\\')) return path;
  return access(path).then(
    () => path,
    () => resolve(folder, listed.replaceAll('\\', '/')),
  );
}

/** The image at a path: a file, or the one DICOM series of a folder; else what is wrong with it. */
async function imageAt(path: string): Promise<ImageSource | string> {
  const facts = await stat(path).catch(() => undefined);
  if (!facts) return 'does not exist';
  if (!facts.isDirectory()) return { kind: 'file', path };
  const { images } = await findDicomSeries(path);
  return images.length === 1 ? images[0] : `a folder with ${images.length} DICOM series; expected one`;
}

/** What a list's "label" says: a label map's file, a class, nothing, or something that cannot be used. */
async function labelFacts(
  folder: string,
  label: unknown,
): Promise<{ labels?: string[]; class?: string } | { missing: string } | { warning: string }> {
  const value: unknown = Array.isArray(label) && label.length === 1 ? label[0] : label;
  if (value === undefined || value === null || value === '') return {};
  if (typeof value === 'string') {
    const path = await listedPath(folder, value);
    if (await isFile(path)) return { labels: [path] };
    return isImageName(value) ? { missing: value } : { class: value };
  }
  if (typeof value === 'number' || typeof value === 'boolean') return { class: String(value) };
  return { warning: `without its label ${JSON.stringify(value)}: expected the path of a label map, or one class` };
}
