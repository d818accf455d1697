/** The effects, as the formulas in adam.ts say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { AdamAttributes } from './adam.ts';

export const accumulate: ReferenceKernel<{ readonly scale: number }> = ({ inputs: [target, values], attributes: { scale } }) => {
  for (let i = 0; i < target.length; i++) target[i] += scale * values[i];
};

export const movingAverage: ReferenceKernel<undefined> = ({ inputs: [target, source, [tau]] }) => {
  for (let i = 0; i < target.length; i++) target[i] = tau * target[i] + (1 - tau) * source[i];
};

export const adam: ReferenceKernel<AdamAttributes> = ({ inputs, attributes: { beta1, beta2, eps, decays } }) => {
  const [parameters, first, second, gradients, [rate, correction, kept, scale]] = inputs;
  const keep = decays ? kept : 1;
  for (let i = 0; i < parameters.length; i++) {
    const gradient = scale * gradients[i];
    first[i] = beta1 * first[i] + (1 - beta1) * gradient;
    second[i] = beta2 * second[i] + (1 - beta2) * gradient * gradient;
    parameters[i] = keep * parameters[i] - (rate * first[i]) / (Math.sqrt(second[i]) / correction + eps);
    gradients[i] = 0;
  }
};
