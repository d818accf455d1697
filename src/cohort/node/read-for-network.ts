/** Reading an image as a trained network wants it. */
import { RunError } from '../../common/errors.ts';
import type { Geometry } from '../../geometry/volume.ts';
import type { ImageSource } from '../../images/find-images.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import { readImage } from '../../images/node/read.ts';
import { furtherChannel, type NetworkImage, namesOf, networkImage } from '../network-image.ts';
import { Preparation } from '../prepare-image.ts';
import { channelCount, optionsOfChannel, type PrepareOptions } from '../prepare-options.ts';
import type { ChannelSource } from './subject-task.ts';

/** Reads an image, or the channel of it that is named, and begins its preparation meanwhile. */
async function begin(
  { image, channel }: ChannelSource | { readonly image: string; readonly channel?: number },
  options: PrepareOptions,
  onto?: Geometry,
): Promise<{ readonly loaded: LoadedImage; readonly preparation: Preparation }> {
  const preparation = new Preparation(options, onto);
  const onPlane = preparation.add.bind(preparation);
  return { loaded: await readImage(image, { onPlane, ...(channel === undefined ? {} : { channel }) }), preparation };
}

/**
 * Reads and prepares an image, of several channels the one that is named (from 0): see `networkImage`.
 * @param others its further channels, for a model that takes several
 * @throws RunError naming the file and why it is refused
 */
export async function readForNetwork(
  source: string | ImageSource,
  options: PrepareOptions,
  modalityIsCertain: boolean,
  channel?: number,
  others: readonly ChannelSource[] = [],
): Promise<NetworkImage> {
  const path = typeof source === 'string' ? source : source.path;
  const expected = channelCount(options);
  if (others.length + 1 !== expected)
    throw new RunError(
      `${path}: ${others.length + 1 === 1 ? 'one channel' : `${others.length + 1} channels`}, but the model takes ${expected === 1 ? 'one' : `${expected}: ${namesOf(options)}`}`,
    );
  const own = optionsOfChannel(options, 0);
  const { loaded, preparation } = await begin(
    { image: source, ...(channel === undefined ? {} : { channel }) } as ChannelSource,
    own,
  );
  const image = networkImage({ ...loaded, path }, own, modalityIsCertain, preparation);
  const { prepared } = image;
  const volumes: NetworkImage['cropped'][] = [];
  const problems = [...prepared.problems];
  for (const [k, other] of others.entries()) {
    const further = await begin(other, optionsOfChannel(options, k + 1), prepared.whole.geometry);
    const found = furtherChannel(further.preparation, further.loaded, prepared);
    volumes.push(found.volume);
    problems.push(...found.problems.map((message) => `channel ${options.channels![k + 1].name}: ${message}`));
  }
  return volumes.length === 0 ? image : { ...image, prepared: { ...prepared, problems }, others: volumes };
}
