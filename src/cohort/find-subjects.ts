/**
 * Finding the subjects of a source folder: nnU-Net's layout (`imagesTr/ID_0000.nii.gz`, `labelsTr/ID.nii.gz`), the Medical Segmentation
 * Decathlon's (`dataset.json` that lists the files), MONAI's datalist (any JSON file that does), or any folder with images and DICOM series.
 *
 * In a plain folder a file named like an image plus something (`heart.nii.gz`, `heart_labels.nii.gz`) may be its label map; whether it
 * is, is seen when it is read. What is named as a label map (names.ts) is never an image; it is that of the images beside it that its name
 * fits, or by BIDS' rules of an image elsewhere. Hidden files (`._*`) are never looked at.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { UsageError, WorkError } from '../errors/errors.ts';
import { parseJson } from '../formats/json.ts';
import { findDicomSeries, findImages, type ImageSource, imageStem, isImageName } from '../images/node/find.ts';
import { isFile } from '../node/files.ts';
import { isMachineTrouble, machineError, systemError } from '../node/machine.ts';
import { isRefused, type Misfit, otherModality } from '../preparation/fitness.ts';
import type { CohortProblem } from './cohort.ts';
import {
  bidsName,
  contrastOf,
  describes,
  isDerivative,
  isInLabelFolder,
  isLabelName,
  modalityOfChannel,
  modalityOfName,
  patientsOf,
  withoutLabelWords,
} from './names.ts';
import { EVERYTHING, type Patterns, patternsOf, type Selection } from './selection.ts';

export interface SubjectTask {
  /** Unique, and fit for a file name. */
  readonly id: string;
  readonly image: ImageSource;
  /** Files that are (certain) or may be its label map, the likeliest first. */
  readonly labels: readonly string[];
  readonly labelsAreCertain: boolean;
  readonly landmarksPath: string | null;
  readonly split: 'train' | 'test';
  /** What the subject is, where its list says so. */
  readonly class?: string;
  /** Whose image it is, where that is known. */
  readonly patient: string | null;
  /** Which contrast or sequence, where its name says so. */
  readonly contrast: string | null;
  /** Of an image with several channels, the one to take (from 0). */
  readonly channel?: number;
  /** What its data set calls the channels. */
  readonly channelNames?: readonly string[];
  /** What its name says against it; its values may say more. */
  readonly doubt?: Misfit;
}

export interface FoundSubjects {
  readonly layout: 'nnU-Net' | 'Decathlon' | 'MONAI' | 'plain';
  readonly tasks: readonly SubjectTask[];
  readonly problems: readonly CohortProblem[];
  /** Images that no pattern fits. */
  readonly unmatched: number;
}

/** What is looked for. */
interface Search {
  /** Null to find everything. */
  readonly modality: 'ct' | 'mr' | null;
  readonly selection: Selection;
  readonly patterns: Patterns;
}

/**
 * @param source a folder, or MONAI's datalist
 * @param modality what the cohort is to be of; null to find images of any
 * @throws WorkError if the folder cannot be listed, its dataset.json or the datalist cannot be read, or that has an image twice
 */
export async function findSubjects(
  source: string,
  modality: 'ct' | 'mr' | null = null,
  selection: Selection = EVERYTHING,
): Promise<FoundSubjects> {
  const isList = /\.json$/i.test(source) && (await isFile(source));
  const folder = isList ? dirname(source) : source;
  const search: Search = { modality, selection, patterns: patternsOf(selection) };
  if (isList) return fromLists(source, await readJsonObject(source, "expected MONAI's datalist"), 'MONAI', search);
  const isFolder = async (name: string): Promise<boolean> =>
    (await stat(join(folder, name)).catch(() => undefined))?.isDirectory() ?? false;
  const dataset = await readDataset(folder);
  if (Array.isArray(dataset?.training) && !(await listsWithoutChannels(folder, dataset.training)))
    return fromLists(join(folder, 'dataset.json'), dataset, 'Decathlon', search);
  if ((await isFolder('imagesTr')) || (await isFolder('imagesTs'))) return fromNnUnet(folder, dataset, search);
  return fromPlain(folder, search);
}

const relativePath = (root: string, path: string): string => relative(root, path).split(sep).join('/');

