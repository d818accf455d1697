/** The backbone N_theta (docs/method.md, section 3): a 3D U-Net that gives one global and one local feature. */
import type { Graph, Node } from '../engine/graph.ts';
import { concat } from '../engine/ops/concat/concat.ts';
import { conv3d } from '../engine/ops/conv3d/conv3d.ts';
import { groupNorm } from '../engine/ops/group-norm/group-norm.ts';
import { maxPool } from '../engine/ops/pool/pool.ts';
import { upsample } from '../engine/ops/resize/resize.ts';
import { crop, pad } from '../engine/ops/shape/shape.ts';
import { GROUP_CHANNELS, GROUP_NORM_EPS, LEAKY_SLOPE, SIZE_MULTIPLE } from './architecture.ts';
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

/** The features of the five levels, from full size (padded to a multiple of 16) to the bottleneck f^g. x (N, 1, D, H, W), any size. */
export function encoder(graph: Graph, parameters: ParameterNodes, x: Node): Node[] {
  const skips = [doubleConvolution(graph, parameters, 'unet.inc', pad(graph, x, ...marginsOf(x)))];
  for (let level = 1; level <= 4; level++) {
    skips.push(doubleConvolution(graph, parameters, `unet.down${level}.maxpool_conv.1`, maxPool(graph, skips[level - 1])));
  }
  return skips;
}

/** x (N, 1, D, H, W), any size. */
export function unet(graph: Graph, parameters: ParameterNodes, x: Node): Features {
  const skips = encoder(graph, parameters, x);
  const global = skips[4];
  let feature = global;
  for (let level = 1; level <= 4; level++) {
    const joined = concat(graph, 1, skips[4 - level], upsample(graph, feature));
    feature = doubleConvolution(graph, parameters, `unet.up${level}.conv`, joined);
  }
  return { global, local: crop(graph, feature, ...marginsOf(x)) };
}
