/** The effects on the CPU: states are plain, so values come plain too. */
import type { CpuKernel } from '../../backends/cpu/lowering.ts';
import type { AdamAttributes } from './adam.ts';

export const accumulate: CpuKernel<{ readonly scale: number }> = {
  lower: ({ inputs: [target, values], attributes: { scale } }, emitter) => {
    emitter.emit('accumulate', { target, values: emitter.toPlain(values), scale });
  },
};

export const movingAverage: CpuKernel<undefined> = {
  lower: ({ inputs: [target, source, tau] }, emitter) => {
    emitter.emit('movingAverage', { target, source: emitter.toPlain(source), tau: tau.data });
  },
};

export const adam: CpuKernel<AdamAttributes> = {
  lower: ({ inputs: [parameters, first, second, gradients, step], attributes: { beta1, beta2, eps, decays } }, emitter) => {
    const betas = { beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2 };
    emitter.emit('adam', { parameters, first, second, gradients, step: step.data, ...betas, eps, decays: decays ? 1 : 0 });
  },
};
