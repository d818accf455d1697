/** The effects in WGSL. */
import { flat, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';
import type { AdamAttributes } from './adam.ts';

export const accumulate: WebGpuKernel<{ readonly scale: number }> = ({ inputs: [target, values], attributes }, emitter) =>
  flat(emitter, target.elements, {
    name: 'accumulate',
    tensors: { target_: target, values: values },
    floats: { scale: attributes.scale },
    code: 'set_target_(i, target_(i) + u.scale * values(i));',
  });

export const movingAverage: WebGpuKernel<undefined> = ({ inputs: [target, source, tau] }, emitter) =>
  flat(emitter, target.elements, {
    name: 'movingAverage',
    tensors: { target_: target, source, tau },
    code: 'set_target_(i, tau(0u) * target_(i) + (1.0 - tau(0u)) * source(i));',
  });

export const adam: WebGpuKernel<AdamAttributes> = ({ inputs, attributes: { beta1, beta2, eps, decays } }, emitter) => {
  const [parameters, first, second, gradients, step] = inputs as [(typeof inputs)[0], ...(typeof inputs)[0][]];
  flat(emitter, parameters.elements, {
    name: decays ? 'adam' : 'adamWithoutDecay',
    tensors: { parameters, first: first, second: second, gradients: gradients, rates: step },
    // 1 - beta is rounded from double: in single precision it would lose digits
    floats: { beta1, beta2, rest1: 1 - beta1, rest2: 1 - beta2, eps },
    code: `
  let g = rates(3u) * gradients(i);
  let m = u.beta1 * first(i) + u.rest1 * g;
  let v = u.beta2 * second(i) + u.rest2 * g * g;
  set_first(i, m);
  set_second(i, v);
  set_parameters(i, ${decays ? 'rates(2u) * ' : ''}parameters(i) - rates(0u) * m / (sqrt(v) / rates(1u) + u.eps));
  set_gradients(i, 0.0);`,
  });
};
