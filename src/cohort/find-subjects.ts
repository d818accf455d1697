/**
 * Finding the subjects of a source folder: nnU-Net's layout (`imagesTr/ID_0000.nii.gz`, `labelsTr/ID.nii.gz`), the Medical Segmentation
 * Decathlon's (`dataset.json` that lists the files), MONAI's datalist (any JSON file that does), or any folder with images and DICOM series.
 *
 * In a plain folder a file named like an image plus something (`heart.nii.gz`, `heart_labels.nii.gz`) may be its label map; whether it
 * is, is seen when it is read. Hidden files (`._*`) are never looked at.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { WorkError } from '../errors/errors.ts';
import { quoted } from '../errors/quote.ts';
import { findDicomSeries, findImages, type ImageSource, imageStem, isImageName } from '../images/node/find.ts';
import type { CohortProblem } from './cohort.ts';

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
}

export interface FoundSubjects {
  readonly layout: 'nnU-Net' | 'Decathlon' | 'MONAI' | 'plain';
  readonly tasks: readonly SubjectTask[];
  readonly problems: readonly CohortProblem[];
}

/**
 * @param source a folder, or MONAI's datalist
 * @throws WorkError if the folder cannot be listed, its dataset.json or the datalist cannot be read, or that has an image twice
 */
export async function findSubjects(source: string): Promise<FoundSubjects> {
  if (/\.json$/i.test(source) && (await isFile(source)))
    return fromLists(source, await readJsonObject(source, "expected MONAI's datalist"), 'MONAI');
  const folder = source;
  const isFolder = async (name: string): Promise<boolean> =>
    (await stat(join(folder, name)).catch(() => undefined))?.isDirectory() ?? false;
  const dataset = await readDataset(folder);
  if (Array.isArray(dataset?.training)) return fromLists(join(folder, 'dataset.json'), dataset, 'Decathlon');
  if ((await isFolder('imagesTr')) || (await isFolder('imagesTs'))) return fromNnUnet(folder, dataset);
  return fromPlain(folder);
}

type Dataset = Record<string, unknown> & { training?: unknown; test?: unknown };

async function readDataset(folder: string): Promise<Dataset | null> {
  const path = join(folder, 'dataset.json');
  return (await isFile(path)) ? readJsonObject(path, 'correct it, or remove it to have the folder searched') : null;
}

async function readJsonObject(path: string, advice: string): Promise<Dataset> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new WorkError(`${path}: not JSON (${(error as Error).message}); ${advice}`);
  }
  if (typeof parsed !== 'object' || parsed === null) throw new WorkError(`${path}: expected a JSON object; ${advice}`);
  return parsed as Dataset;
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

/** The landmarks of a subject, where its layout has them. */
async function landmarksOf(folder: string, stem: string): Promise<string | null> {
  const path = join(folder, `${stem}.mrk.json`);
  return (await isFile(path)) ? path : null;
}

/**
 * Lists of {"image": path or [paths], "label": path, or a class}, or of image paths: Decathlon's dataset.json and MONAI's datalists.
 * Paths are relative to the list's folder, and may lead out of it.
 */
