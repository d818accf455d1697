/** The backbone N_theta (docs/method.md, section 3): a 3D U-Net that gives one global and one local feature. */
import type { Graph, Node, Shape } from '../engine/graph.ts';
import { concat } from '../engine/ops/concat/concat.ts';
import { conv3d } from '../engine/ops/conv3d/conv3d.ts';
import { groupNorm } from '../engine/ops/group-norm/group-norm.ts';
import { maxPool } from '../engine/ops/pool/pool.ts';
import { upsample } from '../engine/ops/resize/resize.ts';
import { crop, pad } from '../engine/ops/shape/shape.ts';
import type { Zyx } from '../geometry/volume.ts';
import {
  type Architecture,
  GROUP_CHANNELS,
  GROUP_NORM_EPS,
  LEAKY_SLOPE,
  LEVELS,
  type LevelName,
  SIZE_MULTIPLE,
} from './architecture.ts';
import type { ParameterNodes } from './parameters.ts';

/** Two times [3x3x3 convolution, GroupNorm, LeakyReLU]. x (N, C, D, H, W). */
export function doubleConvolution(graph: Graph, parameters: ParameterNodes, name: string, x: Node): Node {
  return [0, 3].reduce((feature, layer) => {
    const prefix = `${name}.double_conv`;
    const convolved = conv3d(graph, feature, parameters(`${prefix}.${layer}.weight`), parameters(`${prefix}.${layer}.bias`));
    return groupNorm(graph, convolved, parameters(`${prefix}.${layer + 1}.weight`), parameters(`${prefix}.${layer + 1}.bias`), {
      groups: convolved.shape[1] / GROUP_CHANNELS,
      eps: GROUP_NORM_EPS,
      slope: LEAKY_SLOPE,
    });
  }, x);
}

/** Zero margins that bring each size to a multiple of 16: floor half before, the rest after. */
export function paddingOf(size: readonly number[]): { before: number[]; after: number[] } {
  const total = size.map((n) => (SIZE_MULTIPLE - (n % SIZE_MULTIPLE)) % SIZE_MULTIPLE);
  const before = total.map((n) => Math.floor(n / 2));
  return { before, after: total.map((n, i) => n - before[i]) };
}

/** What a multi-level head reads: the image and the features of all levels, in sizes brought to multiples of 16. */
export interface Levels {
  readonly image: Node;
  readonly features: Readonly<Record<LevelName, Node>>;
}

export interface Features {
  /** f^g (N, C4, D/16, H/16, W/16), sizes rounded up. */
  readonly global: Node;
  /** f^l (N, C8, D, H, W). */
  readonly local: Node;
}

const marginsOf = (x: Node): readonly [number[], number[]] => {
  const { before, after } = paddingOf(x.shape.slice(2));
  return [
    [0, 0, ...before],
    [0, 0, ...after],
  ];
};

/** x with zero margins. */
export const padTo16 = (graph: Graph, x: Node): Node => pad(graph, x, ...marginsOf(x));

/** The features of the five levels, from full size (padded to a multiple of 16) to the bottleneck f^g. x (N, 1, D, H, W), any size. */
export function encoder(graph: Graph, parameters: ParameterNodes, x: Node): Node[] {
  const skips = [doubleConvolution(graph, parameters, 'unet.inc', padTo16(graph, x))];
  for (let level = 1; level <= 4; level++) {
    skips.push(doubleConvolution(graph, parameters, `unet.down${level}.maxpool_conv.1`, maxPool(graph, skips[level - 1])));
  }
  return skips;
}

/** The features of the decoder's four levels, the last of full size (padded to a multiple of 16). */
function decoder(graph: Graph, parameters: ParameterNodes, skips: readonly Node[]): Node[] {
  const features: Node[] = [];
  for (let level = 1; level <= 4; level++) {
    const joined = concat(graph, 1, skips[4 - level], upsample(graph, features.at(-1) ?? skips[4]));
    features.push(doubleConvolution(graph, parameters, `unet.up${level}.conv`, joined));
  }
  return features;
}

/** x (N, 1, D, H, W), any size. */
export function unet(graph: Graph, parameters: ParameterNodes, x: Node): Features {
  const skips = encoder(graph, parameters, x);
  const [, , , full] = decoder(graph, parameters, skips);
  return { global: skips[4], local: crop(graph, full, ...marginsOf(x)) };
}

/** What a multi-level head reads of x (N, channels, D, H, W), any size. */
export function unetLevels(graph: Graph, parameters: ParameterNodes, x: Node): Levels {
  const [inc, down1, down2, down3, down4] = encoder(graph, parameters, x);
  const [up1, up2, up3, up4] = decoder(graph, parameters, [inc, down1, down2, down3, down4]);
  return { image: padTo16(graph, x), features: { inc, down1, down2, down3, down4, up1, up2, up3, up4 } };
}

/** Channels and sizes (C, D, H, W) of the levels for images of `size`, in the order of `LEVELS`. */
export function levelShapes({ widths }: Architecture, size: Zyx): { readonly name: LevelName; readonly shape: Shape }[] {
  const { before, after } = paddingOf(size);
  return LEVELS.map(({ name, halvings, width }) => ({
    name,
    shape: [widths[width], ...size.map((n, axis) => (n + before[axis] + after[axis]) / 2 ** halvings)],
  }));
}

/** The part of what was padded to multiples of 16 that belongs to x, of which the size counts alone. */
export const cropTo = (graph: Graph, padded: Node, x: Node): Node => crop(graph, padded, ...marginsOf(x));
