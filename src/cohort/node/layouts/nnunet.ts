/** nnU-Net's layout: `imagesTr/ID_0000.nii.gz`, `labelsTr/ID.nii.gz`, the same with `Ts` for test cases, and perhaps a `dataset.json`. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatNames } from '../../../common/format-names.ts';
import { imageStem } from '../../../images/node/find.ts';
import { isImageName } from '../../../images/recognise.ts';
import { systemError } from '../../../platform/node/machine.ts';
import type { CohortProblem } from '../../cohort.ts';
import { otherModality } from '../../fitness.ts';
import { modalityOfChannel } from '../names.ts';
import {
  type ChannelSource,
  type Draft,
  type FoundSubjects,
  landmarksOf,
  named,
  problemOfMisfit,
  type Search,
} from '../subject-task.ts';
import { channelNamesOf, channelsInFile, type Dataset, describeChannels, wantedChannels } from './dataset.ts';
import { withPatients } from './patients.ts';

/**
 * Cases that a dataset.json of nnU-Net 2 lists itself, wherever they lie ("dataset": {ID: {"images": [paths], "label": path}}), as entries
 * of a list; null if it does not. Names of the environment in paths are replaced, as nnU-Net does.
 */
export function listedCases({ dataset }: Dataset): readonly object[] | null {
  if (typeof dataset !== 'object' || dataset === null || Array.isArray(dataset)) return null;
  const cases = Object.entries(dataset as Record<string, { images?: unknown; label?: unknown } | null>);
  if (cases.length === 0 || !cases.every(([, one]) => Array.isArray(one?.images))) return null;
  const path = (text: unknown): unknown =>
    typeof text === 'string'
      ? text.replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, bare, braced) => process.env[bare ?? braced] ?? whole)
      : text;
  return cases.map(([id, one]) => ({ id, image: (one!.images as unknown[]).map(path), label: path(one!.label) }));
}

/** What lies in this layout where nothing is looked for. */
async function notRead(folder: string): Promise<CohortProblem[]> {
  const problems: CohortProblem[] = [];
  const note = (source: string, message: string): void => void problems.push({ source, kind: 'warning', message });
  const listed = (path: string) => readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of await listed(folder))
    if (/^images/i.test(entry.name) && !['imagesTr', 'imagesTs'].includes(entry.name) && !entry.isFile())
      note(
        join(folder, entry.name),
        'not read: nnU-Net has its images in imagesTr and imagesTs; rename it, or prepare it on its own',
      );
  for (const name of ['imagesTr', 'imagesTs']) {
    const others = (await listed(join(folder, name)))
      .map((entry) => entry.name)
      .filter((file) => !file.startsWith('.') && !isImageName(file) && !/\.(json|txt|csv|tsv|md|pkl|npz|npy)$/i.test(file))
      .sort();
    if (others.length > 0)
      note(
        join(folder, name),
        `${others.length === 1 ? 'one entry is' : `${others.length} entries are`} not read (${formatNames(others, 3)}): expected image files such as ID_0000.nii.gz; prepare another folder on its own`,
      );
  }
  return problems;
}

export async function fromNnUnet(folder: string, dataset: Dataset | null, search: Search): Promise<FoundSubjects> {
  const { selection, patterns, modality } = search;
  const problems = await notRead(folder);
  const draft: Omit<Draft, 'patient'>[] = [];
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
  const {
    numbers: [channel, ...further],
    channels: chosen,
    isChosen,
  } = await wantedChannels(selection, channelNames, async () => {
    if (hasChannels) return 1 + all.reduce((most, file) => Math.max(most, Number(numbered.exec(imageStem(file))?.[1] ?? 0)), 0);
    const [first] = await listOf('imagesTr');
    return first === undefined ? undefined : channelsInFile({ kind: 'file', path: join(folder, 'imagesTr', first) });
  });
  const suffixOf = (number: number): string => String(number).padStart(4, '0');
  const wanted = suffixOf(channel);
  const stated = modalityOfChannel(channelNames?.[channel]);
  const others = new Set<string>();
  const noChannel = (subject: string, number: number): string =>
    `its subject ${subject} has no channel _${suffixOf(number)}${channelNames?.[number] ? ` (${channelNames[number]})` : ''}`;

  for (const split of ['train', 'test'] as const) {
    const [images, labels, landmarks] =
      split === 'train' ? ['imagesTr', 'labelsTr', 'landmarksTr'] : ['imagesTs', 'labelsTs', 'landmarksTs'];
    const labelFiles = new Map((await listOf(labels)).map((file) => [imageStem(file), join(folder, labels, file)]));
    const unused = new Set(labelFiles.keys());
    const found = new Set<string>();
    const absent = new Map<string, string>();
    const files = await listOf(images);
    const paths = new Map(files.map((file) => [imageStem(file), join(folder, images, file)]));
    for (const file of files) {
      const path = join(folder, images, file);
      if (/\.img(\.gz)?$/i.test(file)) continue;
      const subject = subjectOf(file);
      unused.delete(subject);
      if (patterns.isExcluded(`${images}/${file}`)) continue;
      const number = hasChannels ? numbered.exec(imageStem(file))?.[1] : undefined;
      if (number !== undefined && number !== wanted) {
        if (!further.includes(Number(number))) others.add(number);
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
      const lacking = hasChannels ? further.find((other) => !paths.has(`${subject}_${suffixOf(other)}`)) : undefined;
      if (lacking !== undefined) {
        problems.push({ source: path, kind: 'refused', message: noChannel(subject, lacking) });
        continue;
      }
      const channels = further.map(
        (other): ChannelSource =>
          hasChannels
            ? { image: { kind: 'file', path: paths.get(`${subject}_${suffixOf(other)}`)! } }
            : { image: { kind: 'file', path }, channel: other },
      );
      draft.push({
        image: { kind: 'file', path },
        labels: label ? [label] : [],
        labelsAreCertain: true,
        landmarksPath: await landmarksOf(join(folder, landmarks), subject),
        split,
        contrast: null,
        ...(channels.length > 0 && { others: channels }),
        ...(!hasChannels && isChosen && { channel }),
        ...(channelNames && { channelNames }),
      });
    }
    for (const [subject, path] of absent)
      if (!found.has(subject)) problems.push({ source: path, kind: 'refused', message: noChannel(subject, channel) });
    for (const stem of unused)
      problems.push({ source: labelFiles.get(stem)!, kind: 'warning', message: 'a label map without an image' });
  }
  if (others.size > 0 && !isChosen) {
    const list = channelNames ? describeChannels(channelNames) : ['0000', ...others].sort().join(', ');
    const message = `several channels (${list}): using the first, skipping the other files; choose another with \`channel\`, or several with \`channels\``;
    problems.push({ source: 'the cohort', kind: 'warning', message });
  }
  return {
    layout: 'nnU-Net',
    tasks: named(folder, withPatients(folder, draft), (source) => subjectOf(source.path)),
    problems,
    unmatched,
    channels: chosen,
  };
}
