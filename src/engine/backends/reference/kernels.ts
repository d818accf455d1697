/** The plain kernel of every operation: a folder of ops/ brings its own, and the compiler refuses a missing one. */
import * as optimizer from '../../ops/adam/reference.ts';
import * as affine from '../../ops/affine/reference.ts';
import * as joining from '../../ops/concat/reference.ts';
import * as convolution from '../../ops/conv3d/reference.ts';
import * as crossEntropy from '../../ops/cross-entropy/reference.ts';
import * as dice from '../../ops/dice/reference.ts';
import * as elementwise from '../../ops/elementwise/reference.ts';
import * as groupNorm from '../../ops/group-norm/reference.ts';
import * as linear from '../../ops/linear/reference.ts';
import * as matmul from '../../ops/matmul/reference.ts';
import * as mse from '../../ops/mse/reference.ts';
import * as ncc from '../../ops/ncc/reference.ts';
import * as normalize from '../../ops/normalize/reference.ts';
import * as pool from '../../ops/pool/reference.ts';
import * as reduce from '../../ops/reduce/reference.ts';
import type { AttributesOf, OperationName } from '../../ops/registry.ts';
import * as resize from '../../ops/resize/reference.ts';
import * as shape from '../../ops/shape/reference.ts';
import * as smoothness from '../../ops/smoothness/reference.ts';
import * as softmax from '../../ops/softmax/reference.ts';
import * as warp from '../../ops/warp/reference.ts';
import type { ReferenceKernel } from './kernel.ts';

export const REFERENCE_KERNELS: { readonly [Name in OperationName]: ReferenceKernel<AttributesOf<Name>> } = {
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
