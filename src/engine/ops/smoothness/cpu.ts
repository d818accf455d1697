/** Smoothness on the CPU. A flow has three channels and so is plain; anything else is made so. */
import { alwaysPlain, type CpuKernel, emitSum } from '../../backends/cpu/lowering.ts';

export const smoothness: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [given], out }, emitter) => {
    const flow = emitter.toPlain(given);
    const [batch, channels, depth] = flow.shape;
    emitSum(emitter, batch * channels * depth, out, 1, (partial) => emitter.emit('smoothness', { flow, partial }));
  },
};

export const smoothnessGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [flow, dOut], out }, emitter) =>
    emitter.emit('smoothnessGradient', { flow: emitter.toPlain(flow), dOut: dOut.data, out }),
};
