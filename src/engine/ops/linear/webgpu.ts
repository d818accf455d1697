/** The linear layer in WGSL: small matrices, one sum a thread. */
import { flat, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';

export const linear: WebGpuKernel<undefined> = ({ inputs: [x, weight, bias], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'linear',
    tensors: { x: x, weight: weight, bias: bias, out },
    uints: { inputs: x.shape[1], outputs: out.shape[1] },
    code: `
  let o = i % u.outputs;
  let n = i / u.outputs;
  var sum = 0.0;
  for (var k = 0u; k < u.inputs; k++) { sum += x(n * u.inputs + k) * weight(o * u.inputs + k); }
  set_out(i, sum + bias(o));`,
  });
