/**
 * `gvsl/engine`: the tensor engine. A graph of operations with every shape known, differentiation, and three backends that run its programs.
 *
 * Runs anywhere: Node, browsers, workers. Nothing here imports Node or the DOM. What it needs of the machine is given to it: `cpuBackend` takes
 * the compiled kernels (`gvsl/wasm/kernels-portable.wasm`, or `-relaxed.wasm` where `understandsRelaxedSimd()`) and how a thread is started;
 * `webGpuBackend` takes a GPU device (`openDevice`). In Node, `createBackend` of `gvsl` does all that. With more than one thread the CPU backend
 * waits (`Atomics.wait`), which a page's own thread may not: call it in a worker there.
 *
 * @module gvsl/engine
 */

export { type RandomStream, randomStream } from './common/random.ts';
export { differentiate } from './engine/autodiff.ts';
export type { Backend, Session, TensorView } from './engine/backend.ts';
export { type CpuHost, cpuBackend } from './engine/backends/cpu/backend.ts';
export { understandsRelaxedSimd } from './engine/backends/cpu/relaxed-simd.ts';
export { type KernelThread, serveKernels, type ThreadOptions } from './engine/backends/cpu/threads.ts';
export { referenceBackend } from './engine/backends/reference/backend.ts';
export { type WebGpuHost, type WebGpuOptions, webGpuBackend } from './engine/backends/webgpu/backend.ts';
export { openDevice } from './engine/backends/webgpu/device.ts';
export { elementCount, Graph, type Node, type Operation, type Program, type Shape, ShapeError } from './engine/graph.ts';
export { ADAM_DEFAULTS, type AdamAttributes, accumulate, adam, adamStep, movingAverage } from './engine/ops/adam/adam.ts';
export { affineDisplacement, affineMatrix } from './engine/ops/affine/affine.ts';
export { concat, slice } from './engine/ops/concat/concat.ts';
export { conv3d } from './engine/ops/conv3d/conv3d.ts';
export { binaryCrossEntropyLoss, crossEntropyLoss } from './engine/ops/cross-entropy/cross-entropy.ts';
export { diceLoss } from './engine/ops/dice/dice.ts';
export { add, leakyRelu, multiply, multiplyByScalar, relu, scale, sigmoid, tanh } from './engine/ops/elementwise/elementwise.ts';
export { type GroupNormAttributes, groupNorm } from './engine/ops/group-norm/group-norm.ts';
export { linear } from './engine/ops/linear/linear.ts';
export { type MatmulAttributes, matmul } from './engine/ops/matmul/matmul.ts';
export { maskedMseLoss, mseLoss } from './engine/ops/mse/mse.ts';
export { nccLoss } from './engine/ops/ncc/ncc.ts';
export { cosineSimilarity, l2Normalize, layerNorm } from './engine/ops/normalize/normalize.ts';
export { maxPool } from './engine/ops/pool/pool.ts';
export { batchBroadcast, batchSum, channelSum, globalAverage, mean, sumOfSquares } from './engine/ops/reduce/reduce.ts';
export { upsample } from './engine/ops/resize/resize.ts';
export { crop, pad, stopGradient, view } from './engine/ops/shape/shape.ts';
export { smoothnessLoss } from './engine/ops/smoothness/smoothness.ts';
export { softmax } from './engine/ops/softmax/softmax.ts';
export { insideMask, warp } from './engine/ops/warp/warp.ts';
export { recomputeCheap } from './engine/recompute.ts';
export { listen, stoppable, stoppableSession } from './engine/stoppable.ts';
export { verifyProgram } from './engine/verify.ts';
export { normsGraph, STATES, updateGraph } from './model/optimizer.ts';
export {
  initialParameters,
  type Parameter,
  type ParameterDraft,
  type ParameterNodes,
  type ParameterTable,
  parameterNodes,
  type Start,
  tableOf,
  valuesOf,
} from './model/parameters.ts';
