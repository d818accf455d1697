/** Matrix products on the CPU. All plain. */
import { alwaysPlain, type CpuKernel } from '../../backends/cpu/lowering.ts';
import type { MatmulAttributes } from './matmul.ts';

export const matmul: CpuKernel<MatmulAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [a, b], out, attributes: { transposed } }, emitter) => {
    if (transposed === 'b') emitter.emit('matmulTransposedB', { a, b, bias: undefined, out });
    else emitter.emit(transposed === 'a' ? 'matmulTransposedA' : 'matmul', { a, b, out });
  },
};
