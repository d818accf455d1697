/** The WGSL of every operation: a folder of ops/ brings its own, and the compiler refuses a missing one. */
import * as optimizer from '../../ops/adam/webgpu.ts';
import * as affine from '../../ops/affine/webgpu.ts';
import * as joining from '../../ops/concat/webgpu.ts';
import * as convolution from '../../ops/conv3d/webgpu.ts';
import * as crossEntropy from '../../ops/cross-entropy/webgpu.ts';
import * as dice from '../../ops/dice/webgpu.ts';
import * as elementwise from '../../ops/elementwise/webgpu.ts';
import * as groupNorm from '../../ops/group-norm/webgpu.ts';
import * as linear from '../../ops/linear/webgpu.ts';
import * as matmul from '../../ops/matmul/webgpu.ts';
import * as mse from '../../ops/mse/webgpu.ts';
import * as ncc from '../../ops/ncc/webgpu.ts';
import * as normalize from '../../ops/normalize/webgpu.ts';
import * as pool from '../../ops/pool/webgpu.ts';
import * as reduce from '../../ops/reduce/webgpu.ts';
import type { AttributesOf, OperationName } from '../../ops/registry.ts';
import * as resize from '../../ops/resize/webgpu.ts';
import * as shape from '../../ops/shape/webgpu.ts';
import * as smoothness from '../../ops/smoothness/webgpu.ts';
import * as softmax from '../../ops/softmax/webgpu.ts';
import * as warp from '../../ops/warp/webgpu.ts';
import type { WebGpuKernel } from './kernel.ts';

export const WEBGPU_KERNELS: { readonly [Name in OperationName]: WebGpuKernel<AttributesOf<Name>> } = {
  ...optimizer,
  ...affine,
  ...joining,
  ...convolution,
  ...crossEntropy,
  ...dice,
  ...elementwise,
  ...groupNorm,
  ...linear,
  ...matmul,
  ...mse,
  ...ncc,
  ...normalize,
  ...pool,
  ...reduce,
  ...resize,
  ...shape,
  ...smoothness,
  ...softmax,
  ...warp,
};
