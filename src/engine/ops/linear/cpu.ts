/** The linear layer on the CPU: a matrix product. All plain. */
import { alwaysPlain, type CpuKernel } from '../../backends/cpu/lowering.ts';

export const linear: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x, weight, bias], out }, emitter) =>
    emitter.emit('matmulTransposedB', { a: x, b: weight, bias: bias.data, out }),
};
