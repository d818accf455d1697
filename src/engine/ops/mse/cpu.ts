/** Mean squared error on the CPU. */
import { alwaysPlain, type CpuKernel, chunkCount, emitSum, inLayoutOf } from '../../backends/cpu/lowering.ts';
import { elementCount } from '../../graph.ts';

export const mse: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [a, b], out }, emitter) =>
    emitSum(emitter, 'mse', [a, inLayoutOf(a, b, emitter)], chunkCount(a), out, elementCount(a.shape)),
};

export const mseGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [a, b, dOut], out }, emitter) => {
    const [left, right] = [a, b].map((each) => inLayoutOf(out, each, emitter));
    emitter.emit('mseGradient', left, right, dOut.data, out, elementCount(out.shape));
  },
};
