/**
 * Channels of subjects in any folder: one file for each in a subject's folder or side by side (`P1_t1.nii.gz`, `P1_flair.nii.gz`; `P1_0000.nii.gz`), or
 * files that hold several.
 */
import { basename } from 'node:path';
import { UsageError } from '../../../common/errors.ts';
import type { ImageSource } from '../../../images/find-images.ts';
import type { CohortProblem } from '../../cohort.ts';
import { channelOfName, contrastRank } from '../names.ts';
import type { Selection } from '../selection.ts';
import type { ChannelSource, FoundSubjects } from '../subject-task.ts';
import { channelsInFile, checkedChannels, wantedChannels } from './dataset.ts';

/** A subject's image: its first channel, and what else belongs to it. */
export interface ImageUnit {
  readonly image: ImageSource;
  /** Of a file with several. */
  readonly channel?: number;
  readonly others?: readonly ChannelSource[];
  /** Files of its channels, those too that are not taken: label maps are named after any of them. */
  readonly members: readonly ImageSource[];
  /** Names it where that is not the file's own name. */
  readonly stem?: string;
}

export interface FoundUnits {
  readonly units: readonly ImageUnit[];
  readonly channels: FoundSubjects['channels'];
  readonly problems: readonly CohortProblem[];
}

/** Joins the files of a subject's channels, if several are asked for. @throws UsageError for channels that nothing here has */
export async function unitsOf(images: readonly ImageSource[], selection: Selection): Promise<FoundUnits> {
  if (selection.channels === undefined || selection.channel !== null) return ofFiles(images, selection);
  const subjects = new Map<string, Map<string, ImageSource[]>>();
  const seen = new Set<string>();
  for (const image of images) {
    const place = image.kind === 'file' ? channelOfName(image.path) : null;
    if (!place) continue;
    const channel = place.channel.toLowerCase();
    seen.add(place.channel);
    const files = subjects.get(place.subject) ?? new Map<string, ImageSource[]>();
    subjects.set(place.subject, files);
    files.set(channel, [...(files.get(channel) ?? []), image]);
  }
  const isAll = selection.channels.length === 1 && selection.channels[0].toLowerCase() === 'all';
  const all = [...seen].sort((a, b) => contrastRank(a) - contrastRank(b) || Number(a) - Number(b) || (a < b ? -1 : 1));
  // where no subject has two, the names are not those of channels
  if (![...subjects.values()].some((files) => files.size > 1)) return ofFiles(images, selection);
  const wanted = isAll
    ? all
    : selection.channels.map((asked) => all.find((name) => sameChannel(name, asked)) ?? noSuchChannel(asked, all));
  const numberOf = (name: string, k: number): number => (/^\d+$/.test(name) ? Number(name) : k);
  const named = new Map(wanted.map((name, k) => [numberOf(name, k), name]));
  const { channels } = checkedChannels(isAll ? all : selection.channels, wanted.map(numberOf), (number) => named.get(number)!);
  const units: ImageUnit[] = [];
  const problems: CohortProblem[] = [];
  const done = new Set<string>();
  for (const image of images) {
    const place = image.kind === 'file' ? channelOfName(image.path) : null;
    if (!place) {
      problems.push({ source: image.path, kind: 'left-out', what: 'other file', message: 'skipped: its name states no channel' });
      continue;
    }
    if (done.has(place.subject)) continue;
    done.add(place.subject);
    const files = subjects.get(place.subject)!;
    const chosen = wanted.map((name) => files.get(name.toLowerCase()) ?? []);
    const stem = basename(place.subject);
    const lacking = wanted.filter((_, k) => chosen[k].length === 0);
    const ambiguous = wanted.flatMap((name, k) =>
      chosen[k].length > 1 ? `${name}: ${chosen[k].map(({ path }) => basename(path)).join(', ')}` : [],
    );
    if (lacking.length > 0 || ambiguous.length > 0) {
      const message =
        lacking.length > 0
          ? `its subject ${stem} has no channel ${lacking.join(', ')}`
          : `its subject ${stem} has a channel more than once (${ambiguous.join('; ')}); choose files with \`match\``;
      problems.push({ source: image.path, kind: 'refused', message });
      continue;
    }
    const [[first], ...others] = chosen;
    units.push({
      image: first,
      ...(others.length > 0 && { others: others.map(([other]) => ({ image: other })) }),
      members: [...files.values()].flat(),
      stem,
    });
  }
  return { units, channels, problems };
}

/** Every file is a subject's, and holds its channels. */
async function ofFiles(images: readonly ImageSource[], selection: Selection): Promise<FoundUnits> {
  const [first] = images;
  const {
    numbers: [channel, ...further],
    channels,
    isChosen,
  } = await wantedChannels(selection, null, async () => (first ? channelsInFile(first) : undefined));
  const units = images.map(
    (image): ImageUnit => ({
      image,
      members: [image],
      ...(isChosen && { channel }),
      ...(further.length > 0 && { others: further.map((number) => ({ image, channel: number })) }),
    }),
  );
  return { units, channels, problems: [] };
}

/** '0001', '1' and 1 are one channel, as 'T1' and 't1' are. */
const sameChannel = (name: string, asked: string): boolean =>
  name.toLowerCase() === asked.toLowerCase() || (/^\d+$/.test(name) && /^\d+$/.test(asked) && Number(name) === Number(asked));

function noSuchChannel(asked: string, all: readonly string[]): never {
  throw new UsageError(`\`channels\` ${asked}: no file here is named so; found ${all.join(', ')}`);
}
