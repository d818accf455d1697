/** How every operation is lowered on the CPU. */
import type { AttributesOf, OperationName } from '../../ops/registry.ts';
import { conv3d, conv3dInputGradient, conv3dWeightGradient } from '../../ops/conv3d/cpu.ts';
import { groupNorm, groupNormInputGradient, groupNormSums, groupStatistics, sumPick } from '../../ops/group-norm/cpu.ts';
import type { CpuKernel } from './lowering.ts';

export const CPU_KERNELS: { readonly [Name in OperationName]?: CpuKernel<AttributesOf<Name>> } = {
  conv3d,
  conv3dInputGradient,
  conv3dWeightGradient,
  groupNorm,
  groupNormInputGradient,
  groupNormSums,
  groupStatistics,
  sumPick,
};
