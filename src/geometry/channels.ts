/** Images of several channels on one grid, (C, D, H, W): what is done to each channel by itself. */
import { checkChannels } from './check-voxels.ts';
import { voxelCount, type Zyx } from './volume.ts';

/**
 * The channels of an image, each D * H * W values: views of it, not copies.
 * @throws RangeError if it holds no whole number of them.
 */
export function splitChannels<Values extends Float32Array>(image: Values, sizeZyx: Zyx): Values[] {
  const channels = checkChannels('splitChannels', image, sizeZyx);
  const voxels = voxelCount(sizeZyx);
  return Array.from({ length: channels }, (_, c) => image.subarray(c * voxels, (c + 1) * voxels) as Values);
}

/** Channels behind one another; of one channel that array itself. */
export function mergeChannels<Values extends Float32Array>(channels: readonly Values[]): Values | Float32Array<ArrayBuffer> {
  if (channels.length === 1) return channels[0];
  const image = new Float32Array(channels.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const channel of channels) {
    image.set(channel, at);
    at += channel.length;
  }
  return image;
}

/** The image with something done to each of its channels. */
export const eachChannel = (
  image: Float32Array,
  sizeZyx: Zyx,
  change: (channel: Float32Array, index: number) => Float32Array,
): Float32Array => mergeChannels(splitChannels(image, sizeZyx).map(change));

/** The first channel of an image, or of the first sample of several: what pictures show. */
export const firstChannel = (image: Float32Array, sizeZyx: Zyx): Float32Array => image.subarray(0, voxelCount(sizeZyx));
