/** Mean squared error in WGSL. */
import { flat, sumRows, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';

export const mse: WebGpuKernel<undefined> = ({ inputs: [a, b], out }, emitter) =>
  sumRows(emitter, {
    name: 'mse',
    tensors: { a: a, b: b, out },
    rows: 1,
    length: a.elements,
    term: 'let v = a(j) - b(j); value.x = v * v;',
    finish: 'set_out(0u, total.x / f32(u.length));',
  });

export const mseGradient: WebGpuKernel<undefined> = ({ inputs: [a, b, dOut], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'mseGradient',
    tensors: { a: a, b: b, dOut: dOut, out },
    code: 'set_out(i, 2.0 * dOut(0u) * (a(i) - b(i)) / f32(u.count));',
  });
