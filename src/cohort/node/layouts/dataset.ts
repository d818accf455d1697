/** JSON files that describe a data set: `dataset.json` of nnU-Net and the Decathlon, MONAI's datalists. What they say of channels and labels. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RunError, UsageError } from '../../../common/errors.ts';
import { parseJson, withoutByteOrderMark } from '../../../common/json.ts';
import type { ImageSource } from '../../../images/find-images.ts';
import { openImage } from '../../../images/node/read.ts';
import { isFile } from '../../../platform/node/files.ts';
import { isMachineTrouble, machineError } from '../../../platform/node/machine.ts';
import { MAX_CHANNELS } from '../../prepare-options.ts';
import type { Selection } from '../selection.ts';
import type { NamedChannel } from '../subject-task.ts';

export type Dataset = Record<string, unknown> & { training?: unknown; test?: unknown };

export async function readDataset(folder: string): Promise<Dataset | null> {
  const path = join(folder, 'dataset.json');
  return (await isFile(path)) ? readJsonObject(path, 'fix it, or remove it to search the folder instead') : null;
}

/** A list of a hundred thousand images has some hundred thousand values. */
const MAX_VALUES = 1e7;

export async function readJsonObject(path: string, advice: string): Promise<Dataset> {
  let parsed: unknown;
  try {
    parsed = parseJson(withoutByteOrderMark(await readFile(path, 'utf8')), { values: MAX_VALUES });
  } catch (error) {
    if (isMachineTrouble(error)) throw machineError(path, error);
    throw new RunError(`${path}: not JSON (${(error as Error).message}); ${advice}`);
  }
  // a list of images that stands alone
  if (Array.isArray(parsed)) return { training: parsed };
  if (typeof parsed !== 'object' || parsed === null) throw new RunError(`${path}: expected a JSON object; ${advice}`);
  return parsed as Dataset;
}

/** The channels that a dataset.json names (nnU-Net 2: channel_names; nnU-Net 1 and Decathlon: modality), in order. */
export function channelNamesOf(dataset: Dataset | null): readonly string[] | null {
  const names: unknown = dataset?.channel_names ?? dataset?.modality;
  if (typeof names !== 'object' || names === null) return null;
  const entries = Object.entries(names).sort(([a], [b]) => Number(a) - Number(b));
  return entries.length > 0 ? entries.map(([, name]) => String(name)) : null;
}

/** The label codes that a dataset.json or datalist names, ascending; undefined if it names none. */
export function labelNamesOf(dataset: Dataset | null): Readonly<Record<string, string>> | undefined {
  const labels: unknown = dataset?.labels;
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) return undefined;
  // version 2 of nnU-Net writes {"name": code} (a list of codes is a region, no structure), version 1 and the Decathlon {"code": "name"}
  const pairs = Object.entries(labels).flatMap(([key, value]): [number, string][] => {
    if (typeof value === 'number') return [[value, key]];
    return typeof value === 'string' && key.trim() !== '' ? [[Number(key), value]] : [];
  });
  const named = pairs.filter(([code]) => Number.isInteger(code)).sort(([a], [b]) => a - b);
  return named.length > 0 ? Object.fromEntries(named) : undefined;
}

/** '0 T1, 1 T2', for messages. */
export const describeChannels = (names: readonly string[]): string => names.map((name, k) => `${k} ${name}`).join(', ');

/** The number of the channel that is asked for; null if none is. @throws UsageError for a name that no channel has */
const channelOf = ({ channel }: Selection, names: readonly string[] | null): number | null =>
  channel === null ? null : numberOfChannel(channel, names, 'channel');

function numberOfChannel(channel: string, names: readonly string[] | null, option: string): number {
  const byName = names?.findIndex((name) => name.toLowerCase() === channel.toLowerCase()) ?? -1;
  if (byName >= 0) return byName;
  const number = Number(channel);
  if (/^\d+$/.test(channel) && (names === null || number < names.length)) return number;
  throw new UsageError(
    `\`${option}\` ${channel}: ${names ? `expected one of ${describeChannels(names)}` : 'expected a number from 0 on: no dataset.json names the channels'}`,
  );
}

/** Which channels of the images of a source are taken. */
export interface WantedChannels {
  /** From 0, in the order that was asked for. */
  readonly numbers: readonly number[];
  /** With their names, where they are several. */
  readonly channels: readonly NamedChannel[] | undefined;
  /** Whether anything was asked for: else the first is taken, and that is said. */
  readonly isChosen: boolean;
}

/**
 * The channels that are asked for.
 * @param count how many there are, for a source that does not name them
 * @throws UsageError for a channel that there is not, or that is asked for twice
 */
export async function wantedChannels(
  selection: Selection,
  names: readonly string[] | null,
  count: () => Promise<number | undefined>,
): Promise<WantedChannels> {
  const { channel, channels } = selection;
  if (channels === undefined) {
    const number = channelOf(selection, names);
    return { numbers: [number ?? 0], channels: undefined, isChosen: number !== null };
  }
  if (channel !== null) throw new UsageError('`channel` and `channels`: expected one of them');
  let numbers: number[];
  if (channels.length === 1 && channels[0].toLowerCase() === 'all') {
    const all = names?.length ?? (await count());
    if (all === undefined) throw new UsageError('`channels` all: nothing says how many there are; give their numbers: 0,1');
    numbers = [...Array(all).keys()];
  } else numbers = channels.map((one) => numberOfChannel(one, names, 'channels'));
  return checkedChannels(channels, numbers, (number) => names?.[number] ?? String(number));
}

/**
 * @param asked as they were asked for, by number or name
 * @throws UsageError for none, for more than can be, and for one that is there twice
 */
export function checkedChannels(
  asked: readonly string[],
  numbers: readonly number[],
  nameOf: (number: number) => string,
): WantedChannels {
  const names = numbers.map(nameOf);
  const again = names.findIndex((name, k) => names.indexOf(name) !== k);
  if (again >= 0) {
    const [first, second] = [asked[names.indexOf(names[again])], asked[again]];
    const which = first === second ? `${first} is there twice` : `${first} and ${second} are the same channel`;
    throw new UsageError(`\`channels\` ${asked.join(',')}: ${which}; name each once`);
  }
  if (numbers.length === 0 || numbers.length > MAX_CHANNELS)
    throw new UsageError(
      `\`channels\`: ${numbers.length} channels; expected 1 to ${MAX_CHANNELS}: give those to take, such as 0,1`,
    );
  const named = numbers.map((number, k) => ({ name: names[k], number }));
  return { numbers, channels: named.length > 1 ? named : undefined, isChosen: true };
}

/** How many channels an image file has. */
export const channelsInFile = async (source: ImageSource): Promise<number> => (await openImage(source)).volumesInFile;
