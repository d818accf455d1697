/** JSON files that describe a data set: `dataset.json` of nnU-Net and the Decathlon, MONAI's datalists. What it says of channels. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RunError, UsageError } from '../../../common/errors.ts';
import { parseJson } from '../../../common/json.ts';
import { isFile } from '../../../platform/node/files.ts';
import { isMachineTrouble, machineError } from '../../../platform/node/machine.ts';
import type { Selection } from '../selection.ts';

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
    parsed = parseJson(await readFile(path, 'utf8'), { values: MAX_VALUES });
  } catch (error) {
    if (isMachineTrouble(error)) throw machineError(path, error);
    throw new RunError(`${path}: not JSON (${(error as Error).message}); ${advice}`);
  }
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

/** '0 T1, 1 T2', for messages. */
export const describeChannels = (names: readonly string[]): string => names.map((name, k) => `${k} ${name}`).join(', ');

/** The number of the channel that is asked for; null if none is. @throws UsageError for a name that no channel has */
export function channelOf({ channel }: Selection, names: readonly string[] | null): number | null {
  if (channel === null) return null;
  const byName = names?.findIndex((name) => name.toLowerCase() === channel.toLowerCase()) ?? -1;
  if (byName >= 0) return byName;
  const number = Number(channel);
  if (/^\d+$/.test(channel) && (names === null || number < names.length)) return number;
  throw new UsageError(
    `\`channel\` ${channel}: ${names ? `expected one of ${describeChannels(names)}` : 'expected a number from 0 on: no dataset.json names the channels'}`,
  );
}