/** The channels that a dataset.json names (nnU-Net 2: channel_names; nnU-Net 1 and Decathlon: modality), in order. */
function channelNamesOf(dataset: Dataset | null): readonly string[] | null {
  const names: unknown = dataset?.channel_names ?? dataset?.modality;
  if (typeof names !== 'object' || names === null) return null;
  const entries = Object.entries(names).sort(([a], [b]) => Number(a) - Number(b));
  return entries.length > 0 ? entries.map(([, name]) => String(name)) : null;
}

/** '0 T1, 1 T2', for messages. */
export const describeChannels = (names: readonly string[]): string => names.map((name, k) => `${k} ${name}`).join(', ');

/** The number of the channel that is asked for; null if none is. @throws UsageError for a name that no channel has */
function channelOf({ channel }: Selection, names: readonly string[] | null): number | null {
  if (channel === null) return null;
  const byName = names?.findIndex((name) => name.toLowerCase() === channel.toLowerCase()) ?? -1;
  if (byName >= 0) return byName;
  const number = Number(channel);
  if (/^\d+$/.test(channel) && (names === null || number < names.length)) return number;
  throw new UsageError(
    `--channel ${channel}: ${names ? `expected one of ${describeChannels(names)}` : 'expected a number from 0 on: no dataset.json names the channels'}`,
  );
}

/** An image that is not taken, for the list of problems. */
export function problemOfMisfit(source: string, { what, reason, message }: Misfit): CohortProblem {
  const refused = isRefused(reason);
  return {
    source,
    kind: refused ? 'refused' : 'left-out',
    what,
    reason,
    message: `${refused ? '' : 'left out: '}${message}; take it with --allow ${reason}`,
  };
}

type Dataset = Record<string, unknown> & { training?: unknown; test?: unknown };

/** nnU-Net 1 lists images without the number of a channel that their files have. */
async function listsWithoutChannels(folder: string, training: readonly unknown[]): Promise<boolean> {
  const [first] = training;
  const listed = typeof first === 'string' ? first : (first as { image?: unknown } | undefined)?.image;
  if (typeof listed !== 'string') return false;
  const path = resolve(folder, listed);
  const stem = imageStem(path);
  return !(await isFile(path)) && (await isFile(join(dirname(path), `${stem}_0000${basename(path).slice(stem.length)}`)));
}

async function readDataset(folder: string): Promise<Dataset | null> {
  const path = join(folder, 'dataset.json');
  return (await isFile(path)) ? readJsonObject(path, 'correct it, or remove it to have the folder searched') : null;
}

/** A list of a hundred thousand images has some hundred thousand values. */
const MAX_VALUES = 1e7;

async function readJsonObject(path: string, advice: string): Promise<Dataset> {
  let parsed: unknown;
  try {
    parsed = parseJson(await readFile(path, 'utf8'), { values: MAX_VALUES });
  } catch (error) {
    if (isMachineTrouble(error)) throw machineError(path, error);
    throw new WorkError(`${path}: not JSON (${(error as Error).message}); ${advice}`);
  }
  if (typeof parsed !== 'object' || parsed === null) throw new WorkError(`${path}: expected a JSON object; ${advice}`);
  return parsed as Dataset;
}

/** The landmarks of a subject, where its layout has them. */
async function landmarksOf(folder: string, stem: string): Promise<string | null> {
  const path = join(folder, `${stem}.mrk.json`);
  return (await isFile(path)) ? path : null;
}

/**
 * Lists of {"image": path or [paths], "label": path, or a class}, or of image paths: Decathlon's dataset.json and MONAI's datalists.
 * Paths are relative to the list's folder, and may lead out of it.
 */
