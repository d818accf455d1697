/** Smoothness on the CPU. A flow has three channels and so is plain; anything else is made so. */
import { alwaysPlain, type CpuKernel, emitSum } from '../../backends/cpu/lowering.ts';

export const smoothness: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [flow], out }, emitter) => {
    const [batch, channels, depth] = flow.shape;
    emitSum(emitter, 'smoothness', [emitter.toPlain(flow)], batch * channels * depth, out, 1);
  },
};

export const smoothnessGradient: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [flow, dOut], out }, emitter) => emitter.emit('smoothnessGradient', emitter.toPlain(flow), dOut.data, out),
};
