/**
 * Every operation there is, by name. A backend's kernels are a table over these names, so the compiler refuses a backend that
 * lacks one. Nothing else lists operations.
 */
import { constant, input, type Operation, state } from '../graph.ts';
import { accumulation, adamOperation } from './adam/adam.ts';
import {
  affineDisplacementFlowGradient,
  affineDisplacementMatrixGradient,
  affineDisplacementOperation,
  affineMatrixGradient,
  affineMatrixOperation,
} from './affine/affine.ts';
import { concatenation, slicing } from './concat/concat.ts';
import { convolution, convolutionInputGradient, convolutionWeightGradient } from './conv3d/conv3d.ts';
import {
  binaryCrossEntropyGradient,
  binaryCrossEntropyOperation,
  crossEntropyGradient,
  crossEntropyOperation,
} from './cross-entropy/cross-entropy.ts';
import { diceGradient, diceOperation } from './dice/dice.ts';
import { addition, multiplication, scalarProduct, scaling, unaryGradient, unaryOperation } from './elementwise/elementwise.ts';
import { groupNormalization, groupNormInputGradient, groupNormSums, groupStatistics, sumPick } from './group-norm/group-norm.ts';
import { batchSum, linearInputGradient, linearOperation, linearWeightGradient } from './linear/linear.ts';
import { mseGradient, mseOperation } from './mse/mse.ts';
import { nccGradient, nccOperation } from './ncc/ncc.ts';
import { maxPoolGradient, maxPoolOperation } from './pool/pool.ts';
import {
  channelSumOperation,
  fill,
  globalAverageOperation,
  meanOperation,
  spatialBroadcast,
  sumOfSquaresOperation,
} from './reduce/reduce.ts';
import { upsampleGradient, upsampleOperation } from './resize/resize.ts';
import { cropping, padding, viewing } from './shape/shape.ts';
import { smoothnessGradient, smoothnessOperation } from './smoothness/smoothness.ts';
import { softmaxGradient, softmaxOperation } from './softmax/softmax.ts';
import { insideMaskOperation, warpDisplacementGradient, warpImageGradient, warpOperation } from './warp/warp.ts';

/** Needs no kernel: given, kept or seen. */
export const SOURCES = { input, state, constant, view: viewing };

/** Needs a kernel in every backend. */
export const OPERATIONS = {
  accumulate: accumulation,
  adam: adamOperation,
  add: addition,
  affineDisplacement: affineDisplacementOperation,
  affineDisplacementFlowGradient,
  affineDisplacementMatrixGradient,
  affineMatrix: affineMatrixOperation,
  affineMatrixGradient,
  batchSum,
  binaryCrossEntropy: binaryCrossEntropyOperation,
  binaryCrossEntropyGradient,
  channelSum: channelSumOperation,
  concat: concatenation,
  conv3d: convolution,
  conv3dInputGradient: convolutionInputGradient,
  conv3dWeightGradient: convolutionWeightGradient,
  crop: cropping,
  crossEntropy: crossEntropyOperation,
  crossEntropyGradient,
  dice: diceOperation,
  diceGradient,
  fill,
  globalAverage: globalAverageOperation,
  groupNorm: groupNormalization,
  groupNormInputGradient,
  groupNormSums,
  groupStatistics,
  insideMask: insideMaskOperation,
  linear: linearOperation,
  linearInputGradient,
  linearWeightGradient,
  maxPool: maxPoolOperation,
  maxPoolGradient,
  mean: meanOperation,
  mse: mseOperation,
  mseGradient,
  multiply: multiplication,
  multiplyByScalar: scalarProduct,
  ncc: nccOperation,
  nccGradient,
  pad: padding,
  scale: scaling,
  slice: slicing,
  smoothness: smoothnessOperation,
  smoothnessGradient,
  softmax: softmaxOperation,
  softmaxGradient,
  spatialBroadcast,
  sumOfSquares: sumOfSquaresOperation,
  sumPick,
  unary: unaryOperation,
  unaryGradient,
  upsample: upsampleOperation,
  upsampleGradient,
  warp: warpOperation,
  warpDisplacementGradient,
  warpImageGradient,
};

export type OperationName = keyof typeof OPERATIONS;

/** The attributes that an operation's kernel gets. */
export type AttributesOf<Name extends OperationName> =
  (typeof OPERATIONS)[Name] extends Operation<infer Attributes> ? Attributes : never;
