/** What the network is made of, as config.json records it. Everything else about its shape follows from this. */

/** Which heads stand on the backbone: the paper's ablations leave some out. */
export interface Heads {
  /** Z-matching's affine part (`f_conv`, `fc_*`). Needs `matching`. */
  readonly affine: boolean;
  /** The restoration head (`res_conv`), which gives as many channels as the image has. */
  readonly restoration: boolean;
  /** Z-matching as a whole (`sp_conv`, `out_flow`, and the affine part if wanted). */
  readonly matching: boolean;
  /** Classes of the segmentation head (`out_conv`), the background among them; undefined without it (docs/transfer.md). */
  readonly segmentation?: number | undefined;
  /**
   * The segmentation head reads the image and all levels of the backbone (`out_levels`) in place of the local feature alone (`out_conv`): what
   * teaching by strokes fits (docs/teaching.md). With `segmentation` only.
   */
  readonly multiLevel?: true | undefined;
  /**
   * Outputs of the classification head (`fc`): 1 for two classes, else one a class; undefined without it (docs/transfer.md). A network with this
   * head alone is the encoder alone: its table holds no `unet.up*`.
   */
  readonly classification?: number | undefined;
  /**
   * What compares views of an image (`projector`, `predictor`); undefined without it (docs/methods.md). A network with it alone is the encoder
   * alone too.
   */
  readonly projection?: Projection | undefined;
}

/** The layers on f^g averaged over the image that SimCLR, SimSiam and BYOL compare views by. */
export interface Projection {
  readonly kind: (typeof PROJECTIONS)[number];
  /** Values of the projector's result. */
  readonly outputs: number;
  /** Of SimSiam and BYOL; false: left out, which makes them collapse. */
  readonly predictor?: boolean | undefined;
}
export const PROJECTIONS = ['simclr', 'simsiam', 'byol'] as const;

/** Channels of the image that a network sees, where nothing else is said. */
const ONE_CHANNEL = 1;

export interface Architecture {
  /** Channels of the image; 1 if absent. */
  readonly inputChannels?: number | undefined;
  /** Channels of inc, down1..4, up1..4. Each a multiple of 8. */
  readonly widths: readonly number[];
  /** Hidden channels of the affine head. */
  readonly affineHidden: number;
  /** Hidden channels of the deformable head. */
  readonly flowHidden: number;
  readonly heads: Heads;
}

/** The paper's widths. */
export const PAPER_WIDTHS = [32, 64, 128, 256, 512, 256, 128, 64, 32] as const;
export const ALL_HEADS: Heads = { affine: true, restoration: true, matching: true };

/** The backbone alone. */
export const NO_HEADS: Heads = { affine: false, restoration: false, matching: false };

/** Channels of the image that a network sees. */
export const inputChannelsOf = ({ inputChannels = ONE_CHANNEL }: Pick<Architecture, 'inputChannels'>): number => inputChannels;

/** Whether anything reads the local feature, and so the decoder is part of the network. */
export const hasDecoder = ({ affine, restoration, matching, segmentation, classification, projection }: Heads): boolean =>
  affine || restoration || matching || segmentation !== undefined || (classification === undefined && projection === undefined);

/**
 * The backbone's blocks that a multi-level head reads, by their names: how often the volume is halved there, and where in `Architecture.widths` their
 * channels stand. From the coarsest on, the order in which the head adds them up.
 */
export const LEVELS = [
  { name: 'down4', halvings: 4, width: 4 },
  { name: 'down3', halvings: 3, width: 3 },
  { name: 'up1', halvings: 3, width: 5 },
  { name: 'down2', halvings: 2, width: 2 },
  { name: 'up2', halvings: 2, width: 6 },
  { name: 'down1', halvings: 1, width: 1 },
  { name: 'up3', halvings: 1, width: 7 },
  { name: 'inc', halvings: 0, width: 0 },
  { name: 'up4', halvings: 0, width: 8 },
] as const;
export type LevelName = (typeof LEVELS)[number]['name'];
/** Kernel of a multi-level head on the image; on features it is 1. */
export const IMAGE_KERNEL = 3;

/** The backbone halves the volume this many times over: sizes are padded to multiples of it. */
export const SIZE_MULTIPLE = 16;
/** Channels of one GroupNorm group in a block. */
export const GROUP_CHANNELS = 8;
/** Hidden channels of the restoration head, and its groups. */
export const RESTORATION_HIDDEN = 16;
export const RESTORATION_GROUPS = 4;
export const LEAKY_SLOPE = 0.2;
export const GROUP_NORM_EPS = 1e-5;

/** The paper's network with every width scaled by `width` (1 is the paper's), in multiples of 8. */
export function scaledArchitecture(width: number, heads: Heads = ALL_HEADS, inputChannels = ONE_CHANNEL): Architecture {
  const scaled = (channels: number): number => Math.max(8, Math.floor((channels * width) / 8) * 8);
  const network = { widths: PAPER_WIDTHS.map(scaled), affineHidden: scaled(256), flowHidden: 16, heads };
  return inputChannels === ONE_CHANNEL ? network : { ...network, inputChannels };
}
