/** Softmax on the CPU, in whatever layouts its tensors have. */
import { type CpuKernel, needRowTables } from '../../backends/cpu/lowering.ts';

export const softmax: CpuKernel<undefined> = {
  lower: ({ inputs: [x], out }, emitter) => {
    needRowTables(out, emitter);
    emitter.emit('softmax', { x, out });
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};

export const softmaxGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [y, dOut], out }, emitter) => {
    needRowTables(out, emitter);
    emitter.emit('softmaxGradient', { y, dy: dOut, out });
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};
