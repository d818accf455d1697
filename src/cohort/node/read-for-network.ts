/** Reading an image as a trained network wants it. */
import type { ReadOptions } from '../../images/loaded-image.ts';
import type { ImageSource } from '../../images/node/find.ts';
import { readImage } from '../../images/node/read.ts';
import { type NetworkImage, networkImage } from '../network-image.ts';
import { Preparation } from '../prepare-image.ts';
import type { PrepareOptions } from '../prepare-options.ts';

/** Reads and prepares an image, of several channels the one that is named (from 0): see `networkImage`. @throws RunError naming the file and why it is refused */
export async function readForNetwork(
  source: string | ImageSource,
  options: PrepareOptions,
  modalityIsCertain: boolean,
  channel?: number,
): Promise<NetworkImage> {
  const path = typeof source === 'string' ? source : source.path;
  const preparation = new Preparation(options);
  const onPlane: ReadOptions['onPlane'] = (volume, z) => preparation.add(volume, z);
  const loaded = await readImage(source, { onPlane, ...(channel === undefined ? {} : { channel }) });
  return networkImage({ ...loaded, path }, options, modalityIsCertain, preparation);
}
