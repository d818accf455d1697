/** How every operation is lowered on the CPU. */

import { accumulate, adam } from '../../ops/adam/cpu.ts';
import {
  affineDisplacement,
  affineDisplacementFlowGradient,
  affineDisplacementMatrixGradient,
  affineMatrix,
  affineMatrixGradient,
} from '../../ops/affine/cpu.ts';
import { concat, slice } from '../../ops/concat/cpu.ts';
import { conv3d, conv3dInputGradient, conv3dWeightGradient } from '../../ops/conv3d/cpu.ts';
import {
  binaryCrossEntropy,
  binaryCrossEntropyGradient,
  crossEntropy,
  crossEntropyGradient,
} from '../../ops/cross-entropy/cpu.ts';
import { dice, diceGradient } from '../../ops/dice/cpu.ts';
import { add, multiply, multiplyByScalar, scale, unary, unaryGradient } from '../../ops/elementwise/cpu.ts';
import { groupNorm, groupNormInputGradient, groupNormSums, groupStatistics, sumPick } from '../../ops/group-norm/cpu.ts';
import { batchSum, linear, linearInputGradient, linearWeightGradient } from '../../ops/linear/cpu.ts';
import { mse, mseGradient } from '../../ops/mse/cpu.ts';
import { ncc, nccGradient } from '../../ops/ncc/cpu.ts';
import { maxPool, maxPoolGradient } from '../../ops/pool/cpu.ts';
import { channelSum, fill, globalAverage, mean, spatialBroadcast, sumOfSquares } from '../../ops/reduce/cpu.ts';
import type { AttributesOf, OperationName } from '../../ops/registry.ts';
import { upsample, upsampleGradient } from '../../ops/resize/cpu.ts';
import { crop, pad } from '../../ops/shape/cpu.ts';
import { smoothness, smoothnessGradient } from '../../ops/smoothness/cpu.ts';
import { softmax, softmaxGradient } from '../../ops/softmax/cpu.ts';
import { insideMask, warp, warpDisplacementGradient, warpImageGradient } from '../../ops/warp/cpu.ts';
import type { CpuKernel } from './lowering.ts';

export const CPU_KERNELS: { readonly [Name in OperationName]: CpuKernel<AttributesOf<Name>> } = {
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
