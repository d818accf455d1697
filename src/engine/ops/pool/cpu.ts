/** Max-pooling on the CPU, in the layout of the tensor that is pooled. */
import type { CpuKernel } from '../../backends/cpu/lowering.ts';

export const maxPool: CpuKernel<undefined> = {
  lower: ({ inputs: [x], out }, emitter) => {
    emitter.emit('maxPool', out.blocked ? emitter.toBlocked(x!) : emitter.toPlain(x!), out);
  },
};

export const maxPoolGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [x, dOut], out }, emitter) => {
    const [values, dy] = [x!, dOut!].map((each) => (out.blocked ? emitter.toBlocked(each) : emitter.toPlain(each)));
    emitter.emit('maxPoolGradient', values!, dy!, out);
  },
};