async function fromLists(
  list: string,
  document: Dataset,
  layout: 'Decathlon' | 'MONAI',
  { modality, selection, patterns }: Search,
): Promise<FoundSubjects> {
  const sections = { training: 'train', validation: 'train', test: 'test', testing: 'test' } as const;
  const folder = dirname(list);
  const problems: CohortProblem[] = [];
  const draft: Draft[] = [];
  const seen = new Map<string, string>();
  const channelNames = channelNamesOf(document);
  const channel = channelOf(selection, channelNames);
  const stated = modalityOfChannel(channelNames?.[channel ?? 0]);
  let unmatched = 0;
  if (!Object.keys(sections).some((section) => Array.isArray(document[section])))
    throw new WorkError(
      `${list}: expected lists named training, validation or test; found ${Object.keys(document).join(', ') || 'nothing'}`,
    );
  for (const [section, split] of Object.entries(sections)) {
    const entries = Array.isArray(document[section]) ? (document[section] as unknown[]) : [];
    for (const [index, entry] of entries.entries()) {
      const { image, label } = (typeof entry === 'string' ? { image: entry } : (entry ?? {})) as Record<string, unknown>;
      const several = Array.isArray(image) && image.length > 1;
      const listed: unknown = Array.isArray(image) ? image[several ? (channel ?? 0) : 0] : image;
      if (typeof listed !== 'string') throw new WorkError(`${list}: ${section}[${index}]: expected an "image" with a path`);
      // macOS lists its own files too
      if (basename(listed).startsWith('._')) continue;
      const path = resolve(folder, listed);
      const before = seen.get(path);
      if (before !== undefined)
        throw new WorkError(
          `${list}: ${listed} is in ${before === section ? `${section} twice` : `${before} and in ${section}`}; a subject may be in one only`,
        );
      seen.set(path, section);
      const note = (kind: CohortProblem['kind'], message: string): void => void problems.push({ source: path, kind, message });
      const name = relativePath(folder, path);
      if (patterns.isExcluded(name)) continue;
      if (!patterns.isMatched(name)) {
        unmatched++;
        continue;
      }
      if (several && channel === null)
        note('warning', `${image.length} channels are listed: the first is used; choose with --channel 0 to ${image.length - 1}`);
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
      const facts = await labelFacts(folder, label);
      if ('missing' in facts) {
        note('refused', `its label ${facts.missing} is listed in ${basename(list)}, but not there`);
        continue;
      }
      if ('odd' in facts) note('warning', facts.odd);
      const landmarksPath = await landmarksOf(join(folder, split === 'train' ? 'landmarksTr' : 'landmarksTs'), imageStem(path));
      const { labels = [], ...named } = 'odd' in facts ? {} : facts;
      draft.push({
        image: source,
        labels,
        labelsAreCertain: true,
        landmarksPath,
        split,
        patient: null,
        contrast: contrastOf(path),
        ...(!several && channel !== null && { channel }),
        ...(channelNames && { channelNames }),
        ...named,
      });
    }
  }
  return { layout, tasks: named(folder, draft, imageStemOf), problems, unmatched };
}

/** The image at a path: a file, or the one DICOM series of a folder; else what is wrong with it. */
async function imageAt(path: string): Promise<ImageSource | string> {
  const facts = await stat(path).catch(() => undefined);
  if (!facts) return 'not there';
  if (!facts.isDirectory()) return { kind: 'file', path };
  const { images } = await findDicomSeries(path);
  return images.length === 1 ? images[0]! : `a folder with ${images.length} DICOM series; expected one`;
}

/** What a list's "label" says: a label map's file, a class, nothing, or something that cannot be used. */
async function labelFacts(
  folder: string,
  label: unknown,
): Promise<{ labels?: string[]; class?: string } | { missing: string } | { odd: string }> {
  const value: unknown = Array.isArray(label) && label.length === 1 ? label[0] : label;
  if (value === undefined || value === null || value === '') return {};
  if (typeof value === 'string') {
    const path = resolve(folder, value);
    if (await isFile(path)) return { labels: [path] };
    return isImageName(value) ? { missing: value } : { class: value };
  }
  if (typeof value === 'number' || typeof value === 'boolean') return { class: String(value) };
  return { odd: `without its label ${JSON.stringify(value)}: expected the path of a label map, or one class` };
}

