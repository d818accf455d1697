/** The linear layer and its adjoints in WGSL: small matrices, one sum a thread. */
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

export const linearInputGradient: WebGpuKernel<undefined> = ({ inputs: [dOut, weight], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'linearInputGradient',
    tensors: { dOut: dOut, weight: weight, out },
    uints: { inputs: out.shape[1], outputs: dOut.shape[1] },
    code: `
  let n = i / u.inputs;
  var sum = 0.0;
  for (var o = 0u; o < u.outputs; o++) { sum += dOut(n * u.outputs + o) * weight(o * u.inputs + i % u.inputs); }
  set_out(i, sum);`,
  });

export const linearWeightGradient: WebGpuKernel<undefined> = ({ inputs: [dOut, x], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'linearWeightGradient',
    tensors: { dOut: dOut, x: x, out },
    uints: { inputs: out.shape[1], outputs: out.shape[0], batch: dOut.shape[0] },
    code: `
  let o = i / u.inputs;
  var sum = 0.0;
  for (var n = 0u; n < u.batch; n++) { sum += dOut(n * u.outputs + o) * x(n * u.inputs + i % u.inputs); }
  set_out(i, sum);`,
  });

export const batchSum: WebGpuKernel<undefined> = ({ inputs: [x], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'batchSum',
    tensors: { x: x, out },
    uints: { batch: x.shape[0] },
    code: `
  var sum = 0.0;
  for (var n = 0u; n < u.batch; n++) { sum += x(n * u.count + i); }
  set_out(i, sum);`,
  });
