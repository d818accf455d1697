/**
 * The channels of a case, for a model that takes several: nnU-Net's files (`P1_0000`, `P1_0001`), files named after the model's channels (`P1_t1`,
 * `P1_flair`), or one file that holds them. Whichever of its files is named, a case is taken whole.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { channelsInFile } from '../../cohort/node/layouts/dataset.ts';
import { channelOfName, isLabelName } from '../../cohort/node/names.ts';
import type { ChannelOptions } from '../../cohort/prepare-options.ts';
import type { ImageSource } from '../../images/find-images.ts';
import { isImageName } from '../../images/recognise.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import type { InputImage } from './input-image.ts';

/** A channel as people look for it: 'FLAIR (_0001)'. */
const described = ({ name, number }: ChannelOptions): string => `${name} (_${String(number).padStart(4, '0')})`;

/** The case that a file is of, and which of the channels it is; null for one that is none by its name. */
function placeOf(path: string, channels: readonly ChannelOptions[]): { readonly subject: string; readonly index: number } | null {
  const found = channelOfName(path);
  if (!found) return null;
  const wanted = found.channel.toLowerCase();
  const index = channels.findIndex(({ name, number }) => name.toLowerCase() === wanted || String(number) === wanted);
  return index < 0 ? null : { subject: resolve(found.subject), index };
}

/** The paths of a case's channels, looked for beside one of them. */
async function filesBeside(path: string, subject: string, channels: readonly ChannelOptions[]): Promise<(string | undefined)[]> {
  const folder = dirname(path);
  const files: (string | undefined)[] = channels.map(() => undefined);
  for (const name of (await readdir(folder)).sort()) {
    if (name.startsWith('.') || !isImageName(name)) continue;
    const place = placeOf(join(folder, name), channels);
    if (place?.subject === subject) files[place.index] ??= join(folder, name);
  }
  return files;
}

/**
 * Joins images to cases.
 * @param failed gets those that lack a channel, named
 * @param warnings gets files of channels that the model does not take
 */
export async function joinChannels(
  images: readonly InputImage[],
  channels: readonly ChannelOptions[],
  failed: Failure[],
  warnings: string[],
): Promise<InputImage[]> {
  const all = channels.map(described).join(', ');
  const joined: InputImage[] = [];
  const done = new Set<string>();
  for (const image of images) {
    const { source } = image;
    const place = source.kind === 'file' ? placeOf(source.path, channels) : null;
    if (place) {
      if (done.has(place.subject)) continue;
      done.add(place.subject);
      const paths = await filesBeside(source.path, place.subject, channels);
      const lacking = channels.filter((_, k) => paths[k] === undefined).map(described);
      if (lacking.length > 0) {
        const reason = `its case ${basename(place.subject)} has no channel ${lacking.join(', ')}; the model takes ${all}`;
        failed.push({ path: source.path, reason });
        continue;
      }
      const [first, ...others] = paths.map((path): ImageSource => ({ kind: 'file', path: path! }));
      joined.push({ ...image, name: basename(place.subject), source: first, others: others.map((other) => ({ image: other })) });
      continue;
    }
    try {
      const count = source.kind === 'file' ? await channelsInFile(source) : 1;
      const [first, ...others] = channels.map(({ number }) => ({ image: source, channel: number }));
      if (channels.every(({ number }) => number < count)) joined.push({ ...image, channel: first.channel, others });
      else if (!image.isNamed && isLabelName(source.path)) warnings.push(`${source.path}: skipped: named like a label map`);
      else if (!image.isNamed && channelOfName(source.path))
        warnings.push(`${source.path}: skipped: no channel that the model takes (${all})`);
      else {
        const reason = `${count === 1 ? 'one channel' : `${count} channels`}, but the model takes ${all}: expected a file for each, named CASE_0000 and so on, or one file with all of them`;
        failed.push({ path: source.path, reason });
      }
    } catch (error) {
      failed.push(failureOf(error, source.path));
    }
  }
  return joined;
}
