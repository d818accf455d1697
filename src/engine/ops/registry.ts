/**
 * Every operation there is, by name. A backend's kernels are a table over these names, so the compiler refuses a backend that
 * lacks one. Nothing else lists operations.
 */
import { constantOp, inputOp, type Operation, stateOp } from '../graph.ts';
import { accumulateOp, adamOp, movingAverageOp } from './adam/adam.ts';
import {
  affineDisplacementFlowGradientOp,
  affineDisplacementMatrixGradientOp,
  affineDisplacementOp,
  affineMatrixGradientOp,
  affineMatrixOp,
} from './affine/affine.ts';
import { concatOp, sliceOp } from './concat/concat.ts';
import { conv3dInputGradientOp, conv3dOp, conv3dWeightGradientOp } from './conv3d/conv3d.ts';
import {
  binaryCrossEntropyGradientOp,
  binaryCrossEntropyOp,
  crossEntropyGradientOp,
  crossEntropyOp,
} from './cross-entropy/cross-entropy.ts';
import { diceGradientOp, diceOp } from './dice/dice.ts';
import { addOp, multiplyByScalarOp, multiplyOp, scaleOp, unaryGradientOp, unaryOp } from './elementwise/elementwise.ts';
import { groupNormInputGradientOp, groupNormOp, groupNormSumsOp, groupStatisticsOp, sumPickOp } from './group-norm/group-norm.ts';
import { linearOp } from './linear/linear.ts';
import { matmulOp } from './matmul/matmul.ts';
import { maskedMseGradientOp, maskedMseOp, mseGradientOp, mseOp } from './mse/mse.ts';
import { nccGradientOp, nccOp } from './ncc/ncc.ts';
import { normalizeGradientOp, normalizeOp } from './normalize/normalize.ts';
import { maxPoolGradientOp, maxPoolOp } from './pool/pool.ts';
import {
  batchBroadcastOp,
  batchSumOp,
  channelSumOp,
  fillOp,
  globalAverageOp,
  meanOp,
  spatialBroadcastOp,
  sumOfSquaresOp,
} from './reduce/reduce.ts';
import { upsampleGradientOp, upsampleOp } from './resize/resize.ts';
import { cropOp, padOp, stopGradientOp, viewOp } from './shape/shape.ts';
import { smoothnessGradientOp, smoothnessOp } from './smoothness/smoothness.ts';
import { probabilitiesOp, softmaxGradientOp, softmaxOp } from './softmax/softmax.ts';
import { insideMaskOp, warpDisplacementGradientOp, warpImageGradientOp, warpOp } from './warp/warp.ts';

/** Needs no kernel: given, kept or seen. */
export const SOURCES = { input: inputOp, state: stateOp, constant: constantOp, view: viewOp, stopGradient: stopGradientOp };

/** Needs a kernel in every backend. */
export const OPERATIONS = {
  accumulate: accumulateOp,
  adam: adamOp,
  add: addOp,
  affineDisplacement: affineDisplacementOp,
  affineDisplacementFlowGradient: affineDisplacementFlowGradientOp,
  affineDisplacementMatrixGradient: affineDisplacementMatrixGradientOp,
  affineMatrix: affineMatrixOp,
  affineMatrixGradient: affineMatrixGradientOp,
  batchBroadcast: batchBroadcastOp,
  batchSum: batchSumOp,
  binaryCrossEntropy: binaryCrossEntropyOp,
  binaryCrossEntropyGradient: binaryCrossEntropyGradientOp,
  channelSum: channelSumOp,
  concat: concatOp,
  conv3d: conv3dOp,
  conv3dInputGradient: conv3dInputGradientOp,
  conv3dWeightGradient: conv3dWeightGradientOp,
  crop: cropOp,
  crossEntropy: crossEntropyOp,
  crossEntropyGradient: crossEntropyGradientOp,
  dice: diceOp,
  diceGradient: diceGradientOp,
  fill: fillOp,
  globalAverage: globalAverageOp,
  groupNorm: groupNormOp,
  groupNormInputGradient: groupNormInputGradientOp,
  groupNormSums: groupNormSumsOp,
  groupStatistics: groupStatisticsOp,
  insideMask: insideMaskOp,
  linear: linearOp,
  maskedMse: maskedMseOp,
  maskedMseGradient: maskedMseGradientOp,
  matmul: matmulOp,
  maxPool: maxPoolOp,
  maxPoolGradient: maxPoolGradientOp,
  mean: meanOp,
  movingAverage: movingAverageOp,
  mse: mseOp,
  mseGradient: mseGradientOp,
  multiply: multiplyOp,
  multiplyByScalar: multiplyByScalarOp,
  ncc: nccOp,
  nccGradient: nccGradientOp,
  normalize: normalizeOp,
  normalizeGradient: normalizeGradientOp,
  pad: padOp,
  probabilities: probabilitiesOp,
  scale: scaleOp,
  slice: sliceOp,
  smoothness: smoothnessOp,
  smoothnessGradient: smoothnessGradientOp,
  softmax: softmaxOp,
  softmaxGradient: softmaxGradientOp,
  spatialBroadcast: spatialBroadcastOp,
  sumOfSquares: sumOfSquaresOp,
  sumPick: sumPickOp,
  unary: unaryOp,
  unaryGradient: unaryGradientOp,
  upsample: upsampleOp,
  upsampleGradient: upsampleGradientOp,
  warp: warpOp,
  warpDisplacementGradient: warpDisplacementGradientOp,
  warpImageGradient: warpImageGradientOp,
};

export type OperationName = keyof typeof OPERATIONS;

/** The attributes that an operation's kernel gets. */
export type AttributesOf<Name extends OperationName> =
  (typeof OPERATIONS)[Name] extends Operation<infer Attributes> ? Attributes : never;
