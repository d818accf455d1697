/** Mean squared error on the CPU. */
import { alwaysPlain, type CpuKernel, chunkCount, emitSum, inLayoutOf } from '../../backends/cpu/lowering.ts';
import { elementCount } from '../../graph.ts';

export const mse: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [a, other], out }, emitter) => {
    const b = inLayoutOf(a, other, emitter);
    emitSum(emitter, chunkCount(a), out, elementCount(a.shape), (partial) => emitter.emit('mse', { a, b, partial }));
  },
};

export const mseGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [left, right, dOut], out }, emitter) => {
    const [a, b] = [left, right].map((each) => inLayoutOf(out, each, emitter));
    emitter.emit('mseGradient', { a, b, dOut: dOut.data, out, elements: elementCount(out.shape) });
  },
};
