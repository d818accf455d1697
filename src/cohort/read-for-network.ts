/** Reading an image as a trained network wants it. */
import type { ImageSource } from '../images/node/find.ts';
import { readImage } from '../images/node/read.ts';
import { type NetworkImage, networkImage } from '../preparation/network-image.ts';
import type { PrepareOptions } from '../preparation/prepare-options.ts';

/** Reads and prepares an image: see `networkImage`. @throws WorkError naming the file and why it is refused */
export async function readForNetwork(
  source: string | ImageSource,
  options: PrepareOptions,
  modalityIsCertain: boolean,
): Promise<NetworkImage> {
  const path = typeof source === 'string' ? source : source.path;
  return networkImage({ ...(await readImage(source)), path }, options, modalityIsCertain);
}
