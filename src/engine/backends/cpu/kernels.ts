/** How every operation is lowered on the CPU: a folder of ops/ brings its own, and the compiler refuses a missing one. */
import * as optimizer from '../../ops/adam/cpu.ts';
import * as affine from '../../ops/affine/cpu.ts';
import * as joining from '../../ops/concat/cpu.ts';
import * as convolution from '../../ops/conv3d/cpu.ts';
import * as crossEntropy from '../../ops/cross-entropy/cpu.ts';
import * as dice from '../../ops/dice/cpu.ts';
import * as elementwise from '../../ops/elementwise/cpu.ts';
import * as groupNorm from '../../ops/group-norm/cpu.ts';
import * as linear from '../../ops/linear/cpu.ts';
import * as matmul from '../../ops/matmul/cpu.ts';
import * as mse from '../../ops/mse/cpu.ts';
import * as ncc from '../../ops/ncc/cpu.ts';
import * as normalize from '../../ops/normalize/cpu.ts';
import * as pool from '../../ops/pool/cpu.ts';
import * as reduce from '../../ops/reduce/cpu.ts';
import type { AttributesOf, OperationName } from '../../ops/registry.ts';
import * as resize from '../../ops/resize/cpu.ts';
import * as shape from '../../ops/shape/cpu.ts';
import * as smoothness from '../../ops/smoothness/cpu.ts';
import * as softmax from '../../ops/softmax/cpu.ts';
import * as warp from '../../ops/warp/cpu.ts';
import type { CpuKernel } from './lowering.ts';

export const CPU_KERNELS: { readonly [Name in OperationName]: CpuKernel<AttributesOf<Name>> } = {
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