async function fromLists(list: string, document: Dataset, layout: 'Decathlon' | 'MONAI'): Promise<FoundSubjects> {
  const sections = { training: 'train', validation: 'train', test: 'test', testing: 'test' } as const;
  const folder = dirname(list);
  const problems: CohortProblem[] = [];
  const draft: Draft[] = [];
  const seen = new Map<string, string>();
  if (!Object.keys(sections).some((section) => Array.isArray(document[section])))
    throw new WorkError(
      `${list}: expected lists named training, validation or test; found ${quoted(Object.keys(document).join(', ')) || 'nothing'}`,
    );
  for (const [section, split] of Object.entries(sections)) {
    const entries = Array.isArray(document[section]) ? (document[section] as unknown[]) : [];
    for (const [index, entry] of entries.entries()) {
      const { image, label } = (typeof entry === 'string' ? { image: entry } : (entry ?? {})) as Record<string, unknown>;
      const listed: unknown = Array.isArray(image) ? image[0] : image;
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
      if (Array.isArray(image) && image.length > 1) note('odd', `${image.length} channels are listed: the first is used`);
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
      if ('odd' in facts) note('odd', facts.odd);
      const landmarksPath = await landmarksOf(join(folder, split === 'train' ? 'landmarksTr' : 'landmarksTs'), imageStem(path));
      const { labels = [], ...named } = 'odd' in facts ? {} : facts;
      draft.push({ image: source, labels, labelsAreCertain: true, landmarksPath, split, ...named });
    }
  }
  return { layout, tasks: named(folder, draft, imageStemOf), problems };
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

async function fromNnUnet(folder: string, dataset: Dataset | null): Promise<FoundSubjects> {
  const problems: CohortProblem[] = [];
  const draft: Draft[] = [];
  const listOf = async (name: string): Promise<string[]> =>
    (await readdir(join(folder, name)).catch(() => [])).filter((file) => !file.startsWith('.') && isImageName(file)).sort();
  const all = [...(await listOf('imagesTr')), ...(await listOf('imagesTs'))];
  // `_0000` is a channel only where the data set says so, or where every file has one
  const channel = /_(\d{4})$/;
  const hasChannels =
    (dataset !== null && ('channel_names' in dataset || 'file_ending' in dataset)) ||
    all.every((f) => channel.test(imageStem(f)));
  const subjectOf = (path: string): string => (hasChannels ? imageStem(path).replace(channel, '') : imageStem(path));

  for (const split of ['train', 'test'] as const) {
    const [images, labels, landmarks] =
      split === 'train' ? ['imagesTr', 'labelsTr', 'landmarksTr'] : ['imagesTs', 'labelsTs', 'landmarksTs'];
    const labelFiles = new Map((await listOf(labels)).map((file) => [imageStem(file), join(folder, labels, file)]));
    for (const file of await listOf(images)) {
      const path = join(folder, images, file);
      if (/\.img(\.gz)?$/i.test(file)) continue;
      const number = hasChannels ? channel.exec(imageStem(file))?.[1] : undefined;
      if (number && number !== '0000') {
        problems.push({
          source: path,
          kind: 'odd',
          message: 'a further channel of its subject: left out, one channel is used (_0000)',
        });
        continue;
      }
      const label = labelFiles.get(subjectOf(file));
      const landmarksPath = await landmarksOf(join(folder, landmarks), subjectOf(file));
      draft.push({ image: { kind: 'file', path }, labels: label ? [label] : [], labelsAreCertain: true, landmarksPath, split });
      labelFiles.delete(subjectOf(file));
    }
    for (const path of labelFiles.values()) problems.push({ source: path, kind: 'odd', message: 'a label map without an image' });
  }
  return { layout: 'nnU-Net', tasks: named(folder, draft, (source) => subjectOf(source.path)), problems };
}

async function fromPlain(folder: string): Promise<FoundSubjects> {
  const { images, refused } = await findImages(folder);
  const problems = refused.map(({ path, reason }): CohortProblem => ({ source: path, kind: 'refused', message: reason }));
  const owner = new Map<ImageSource, ImageSource>();
  for (const image of images) {
    if (image.kind !== 'file') continue;
    const stem = imageStemOf(image);
    const named = images.filter((other) => {
      const base = imageStemOf(other);
      return (
        other !== image &&
        dirname(other.path) === dirname(image.path) &&
        stem.startsWith(base) &&
        /^[._-]./.test(stem.slice(base.length))
      );
    });
    // the shortest name is the image; what is named after it describes it
    const [base] = named.sort((a, b) => imageStemOf(a).length - imageStemOf(b).length);
    if (base) owner.set(image, base);
  }
  const draft: Draft[] = [];
  for (const image of images) {
    if (owner.has(image)) continue;
    const labels = images.filter((other) => owner.get(other) === image).map((other) => other.path);
    const landmarksPath = await landmarksOf(dirname(image.path), imageStemOf(image));
    draft.push({ image, labels, labelsAreCertain: false, landmarksPath, split: 'train' });
  }
  return { layout: 'plain', tasks: named(folder, draft, imageStemOf), problems };
}

/** A task for a file that was taken for a label map of another image but holds an image. */
export function asOwnSubject(folder: string, path: string, taken: readonly string[]): SubjectTask {
  const draft: Draft = {
    image: { kind: 'file', path },
    labels: [],
    labelsAreCertain: false,
    landmarksPath: null,
    split: 'train',
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
  const clean = (text: string): string => text.replace(/[^\p{L}\p{N}_.+ -]/gu, '_').replace(/^[^\p{L}\p{N}_]+/u, '') || 'image';
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