async function fromNnUnet(folder: string, dataset: Dataset | null, search: Search): Promise<FoundSubjects> {
  const { selection, patterns, modality } = search;
  const problems: CohortProblem[] = [];
  const draft: Draft[] = [];
  let unmatched = 0;
  const listOf = async (name: string): Promise<string[]> => {
    const path = join(folder, name);
    const names = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
      // a folder that cannot be listed is not one without label maps
      if (error.code !== 'ENOENT') throw systemError(error, path) ?? error;
      return [];
    });
    return names.filter((file) => !file.startsWith('.') && isImageName(file)).sort();
  };
  const all = [...(await listOf('imagesTr')), ...(await listOf('imagesTs'))];
  // `_0000` is a channel only where the data set says so, or where every file has one
  const numbered = /_(\d{4})$/;
  const hasChannels =
    (dataset !== null && ('channel_names' in dataset || 'file_ending' in dataset)) ||
    all.every((f) => numbered.test(imageStem(f)));
  const subjectOf = (path: string): string => (hasChannels ? imageStem(path).replace(numbered, '') : imageStem(path));
  const channelNames = channelNamesOf(dataset);
  const channel = channelOf(selection, channelNames);
  const wanted = String(channel ?? 0).padStart(4, '0');
  const stated = modalityOfChannel(channelNames?.[channel ?? 0]);
  const others = new Set<string>();

  for (const split of ['train', 'test'] as const) {
    const [images, labels, landmarks] =
      split === 'train' ? ['imagesTr', 'labelsTr', 'landmarksTr'] : ['imagesTs', 'labelsTs', 'landmarksTs'];
    const labelFiles = new Map((await listOf(labels)).map((file) => [imageStem(file), join(folder, labels, file)]));
    const unused = new Set(labelFiles.keys());
    const found = new Set<string>();
    const absent = new Map<string, string>();
    for (const file of await listOf(images)) {
      const path = join(folder, images, file);
      if (/\.img(\.gz)?$/i.test(file)) continue;
      const subject = subjectOf(file);
      unused.delete(subject);
      if (patterns.isExcluded(`${images}/${file}`)) continue;
      const number = hasChannels ? numbered.exec(imageStem(file))?.[1] : undefined;
      if (number !== undefined && number !== wanted) {
        others.add(number);
        absent.set(subject, path);
        continue;
      }
      found.add(subject);
      if (!patterns.isMatched(`${images}/${file}`)) {
        unmatched++;
        continue;
      }
      const misfit = modality && stated ? otherModality(stated, modality, 'dataset.json says') : null;
      if (misfit && !selection.allow.includes(misfit.reason)) {
        problems.push(problemOfMisfit(path, misfit));
        continue;
      }
      const label = labelFiles.get(subject);
      draft.push({
        image: { kind: 'file', path },
        labels: label ? [label] : [],
        labelsAreCertain: true,
        landmarksPath: await landmarksOf(join(folder, landmarks), subject),
        split,
        patient: null,
        contrast: null,
        ...(!hasChannels && channel !== null && { channel }),
        ...(channelNames && { channelNames }),
      });
    }
    for (const [subject, path] of absent)
      if (!found.has(subject))
        problems.push({ source: path, kind: 'refused', message: `its subject ${subject} has no channel _${wanted}` });
    for (const stem of unused)
      problems.push({ source: labelFiles.get(stem)!, kind: 'warning', message: 'a label map without an image' });
  }
  if (others.size > 0 && channel === null) {
    const list = channelNames ? describeChannels(channelNames) : ['0000', ...others].sort().join(', ');
    const message = `several channels (${list}): the first is used, further files are left out; choose with --channel`;
    problems.push({ source: 'the cohort', kind: 'warning', message });
  }
  return { layout: 'nnU-Net', tasks: named(folder, draft, (source) => subjectOf(source.path)), problems, unmatched };
}

/** The images of a folder's own, by their stems. */
type Folder = Map<string, ImageSource[]>;

/** The image that a file is named after, with a separator and something more; the shortest such name. */
function namedAfter(folder: Folder, stem: string, longest = false): ImageSource | undefined {
  let found: ImageSource | undefined;
  for (let end = 1; end < stem.length - 1; end++) {
    if (!/[._-]/.test(stem[end])) continue;
    const [image] = folder.get(stem.slice(0, end)) ?? [];
    if (image && !longest) return image;
    found = image ?? found;
  }
  return found;
}

/** So many images at most share a label map whose name says nothing of them, such as mask.nii.gz. */
const MOST_SHARING = 16;

