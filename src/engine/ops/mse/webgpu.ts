/** Mean squared error in WGSL. */
import { flat, sumRows, type WebGpuEmitter, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';

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

/** Every sample's squared error over what its mask counts. */
export const maskedMse: WebGpuKernel<undefined> = ({ inputs: [a, b, mask], out }, emitter) => {
  const batch = a.shape[0];
  const errors = emitter.scratch([batch]);
  sumRows(emitter, {
    name: 'maskedMse',
    tensors: { a, b, mask, errors },
    rows: batch,
    length: a.elements / batch,
    term: 'let at = row * u.length + j; let v = a(at) - b(at); value.x = mask(at) * v * v; value.y = mask(at);',
    finish: 'var error = 0.0; if (total.y > 0.0) { error = total.x / total.y; } set_errors(row, error);',
  });
  flat(emitter, 1, {
    name: 'maskedMse, mean',
    tensors: { errors, out },
    uints: { batch },
    code: `
  var sum = 0.0;
  for (var n = 0u; n < u.batch; n++) { sum += errors(n); }
  set_out(i, sum / f32(u.batch));`,
  });
};

/** The sum of each sample's mask. */
function maskSums(mask: WebGpuTensor, emitter: WebGpuEmitter): WebGpuTensor {
  const batch = mask.shape[0];
  const weights = emitter.scratch([batch]);
  sumRows(emitter, {
    name: 'mask sums',
    tensors: { mask, weights },
    rows: batch,
    length: mask.elements / batch,
    term: 'value.x = mask(row * u.length + j);',
    finish: 'set_weights(row, total.x);',
  });
  return weights;
}

export const maskedMseGradient: WebGpuKernel<undefined> = ({ inputs: [a, b, mask, dOut], out }, emitter) => {
  const batch = out.shape[0];
  flat(emitter, out.elements, {
    name: 'maskedMseGradient',
    tensors: { a, b, mask, weights: maskSums(mask, emitter), dOut, out },
    uints: { batch, size: out.elements / batch },
    code: `
  let weight = weights(i / u.size);
  var slope = 0.0;
  if (weight > 0.0) { slope = 2.0 * dOut(0u) / (f32(u.batch) * weight); }
  set_out(i, slope * mask(i) * (a(i) - b(i)));`,
  });
};
