/** How images are made ready for a network, and what their intensities became. */
import type { Xyz } from '../geometry/volume.ts';

/** How intensities of MR come to [0, 1]: clipped at 0, then from minimum to maximum or between percentiles; or between percentiles with their signs. */
export const MR_SCALES = ['minmax', 'percentile', 'signed'] as const;
export type MrScale = (typeof MR_SCALES)[number];
/** The scale of CT, and those of MR. */
export const SCALES = ['hounsfield', ...MR_SCALES] as const;

/** How stored intensities come from the file's: (value - low) / (high - low), clipped to [0, 1]. */
export interface IntensityWindow {
  readonly kind: (typeof SCALES)[number];
  readonly low: number;
  readonly high: number;
}

/** What `gvsl prepare` is told; a model keeps it for the images that it will meet. */
export interface PrepareOptions {
  readonly modality: 'ct' | 'mr';
  readonly spacingMm: Xyz;
  /** Every subject cropped or padded to this many voxels (x, y, z) about its centre; null keeps each one's own size. */
  readonly size: Xyz | null;
  readonly crop: 'foreground' | 'none';
  readonly intensity: MrScale;
  /** The channels of each subject, in their order; absent where images have one. The first gives the grid, and the box that is kept. */
  readonly channels?: readonly ChannelOptions[] | undefined;
}

/** More are hardly contrasts of one place: 4D files of functional and diffusion MR have hundreds. */
export const MAX_CHANNELS = 16;

/** One of several channels. */
export interface ChannelOptions {
  readonly name: string;
  /** Its number in its source, from 0: in nnU-Net's names of files (`_0002`), or in files that hold several. */
  readonly number: number;
  /** How its intensities come to [0, 1]. */
  readonly scale: IntensityWindow['kind'];
}

/** The options as they are for one channel, as if it were alone. */
export function optionsOfChannel({ channels, ...options }: PrepareOptions, channel: number): PrepareOptions {
  const scale = channels?.[channel]?.scale;
  if (scale === undefined) return options;
  return scale === 'hounsfield' ? { ...options, modality: 'ct' } : { ...options, modality: 'mr', intensity: scale };
}

/** How many channels images have. */
export const channelCount = ({ channels }: Pick<PrepareOptions, 'channels'>): number => channels?.length ?? 1;
