/** Soft Dice on the CPU, in whatever layouts its tensors have. */
import { alwaysPlain, type CpuKernel, type CpuTensor, type Emitter, type Place } from '../../backends/cpu/lowering.ts';

/** Emits 2 I + 1 and P + G + 1 of every class of every sample, and gives their address. */
function classSums(probabilities: CpuTensor, truth: CpuTensor, emitter: Emitter): { sums: Place; count: number } {
  const [batch, classes, depth] = truth.shape;
  const count = batch * classes;
  const partial = emitter.scratch(16 * count * depth);
  const sums = emitter.scratch(16 * count);
  emitter.emit('dicePlaneSums', { probabilities, truth, partial });
  emitter.emit('diceSums', { partial, count, planes: depth, sums });
  return { sums, count };
}

export const dice: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [probabilities, truth], out }, emitter) => {
    const { sums, count } = classSums(probabilities, truth, emitter);
    emitter.emitWhole('dice', { sums, count, out: out.data });
  },
};

export const diceGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [probabilities, truth, dOut], out }, emitter) => {
    const { sums } = classSums(probabilities, truth, emitter);
    emitter.emit('diceGradient', { probabilities, truth, sums, dOut: dOut.data, out });
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};
