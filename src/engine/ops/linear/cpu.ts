/** The linear layer on the CPU. All plain. */
import { alwaysPlain, type CpuKernel, inOnePiece } from '../../backends/cpu/lowering.ts';

export const linear: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x, weight, bias], out }, emitter) =>
    emitter.emit('linear', { x, weight: inOnePiece(weight, emitter).data, bias: bias.data, out }),
};

export const linearInputGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [dOut, weight], out }, emitter) =>
    emitter.emit('linearInputGradient', { dOut, weight: inOnePiece(weight, emitter).data, out }),
};

export const linearWeightGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [dOut, x], out }, emitter) => emitter.emit('linearWeightGradient', { dOut, x, out }),
};

export const batchSum: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out }, emitter) => emitter.emit('batchSum', { x, out: out.data }),
};
