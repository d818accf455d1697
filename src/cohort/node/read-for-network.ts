/** Reading an image as a trained network wants it. */
import type { ImageSource } from '../../images/node/find.ts';
import { readImage } from '../../images/node/read.ts';
import { type NetworkImage, networkImage } from '../network-image.ts';
import type { PrepareOptions } from '../prepare-options.ts';

/** Reads and prepares an image, of several channels the one that is named (from 0): see `networkImage`. @throws WorkError naming the file and why it is refused */
export async function readForNetwork(
  source: string | ImageSource,
  options: PrepareOptions,
  modalityIsCertain: boolean,
  channel?: number,
): Promise<NetworkImage> {
  const path = typeof source === 'string' ? source : source.path;
  return networkImage(
    { ...(await readImage(source, channel === undefined ? {} : { channel })), path },
    options,
    modalityIsCertain,
  );
}
