/** The plain kernel of every operation: the compiler refuses a missing one. */

import { accumulate, adam } from '../../ops/adam/reference.ts';
import {
  affineDisplacement,
  affineDisplacementFlowGradient,
  affineDisplacementMatrixGradient,
  affineMatrix,
  affineMatrixGradient,
} from '../../ops/affine/reference.ts';
import { concat, slice } from '../../ops/concat/reference.ts';
import { conv3d, conv3dInputGradient, conv3dWeightGradient } from '../../ops/conv3d/reference.ts';
import {
  binaryCrossEntropy,
  binaryCrossEntropyGradient,
  crossEntropy,
  crossEntropyGradient,
} from '../../ops/cross-entropy/reference.ts';
import { dice, diceGradient } from '../../ops/dice/reference.ts';
import { add, multiply, multiplyByScalar, scale, unary, unaryGradient } from '../../ops/elementwise/reference.ts';
import { groupNorm, groupNormInputGradient, groupNormSums, groupStatistics, sumPick } from '../../ops/group-norm/reference.ts';
import { batchSum, linear, linearInputGradient, linearWeightGradient } from '../../ops/linear/reference.ts';
import { mse, mseGradient } from '../../ops/mse/reference.ts';
import { ncc, nccGradient } from '../../ops/ncc/reference.ts';
import { maxPool, maxPoolGradient } from '../../ops/pool/reference.ts';
import { channelSum, fill, globalAverage, mean, spatialBroadcast, sumOfSquares } from '../../ops/reduce/reference.ts';
import type { AttributesOf, OperationName } from '../../ops/registry.ts';
import { upsample, upsampleGradient } from '../../ops/resize/reference.ts';
import { crop, pad } from '../../ops/shape/reference.ts';
import { smoothness, smoothnessGradient } from '../../ops/smoothness/reference.ts';
import { softmax, softmaxGradient } from '../../ops/softmax/reference.ts';
import { insideMask, warp, warpDisplacementGradient, warpImageGradient } from '../../ops/warp/reference.ts';
import type { ReferenceKernel } from './kernel.ts';

export const REFERENCE_KERNELS: { readonly [Name in OperationName]: ReferenceKernel<AttributesOf<Name>> } = {
  accumulate,
  adam,
  add,
  affineDisplacement,
  affineDisplacementFlowGradient,
  affineDisplacementMatrixGradient,
  affineMatrix,
  affineMatrixGradient,
  batchSum,
  binaryCrossEntropy,
  binaryCrossEntropyGradient,
  channelSum,
  concat,
  conv3d,
  conv3dInputGradient,
  conv3dWeightGradient,
  crop,
  crossEntropy,
  crossEntropyGradient,
  dice,
  diceGradient,
  fill,
  globalAverage,
  groupNorm,
  groupNormInputGradient,
  groupNormSums,
  groupStatistics,
  insideMask,
  linear,
  linearInputGradient,
  linearWeightGradient,
  maxPool,
  maxPoolGradient,
  mean,
  mse,
  mseGradient,
  multiply,
  multiplyByScalar,
  ncc,
  nccGradient,
  pad,
  scale,
  slice,
  smoothness,
  smoothnessGradient,
  softmax,
  softmaxGradient,
  spatialBroadcast,
  sumOfSquares,
  sumPick,
  unary,
  unaryGradient,
  upsample,
  upsampleGradient,
  warp,
  warpDisplacementGradient,
  warpImageGradient,
};
