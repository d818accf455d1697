/** Images of several channels, and which of them a model takes. */
import type { TrainedNetwork } from '../../apply/network.ts';
import { furtherChannel, type NetworkImage, namesOf, networkImage } from '../../cohort/network-image.ts';
import { Preparation } from '../../cohort/prepare-image.ts';
import { type ChannelOptions, channelCount, optionsOfChannel } from '../../cohort/prepare-options.ts';
import { RunError } from '../../common/errors.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';

export interface Channel {
  /** What its name says that it is: '1', 't1ce'; empty if nothing. */
  readonly label: string;
  readonly image: LoadedImage;
}

/** Whether a name means a channel of the model, by its own name or its number. */
export const isChannel = ({ name, number }: ChannelOptions, label: string): boolean =>
  name.toLowerCase() === label.toLowerCase() || String(number) === label;

/** The channels that a model takes, in its order. @throws RunError that says which are missing */
function chosenChannels(all: readonly Channel[], { preprocessing }: TrainedNetwork): readonly LoadedImage[] {
  // of several the first, as the command line does
  if (channelCount(preprocessing) === 1) return [all[0].image];
  const wanted = preprocessing.channels!;
  const byName = wanted.map((options) => all.find(({ label }) => isChannel(options, label))?.image);
  const missing = wanted.filter((_, k) => !byName[k]).map(({ name }) => name);
  if (missing.length === 0) return byName.filter((image) => image !== undefined);
  throw new RunError(
    `${all[0].image.path}: ${all.length === 1 ? 'one channel' : `${all.length} channels`}, but the model takes ${wanted.length}: ${namesOf(preprocessing)}; missing: ${missing.join(', ')}. Open files named CASE_0000, CASE_0001 and so on together, or join open images under Channels`,
  );
}

/** Prepares the channels of an image as the network's cohort was. @throws RunError naming the file and why it is refused */
export function prepareChannels(all: readonly Channel[], network: TrainedNetwork): NetworkImage {
  const { preprocessing } = network;
  const [first, ...others] = chosenChannels(all, network);
  const image = networkImage(first, optionsOfChannel(preprocessing, 0), false);
  if (others.length === 0) return image;
  const { prepared } = image;
  const further = others.map((loaded, k) => {
    const preparation = new Preparation(optionsOfChannel(preprocessing, k + 1), prepared.whole.geometry);
    for (let z = 0; z < loaded.volume.geometry.size[2]; z++) preparation.add(loaded.volume, z);
    return furtherChannel(preparation, loaded, prepared);
  });
  const said = further.flatMap(({ problems }, k) =>
    problems.map((message) => `channel ${preprocessing.channels![k + 1].name}: ${message}`),
  );
  return {
    ...image,
    prepared: { ...prepared, problems: [...prepared.problems, ...said] },
    others: further.map(({ volume }) => volume),
  };
}