async function fromPlain(folder: string, { modality, selection, patterns }: Search): Promise<FoundSubjects> {
  const { images: everything, refused, passedOver } = await findImages(folder);
  const place = new Map(everything.map((image, k) => [image, k]));
  const problems = [
    ...refused.map(({ path, reason }): CohortProblem => ({ source: path, kind: 'refused', message: reason })),
    ...passedOver.map(
      ({ path, reason }): CohortProblem => ({
        source: path,
        kind: 'left-out',
        what: reason.replace(/ \(.*/, ''),
        message: `left out: ${reason}`,
      }),
    ),
  ].filter(({ source }) => !patterns.isExcluded(relativePath(folder, source)));
  const nameOf = (image: ImageSource): string => relativePath(folder, image.path);
  const present = everything.filter((image) => !patterns.isExcluded(nameOf(image)));
  const isLabel = ({ kind, path }: ImageSource): boolean =>
    kind === 'file' && (isLabelName(path) || isInLabelFolder(folder, path));
  const images = present.filter((image) => !isLabel(image));
  const labelMaps = present.filter(isLabel);
  const folders = new Map<string, Folder>();
  const subjects = new Map<string, ImageSource[]>();
  const append = <K>(map: Map<K, ImageSource[]>, key: K, image: ImageSource): void => {
    const list = map.get(key);
    if (list) list.push(image);
    else map.set(key, [image]);
  };
  for (const image of images) {
    if (image.kind !== 'file') continue;
    const own = folders.get(dirname(image.path)) ?? new Map<string, ImageSource[]>();
    folders.set(dirname(image.path), own);
    append(own, imageStemOf(image), image);
    const subject = bidsName(image.path)?.entities.get('sub');
    if (subject !== undefined) append(subjects, subject, image);
  }

  /** Label maps, certain by their names or not, of each image. */
  const labelsOf = new Map<ImageSource, ImageSource[]>();
  const owned = new Set<ImageSource>();
  for (const image of images) {
    if (image.kind !== 'file') continue;
    const owner = namedAfter(folders.get(dirname(image.path))!, imageStemOf(image));
    // a pattern that fits it says that it is an image
    if (!owner || (selection.match.length > 0 && patterns.isMatched(nameOf(image)))) continue;
    owned.add(image);
    append(labelsOf, owner, image);
  }
  const imagesOfLabel = (label: ImageSource): readonly ImageSource[] => {
    const own: Folder = folders.get(dirname(label.path)) ?? new Map();
    const stem = imageStemOf(label);
    const exact = namedAfter(own, stem, true);
    if (exact) return [exact];
    const core = withoutLabelWords(stem);
    const beside = [...own].flatMap(([other, sources]) =>
      core === '' || other === core || (other.startsWith(core) && /[._-]/.test(other[core.length])) ? sources : [],
    );
    if (beside.length > 0 && (core !== '' || beside.length <= MOST_SHARING)) return beside;
    const bids = bidsName(label.path);
    if (!bids) return [];
    return (subjects.get(bids.entities.get('sub')!) ?? []).filter(
      ({ path }) => !isDerivative(folder, path) && describes(bids, bidsName(path)!),
    );
  };
  const asImages: ImageSource[] = [];
  for (const label of labelMaps) {
    const own = imagesOfLabel(label).filter((image) => !owned.has(image));
    for (const image of own) append(labelsOf, image, label);
    if (own.length > 0) continue;
    const message = isLabelName(label.path)
      ? 'named like a label map, and no image here has that name'
      : 'lies in a folder for label maps';
    if (selection.allow.includes('label-maps')) asImages.push(label);
    else problems.push(problemOfMisfit(label.path, { reason: 'label-maps', what: 'label map', message }));
  }

  const candidates = [...images.filter((image) => !owned.has(image)), ...asImages].sort((a, b) => place.get(a)! - place.get(b)!);
  const patients = patientsOf(
    folder,
    candidates.map(({ path }) => path),
  );
  const draft: Draft[] = [];
  let unmatched = 0;
  for (const [k, image] of candidates.entries()) {
    if (!patterns.isMatched(nameOf(image))) {
      unmatched++;
      continue;
    }
    const misfit = misfitOfSource(folder, image, modality, selection);
    const doubt =
      image.kind === 'file' && modality ? otherModality(modalityOfName(folder, image.path), modality, 'its name says') : null;
    if (misfit) {
      problems.push(problemOfMisfit(image.path, misfit));
      continue;
    }
    if (image.kind === 'dicom' && image.stack.frames.length === 1) {
      const message = 'left out: a single picture, not a volume';
      problems.push({ source: image.path, kind: 'left-out', what: 'single picture', message });
      continue;
    }
    draft.push({
      image,
      labels: (labelsOf.get(image) ?? []).map(({ path }) => path),
      labelsAreCertain: false,
      landmarksPath: await landmarksOf(dirname(image.path), imageStemOf(image)),
      split: 'train',
      patient: image.kind === 'file' ? patients[k] : patientOf(image),
      contrast: image.kind === 'file' ? contrastOf(image.path) : null,
      ...(selection.channel !== null && { channel: channelOf(selection, null)! }),
      ...(doubt && { doubt }),
    });
  }
  return { layout: 'plain', tasks: named(folder, draft, imageStemOf), problems, unmatched };
}

type Dicom = Extract<ImageSource, { kind: 'dicom' }>;

/** Patient IDs that anonymisation leaves for everybody. */
const NOBODY = /^(anon.*|unknown|none|n\/?a|patient|subject|test|[0x*.\-_ ]*)$/i;

/** A name for the patient of a DICOM image, which does not tell the ID; null if the header states none. */
function patientOf({ files }: Dicom): string | null {
  const id = files[0]!.patientId.trim();
  return NOBODY.test(id) ? null : `dicom-${createHash('sha256').update(id).digest('hex').slice(0, 12)}`;
}

const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7';

/** What a DICOM stack is if it is no scan but made from one, or planned one. */
function derivedKind({ files, stack }: Dicom): { what: string; message: string } | null {
  const { imageType } = stack.frames[0]!;
  if (/LOCALI[SZ]ER|SCOUT|TOPOGRAM/i.test(imageType))
    return { what: 'localizer', message: `a localizer (image type ${imageType})` };
  if (files[0]!.sopClassUid.startsWith(SECONDARY_CAPTURE) || /SCREEN SAVE/i.test(imageType))
    return { what: 'secondary capture', message: 'a secondary capture: a screenshot, or a picture that was converted' };
  if (/(^|\\)(M(AX|IN)?_?IP|MAXIMUM|MINIMUM|PROJECTION IMAGE|VOLUME_RENDER\w*)($|\\| )/i.test(imageType))
    return { what: 'projection', message: `a projection of a volume (image type ${imageType})` };
  return null;
}

/** Why an image is left out before it is read: where it lies, what its DICOM header says. */
function misfitOfSource(folder: string, image: ImageSource, modality: 'ct' | 'mr' | null, { allow }: Selection): Misfit | null {
  const isAllowed = allow.includes('derived');
  if (!isAllowed && isDerivative(folder, image.path))
    return { reason: 'derived', what: 'derivative', message: 'lies in BIDS derivatives: made from the images' };
  if (image.kind === 'file') return null;
  const other =
    modality === null || allow.includes('other-modalities')
      ? null
      : otherModality(image.modality, modality, 'its DICOM header says');
  const derived = isAllowed ? null : derivedKind(image);
  return other ?? (derived && { reason: 'derived', ...derived });
}

/** A task for a file that was taken for a label map of another image but holds an image. */
export function asOwnSubject(folder: string, path: string, taken: readonly string[]): SubjectTask {
  const draft: Draft = {
    image: { kind: 'file', path },
    labels: [],
    labelsAreCertain: false,
    landmarksPath: null,
    split: 'train',
    patient: patientsOf(folder, [path])[0],
    contrast: contrastOf(path),
  };
  return named(folder, [draft], imageStemOf, taken)[0];
}

type Draft = Omit<SubjectTask, 'id'>;

const imageStemOf = (source: ImageSource): string =>
  source.kind === 'file'
    ? imageStem(source.path)
    : source.name
      ? `${basename(source.path)}-${source.name}`
      : basename(source.path);

/** Gives every draft an id: its stem; where that is taken, with its folders; where that is taken too, with a number. */
function named(
  folder: string,
  drafts: readonly Draft[],
  stem: (source: ImageSource) => string,
  alreadyTaken: readonly string[] = [],
): SubjectTask[] {
  const clean = (text: string): string =>
    text
      .normalize('NFC')
      .replace(/[^\p{L}\p{M}\p{N}_.+ -]/gu, '_')
      .replace(/^[^\p{L}\p{N}_]+/u, '') || 'image';
  const taken = new Set(alreadyTaken.map((id) => id.toLowerCase()));
  return drafts.map((draft) => {
    const short = clean(stem(draft.image));
    const folders = relative(folder, dirname(draft.image.path)).split(sep).join('_');
    const long = clean(folders ? `${folders}_${short}` : short);
    let id = taken.has(short.toLowerCase()) ? long : short;
    for (let k = 2; taken.has(id.toLowerCase()); k++) id = `${long}-${k}`;
    taken.add(id.toLowerCase());
    return { id, ...draft };
  });
}
