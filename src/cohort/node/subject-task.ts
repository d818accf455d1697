/** A subject to prepare, before it is read: what every layout of a source (layouts/) gives, and what they share in giving it. */
import { createHash } from 'node:crypto';
import { basename, dirname, join, relative, sep } from 'node:path';
import type { ImageSource } from '../../images/find-images.ts';
import { imageStem } from '../../images/node/find.ts';
import { cutName, isFile } from '../../platform/node/files.ts';
import type { CohortProblem } from '../cohort.ts';
import type { Misfit } from '../fitness.ts';
import type { ChannelOptions } from '../prepare-options.ts';
import { isRefused } from '../reasons.ts';
import { contrastOf, isLabelName } from './names.ts';
import type { Patterns, Selection } from './selection.ts';

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
  /** Its further channels, in their order: brought onto the grid of `image`. */
  readonly others?: readonly ChannelSource[];
  /** What its data set calls the channels. */
  readonly channelNames?: readonly string[];
  /** What its name says against it; its values may say more. */
  readonly doubt?: Misfit;
}

/** Where a further channel lies: a file of its own, or a channel of a file with several. */
export interface ChannelSource {
  readonly image: ImageSource;
  readonly channel?: number;
}

/** A channel of a source. */
export type NamedChannel = Pick<ChannelOptions, 'name' | 'number'>;

export interface FoundSubjects {
  readonly layout: 'nnU-Net' | 'Decathlon' | 'MONAI' | 'plain';
  readonly tasks: readonly SubjectTask[];
  readonly problems: readonly CohortProblem[];
  /** Images that no pattern fits. */
  readonly unmatched: number;
  /** The channels that were asked for, if they are several. */
  readonly channels?: readonly NamedChannel[] | undefined;
  /** Names of label codes, where the source says them. */
  readonly labelNames?: Readonly<Record<string, string>> | undefined;
}

/** What is looked for. */
export interface Search {
  /** Null to find everything. */
  readonly modality: 'ct' | 'mr' | null;
  readonly selection: Selection;
  readonly patterns: Patterns;
}

export type Draft = Omit<SubjectTask, 'id'>;

export const relativePath = (root: string, path: string): string => relative(root, path).split(sep).join('/');

/** An image that is not taken, for the list of problems. */
export function problemOfMisfit(source: string, { what, reason, message }: Misfit): CohortProblem {
  const refused = isRefused(reason);
  return {
    source,
    kind: refused ? 'refused' : 'left-out',
    what,
    reason,
    message: `${refused ? '' : 'skipped: '}${message}; include it with \`allow\` ${reason}`,
  };
}

/** The landmarks of a subject, where its layout has them. */
export async function landmarksOf(folder: string, stem: string): Promise<string | null> {
  const path = join(folder, `${stem}.mrk.json`);
  return (await isFile(path)) ? path : null;
}

/** Whether a file that may be a task's label map may as well be another image: it is only named like the task's. */
export const mayBeImage = ({ labelsAreCertain, image }: Pick<SubjectTask, 'labelsAreCertain' | 'image'>, path: string): boolean =>
  !labelsAreCertain && !isLabelName(path) && dirname(path) === dirname(image.path);

/**
 * Tasks for the files that are looked at as label maps but may turn out to be images, by path. All of them are named, so that a name does not depend
 * on what is found in which order, or in which part.
 */
export function ownSubjects(folder: string, tasks: readonly SubjectTask[]): ReadonlyMap<string, SubjectTask> {
  const paths = [...new Set(tasks.flatMap((task) => task.labels.filter((path) => mayBeImage(task, path))))];
  const drafts = paths.map(
    (path): Draft => ({
      image: { kind: 'file', path },
      labels: [],
      labelsAreCertain: false,
      landmarksPath: null,
      split: 'train',
      patient: null,
      contrast: contrastOf(path),
    }),
  );
  const ids = tasks.map(({ id }) => id);
  return new Map(named(folder, drafts, imageStemOf, ids).map((task, k) => [paths[k], task]));
}

export const imageStemOf = (source: ImageSource): string =>
  source.kind === 'file'
    ? imageStem(source.path)
    : source.name
      ? `${basename(source.path)}-${source.name}`
      : basename(source.path);

/** Longer ids would leave no room for the endings of the files of a subject. */
const MAX_ID_BYTES = 220;

/** An id that file systems take: of a longer one its beginning, and a hash of the whole. */
const cutId = (id: string): string =>
  Buffer.byteLength(id) <= MAX_ID_BYTES
    ? id
    : `${cutName(id, MAX_ID_BYTES - 9)}-${createHash('sha256').update(id).digest('hex').slice(0, 8)}`;

/** Gives every draft an id: its stem; where that is taken, with its folders; where that is taken too, with a number. */
export function named(
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
    const short = cutId(clean(stem(draft.image)));
    const folders = relative(folder, dirname(draft.image.path)).split(sep).join('_');
    const long = cutId(clean(folders ? `${folders}_${short}` : short));
    let id = taken.has(short.toLowerCase()) ? long : short;
    for (let k = 2; taken.has(id.toLowerCase()); k++) id = `${long}-${k}`;
    taken.add(id.toLowerCase());
    return { id, ...draft };
  });
}
