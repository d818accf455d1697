/** Softmax on the CPU, in the layout of its result. */
import { type CpuKernel, inLayoutOf } from '../../backends/cpu/lowering.ts';

export const softmax: CpuKernel<undefined> = {
  lower: ({ inputs: [x], out }, emitter) => emitter.emit('softmax', { x: inLayoutOf(out, x, emitter), out }),
};

export const softmaxGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [y, dOut], out }, emitter) =>
    emitter.emit('softmaxGradient', { y: inLayoutOf(out, y, emitter), dy: inLayoutOf(out, dOut, emitter), out }),
};
