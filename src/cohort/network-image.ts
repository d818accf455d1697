/** An image as a trained network wants it: prepared as the cohort was that it learned from. */

import { RunError } from '../common/errors.ts';
import { mapInto } from '../common/map-into.ts';
import { cropPad } from '../geometry/crop.ts';
import type { Volume } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { type Preparation, type PreparedImage, prepareImage } from './prepare-image.ts';
import type { PrepareOptions } from './prepare-options.ts';

export interface NetworkImage {
  readonly path: string;
  /** As the file stores it, NaN and infinities replaced by `background`. */
  readonly volume: Volume;
  /** The value of air: what lies outside the image. */
  readonly background: number;
  /** As the network sees it: whole, and cropped. */
  readonly prepared: PreparedImage;
  readonly cropped: Volume<Float32Array>;
  /** The channels after the first, on the grid of `cropped`; empty for one. */
  readonly others: readonly Volume<Float32Array>[];
}

/** Every channel as the network sees it, on one grid. */
export const channelsOf = ({ cropped, others = [] }: Pick<NetworkImage, 'cropped'> & Partial<Pick<NetworkImage, 'others'>>) => [
  cropped,
  ...others,
];

/** Names of the channels, for messages. */
export const namesOf = ({ channels = [] }: Pick<PrepareOptions, 'channels'>): string =>
  channels.map(({ name }) => name).join(', ');

/** Air in the file's own values: -1024 HU or 0, or the value nearest to it that the image has. */
export function airOf(modality: 'ct' | 'mr', { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, modality === 'ct' ? -1024 : 0));
}

/** Brings a further channel of an image that was prepared onto its grid, and cuts it as that was cut. */
export function furtherChannel(
  preparation: Preparation,
  loaded: LoadedImage,
  { box }: PreparedImage,
): { readonly volume: Volume<Float32Array>; readonly problems: readonly string[] } {
  const { whole, problems } = preparation.finish(loaded, 'all');
  return { volume: cropPad(whole, box.start, box.size, 0), problems };
}

/**
 * Prepares an image of one channel as the network's cohort was.
 * @param modalityIsCertain the user named the modality: what a DICOM file says else is then only a remark
 * @param begun its preparation, where all planes were added to one while it was read
 * @throws RunError naming the file and why it is refused
 */
export function networkImage(
  loaded: LoadedImage,
  options: PrepareOptions,
  modalityIsCertain: boolean,
  begun?: Preparation,
): NetworkImage {
  const { path } = loaded;
  if (options.channels)
    throw new RunError(
      `${path}: one image, but the model takes ${options.channels.length} channels: ${namesOf(options)}; give it files, as gvsl segment does`,
    );
  const stated = loaded.modality?.toLowerCase();
  if (stated && ['ct', 'mr'].includes(stated) && stated !== options.modality && !modalityIsCertain)
    throw new RunError(
      `${path}: the file says it is ${loaded.modality}, but the model was trained on ${options.modality}; use a model for ${stated}, or override with \`modality\` ${options.modality}`,
    );
  const found = begun ? begun.finish(loaded, 'all') : prepareImage(loaded, options);
  const doubts = new Set(found.doubts.map(({ message }) => message));
  const problems = found.problems.map((said) =>
    doubts.has(said) ? `${said}; the model was trained on ${options.modality}` : said,
  );
  return withImage(loaded, { ...found, problems }, options.modality);
}

/** A prepared image together with what it was made of. */
export function withImage(loaded: LoadedImage, prepared: PreparedImage, modality: 'ct' | 'mr'): NetworkImage {
  const background = airOf(modality, prepared.values);
  const { geometry, data } = loaded.volume;
  const volume: Volume =
    prepared.values.nonFinite === 0
      ? loaded.volume
      : {
          geometry,
          data: mapInto(new Float32Array(data.length), data, (value) => (Number.isFinite(value) ? value : background)),
        };
  const cropped = cropPad(prepared.whole, prepared.box.start, prepared.box.size, 0);
  return { path: loaded.path, volume, background, prepared, cropped, others: [] };
}
