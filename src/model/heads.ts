/** The heads on the backbone (docs/method.md, sections 4 and 5): Z-matching G_xi, affine and then deformable, and restoration R_iota. */
import type { Graph, Node } from '../engine/graph.ts';
import { affineDisplacement, affineMatrix } from '../engine/ops/affine/affine.ts';
import { concat, slice } from '../engine/ops/concat/concat.ts';
import { conv3d } from '../engine/ops/conv3d/conv3d.ts';
import { add, multiply, relu, scale, tanh } from '../engine/ops/elementwise/elementwise.ts';
import { groupNorm } from '../engine/ops/group-norm/group-norm.ts';
import { linear } from '../engine/ops/linear/linear.ts';
import { layerNorm } from '../engine/ops/normalize/normalize.ts';
import { globalAverage } from '../engine/ops/reduce/reduce.ts';
import { upsample } from '../engine/ops/resize/resize.ts';
import { probabilities } from '../engine/ops/softmax/softmax.ts';
import { warp } from '../engine/ops/warp/warp.ts';
import {
  type Architecture,
  GROUP_NORM_EPS,
  LEAKY_SLOPE,
  LEVELS,
  type LevelName,
  type Projection,
  RESTORATION_GROUPS,
} from './architecture.ts';
import type { ParameterNodes } from './parameters.ts';
import { cropTo, doubleConvolution, type Features, type Levels, unet, unetLevels } from './unet.ts';

/** The limits of the affine parameters: rotation +-20 degrees, scale 1 +- 0.25, shear +-10 degrees. */
const ROTATION_LIMIT = Math.PI / 9;
const SCALE_LIMIT = 0.25;
const SHEAR_LIMIT = Math.PI / 18;

type Size = readonly [number, number, number];

/** The affine head: global features of A and B (N, C, d, h, w) to a matrix (N, 3, 4) for volumes of `size` (D, H, W). */
export function affineHead(graph: Graph, parameters: ParameterNodes, globalA: Node, globalB: Node, size: Size): Node {
  const feature = globalAverage(graph, doubleConvolution(graph, parameters, 'f_conv', concat(graph, 1, globalA, globalB)));
  const layer = (name: string): Node => linear(graph, feature, parameters(`${name}.weight`), parameters(`${name}.bias`));
  const batch = feature.shape[0];
  // translation is in halves of the extent, x y z
  const half = Float32Array.from({ length: 3 * batch }, (_, i) => size[2 - (i % 3)] / 2);
  return affineMatrix(
    graph,
    scale(graph, tanh(graph, layer('fc_rot')), ROTATION_LIMIT),
    scale(graph, tanh(graph, layer('fc_scl')), SCALE_LIMIT, 1),
    multiply(graph, layer('fc_trans'), graph.constant(half, [batch, 3])),
    scale(graph, tanh(graph, layer('fc_shear')), SHEAR_LIMIT),
  );
}

export interface Matching {
  /** (N, 3, 4), acting on (x, y, z) about the centre; the identity without the affine head. */
  readonly affine: Node;
  /** Displacement of the affine alone (N, 3, D, H, W); undefined without the affine head. */
  readonly affineField: Node | undefined;
  /** The deformable head's flow (N, 3, D, H, W), voxels. */
  readonly flow: Node;
  /** psi_AB (N, 3, D, H, W): the fused field, voxels. */
  readonly displacement: Node;
}

/** Z-matching: lays A onto B. Features of A and B at `size` (D, H, W). */
export function matchingHead(graph: Graph, parameters: ParameterNodes, a: Features, b: Features, withAffine: boolean): Matching {
  const [, , depth, height, width] = b.local.shape;
  const size: Size = [depth, height, width];
  const batch = b.local.shape[0];
  const identity = Array.from({ length: 12 * batch }, (_, i) => (i % 12 === 0 || i % 12 === 5 || i % 12 === 10 ? 1 : 0));
  const affine = withAffine ? affineHead(graph, parameters, a.global, b.global, size) : graph.constant(identity, [batch, 3, 4]);
  const affineField = withAffine ? affineDisplacement(graph, affine, size) : undefined;
  const aligned = affineField ? warp(graph, a.local, affineField) : a.local;
  const hidden = doubleConvolution(graph, parameters, 'sp_conv', concat(graph, 1, aligned, b.local));
  const flow = conv3d(graph, hidden, parameters('out_flow.weight'), parameters('out_flow.bias'));
  return { affine, affineField, flow, displacement: withAffine ? affineDisplacement(graph, affine, size, flow) : flow };
}

/** Restoration: the local feature of the damaged A (N, C, D, H, W) to the image (N, channels, D, H, W). */
export function restorationHead(graph: Graph, parameters: ParameterNodes, local: Node): Node {
  const hidden = groupNorm(
    graph,
    conv3d(graph, local, parameters('res_conv.0.weight'), parameters('res_conv.0.bias')),
    parameters('res_conv.1.weight'),
    parameters('res_conv.1.bias'),
    { groups: RESTORATION_GROUPS, eps: GROUP_NORM_EPS, slope: LEAKY_SLOPE },
  );
  return conv3d(graph, hidden, parameters('res_conv.3.weight'), parameters('res_conv.3.bias'));
}

