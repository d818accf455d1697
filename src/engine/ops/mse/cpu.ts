/** Mean squared error on the CPU. */
import {
  alwaysPlain,
  type CpuKernel,
  type CpuTensor,
  chunkCount,
  type Emitter,
  emitSum,
  inLayoutOf,
  type Place,
} from '../../backends/cpu/lowering.ts';
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

/** Emits the sum of each chunk of the mask. */
function maskSums(mask: CpuTensor, emitter: Emitter): Place {
  const partial = emitter.scratch(8 * chunkCount(mask));
  emitter.emit('elementSums', { x: mask, partial });
  return partial;
}

export const maskedMse: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [a, ...others], out }, emitter) => {
    const [b, mask] = others.map((each) => inLayoutOf(a, each, emitter));
    const [weights, squares] = [maskSums(mask, emitter), emitter.scratch(8 * chunkCount(a))];
    emitter.emit('maskedSquares', { a, b, mask, partial: squares });
    emitter.emitWhole('maskedMse', { x: a, squares, weights, out: out.data });
  },
};

export const maskedMseGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [...tensors], out }, emitter) => {
    const dOut = tensors.pop()!;
    const [a, b, mask] = tensors.map((each) => inLayoutOf(out, each, emitter));
    emitter.emit('maskedMseGradient', { a, b, mask, weights: maskSums(mask, emitter), dOut: dOut.data, out });
  },
};
