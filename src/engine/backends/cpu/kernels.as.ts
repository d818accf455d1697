/** The module: the scheduler, and every kernel by its name. */
export { run, serve } from "./scheduler.as";
export { finishSum } from "./flat.as";
export { clearHalo, clearPadding, copyBox, copySamples, toBlocked, toPlain, zero } from "./layout.as";
export { multiplyAdds } from "./peak.as";
export { accumulate, adam, movingAverage } from "../../ops/adam/adam.as";
export {
  affineDisplacement,
  affineDisplacementFlowGradient,
  affineDisplacementMatrixGradient,
  affineDisplacementMatrixSums,
  affineMatrix,
  affineMatrixGradient,
} from "../../ops/affine/affine.as";
export { conv3d, conv3dWeightGradient, packWeights, unpackWeightGradient } from "../../ops/conv3d/conv3d.as";
export { collectSmallWeights, conv3dSmallInput, conv3dSmallWeights, conv3dSmallOutput, packSmallInput, packSmallOutput, padSmall } from "../../ops/conv3d/small-channels.as";
export {
  padBias,
  winograd,
  winogradCollectWeights,
  winogradFew,
  winogradFewWeightGradient,
  winogradTiles,
  winogradWeightGradient,
  winogradWeights,
} from "../../ops/conv3d/winograd.as";
export { binaryCrossEntropy, binaryCrossEntropyGradient, crossEntropy, crossEntropyGradient } from "../../ops/cross-entropy/cross-entropy.as";
export { dice, diceGradient, dicePlaneSums, diceSums } from "../../ops/dice/dice.as";
export { add, leakyRelu, leakyReluGradient, multiply, multiplyByScalar, scale, unary, unaryGradient } from "../../ops/elementwise/elementwise.as";
export {
  collectChannelSums,
  groupNorm,
  groupNormInputGradient,
  groupNormSums,
  groupStatistics,
  groupSums,
  sumPick,
} from "../../ops/group-norm/group-norm.as";
export { matmul, matmulTransposedA, matmulTransposedB } from "../../ops/matmul/matmul.as";
export { maskedMse, maskedMseGradient, maskedSquares, mse, mseGradient } from "../../ops/mse/mse.as";
export { nccCount, nccGradient, nccLoss, nccWindows } from "../../ops/ncc/ncc.as";
export { normalize, normalizeGradient } from "../../ops/normalize/normalize.as";
export { maxPool, maxPoolGradient } from "../../ops/pool/pool.as";
export { batchBroadcast, batchSum, channelSum, elementSums, fill, globalAverage, planeSums, spatialBroadcast, squareSums } from "../../ops/reduce/reduce.as";
export { upsample, upsampleGradient } from "../../ops/resize/resize.as";
export { smoothness, smoothnessGradient } from "../../ops/smoothness/smoothness.as";
export { softmax, softmaxGradient } from "../../ops/softmax/softmax.as";
export { insideMask, warp, warpDisplacementGradient, warpImageGradient } from "../../ops/warp/warp.as";

/** Says which build of the program these kernels belong to: see kernel-interface.ts. */
export function kernelInterface(): i32 {
  return INTERFACE;
}