/** Segmentation: the local feature (N, C, D, H, W) to a logit for each class (N, classes, D, H, W) (docs/transfer.md). */
export const segmentationHead = (graph: Graph, parameters: ParameterNodes, local: Node): Node =>
  conv3d(graph, local, parameters('out_conv.weight'), parameters('out_conv.bias'));

/** x (K, ...) to (K - 1, ...): all but the first, less the first. */
function lessFirst(graph: Graph, x: Node): Node {
  const others = x.shape[0] - 1;
  const first = scale(graph, slice(graph, x, 0, 0, 1), -1);
  const repeated = concat(graph, 0, ...Array.from({ length: others }, () => first));
  return add(graph, slice(graph, x, 0, 1, others), repeated);
}

/**
 * Multi-level segmentation: a linear function of a voxel's image values (3x3x3) and of its features on every level, brought to full size, as a logit
 * for each class (N, classes, D, H, W), in sizes of a multiple of 16. Each level's convolution runs at its own size, and its logits are brought to
 * the next finer one: both are linear, so that is the same function.
 */
export function multiLevelHead(graph: Graph, parameters: ParameterNodes, { image, features }: Levels): Node {
  const logitsOf = (name: LevelName): Node => conv3d(graph, features[name], parameters(`out_levels.${name}.weight`));
  const [{ name: coarsest, halvings }, ...finer] = LEVELS;
  let [sum, size] = [logitsOf(coarsest), halvings as number];
  for (const { name, halvings: at } of finer) {
    if (at < size) sum = upsample(graph, sum);
    size = at;
    sum = add(graph, sum, logitsOf(name));
  }
  const ofImage = conv3d(graph, image, parameters('out_levels.image.weight'), parameters('out_levels.image.bias'));
  return add(graph, sum, ofImage);
}

/** The logits of an architecture's segmentation head, of either kind, on an image (N, channels, D, H, W), any size. */
export const segmentationLogits = (graph: Graph, parameters: ParameterNodes, { heads }: Architecture, image: Node): Node =>
  heads.multiLevel
    ? cropTo(graph, multiLevelHead(graph, parameters, unetLevels(graph, parameters, image)), image)
    : segmentationHead(graph, parameters, unet(graph, parameters, image).local);

/**
 * The probabilities of the classes (N, classes, D, H, W) by a trained segmentation head of either kind, on an image (N, channels, D, H, W), any size. Of a
 * head that reads the local feature they follow from the logits' differences to the first class's, which a convolution with the weights' differences gives:
 * with a channel less. Worth it where that saves a block of eight channels, or leaves so few that they are not computed in blocks.
 */
export function segmentationProbabilities(
  graph: Graph,
  parameters: ParameterNodes,
  architecture: Architecture,
  image: Node,
): Node {
  const { multiLevel, segmentation: classes = 0 } = architecture.heads;
  if (multiLevel || (classes > 4 && classes % 8 !== 1))
    return probabilities(graph, segmentationLogits(graph, parameters, architecture, image), { relative: false });
  const [weight, bias] = [parameters('out_conv.weight'), parameters('out_conv.bias')];
  const { local } = unet(graph, parameters, image);
  return probabilities(graph, conv3d(graph, local, lessFirst(graph, weight), lessFirst(graph, bias)), { relative: true });
}

/** Linear, layer norm, ReLU, linear. x (N, C). */
function perceptron(graph: Graph, parameters: ParameterNodes, name: string, x: Node): Node {
  const layer = (at: number, input: Node): Node =>
    linear(graph, input, parameters(`${name}.${at}.weight`), parameters(`${name}.${at}.bias`));
  const hidden = layerNorm(graph, layer(0, x), parameters(`${name}.1.weight`), parameters(`${name}.1.bias`));
  return layer(3, relu(graph, hidden));
}

/** The projector: f^g averaged, (N, C), to what views are compared by, (N, outputs). */
export function projector(graph: Graph, parameters: ParameterNodes, pooled: Node, { kind }: Projection): Node {
  if (kind === 'byol') return perceptron(graph, parameters, 'projector', pooled);
  if (kind === 'simsiam') return layerNorm(graph, perceptron(graph, parameters, 'projector', pooled));
  const layer = (at: number, x: Node): Node =>
    linear(graph, x, parameters(`projector.${at}.weight`), parameters(`projector.${at}.bias`));
  return layer(2, relu(graph, layer(0, pooled)));
}

/** The predictor of SimSiam and BYOL: from one view's projection to what the other's should be, (N, outputs) both. */
export const predictor = (graph: Graph, parameters: ParameterNodes, projected: Node): Node =>
  perceptron(graph, parameters, 'predictor', projected);

/** Classification: the global feature (N, C, d, h, w) to logits (N, outputs) (docs/transfer.md). */
export const classificationHead = (graph: Graph, parameters: ParameterNodes, global: Node): Node =>
  linear(graph, globalAverage(graph, global), parameters('fc.weight'), parameters('fc.bias'));
