/** The WGSL of every operation: the compiler refuses a missing one. */

import { accumulate, adam } from '../../ops/adam/webgpu.ts';
import {
  affineDisplacement,
  affineDisplacementFlowGradient,
  affineDisplacementMatrixGradient,
  affineMatrix,
  affineMatrixGradient,
} from '../../ops/affine/webgpu.ts';
import { concat, slice } from '../../ops/concat/webgpu.ts';
import { conv3d, conv3dInputGradient, conv3dWeightGradient } from '../../ops/conv3d/webgpu.ts';
import {
  binaryCrossEntropy,
  binaryCrossEntropyGradient,
  crossEntropy,
  crossEntropyGradient,
} from '../../ops/cross-entropy/webgpu.ts';
import { dice, diceGradient } from '../../ops/dice/webgpu.ts';
import { add, multiply, multiplyByScalar, scale, unary, unaryGradient } from '../../ops/elementwise/webgpu.ts';
import { groupNorm, groupNormInputGradient, groupNormSums, groupStatistics, sumPick } from '../../ops/group-norm/webgpu.ts';
import { batchSum, linear, linearInputGradient, linearWeightGradient } from '../../ops/linear/webgpu.ts';
import { mse, mseGradient } from '../../ops/mse/webgpu.ts';
import { ncc, nccGradient } from '../../ops/ncc/webgpu.ts';
import { maxPool, maxPoolGradient } from '../../ops/pool/webgpu.ts';
import { channelSum, fill, globalAverage, mean, spatialBroadcast, sumOfSquares } from '../../ops/reduce/webgpu.ts';
import type { AttributesOf, OperationName } from '../../ops/registry.ts';
import { upsample, upsampleGradient } from '../../ops/resize/webgpu.ts';
import { crop, pad } from '../../ops/shape/webgpu.ts';
import { smoothness, smoothnessGradient } from '../../ops/smoothness/webgpu.ts';
import { softmax, softmaxGradient } from '../../ops/softmax/webgpu.ts';
import { insideMask, warp, warpDisplacementGradient, warpImageGradient } from '../../ops/warp/webgpu.ts';
import type { WebGpuKernel } from './kernel.ts';

export const WEBGPU_KERNELS: { readonly [Name in OperationName]: WebGpuKernel<AttributesOf<Name>> } = {
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
