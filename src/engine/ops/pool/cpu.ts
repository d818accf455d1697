/** Max-pooling on the CPU, in the layout of the tensor that is pooled. */
import { type CpuKernel, inLayoutOf } from '../../backends/cpu/lowering.ts';

export const maxPool: CpuKernel<undefined> = {
  lower: ({ inputs: [x], out }, emitter) => {
    emitter.emit('maxPool', { x: inLayoutOf(out, x, emitter), y: out });
  },
};

export const maxPoolGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [x, dOut], out }, emitter) => {
    emitter.emit('maxPoolGradient', { x: inLayoutOf(out, x, emitter), dy: inLayoutOf(out, dOut, emitter), dx: out });
  },
};
