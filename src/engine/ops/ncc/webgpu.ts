/**
 * Local NCC in WGSL, as the formulas in ncc.ts say. Window sums run axis by axis over all fields at once and are added up anew for every
 * voxel: a running sum would carry the rounding error of a bright region into a dark one.
 */
import { flat, sumRows, type WebGpuEmitter, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';
import { EPSILON, VARIANCE_FLOOR } from './constants.ts';
import type { NccAttributes } from './ncc.ts';

/** Sums of the window's neighbourhood of each voxel of the fields (F, N, D, H, W), zeros outside; may return its input's memory. */
function boxSums(emitter: WebGpuEmitter, fields: WebGpuTensor, other: WebGpuTensor, window: number): WebGpuTensor {
  const [d, h, w] = fields.shape.slice(2) as [number, number, number];
  let [from, to] = [fields, other];
  for (const [length, stride] of [
    [w, 1],
    [h, w],
    [d, h * w],
  ] as const) {
    flat(emitter, fields.elements, {
      name: 'box sums',
      tensors: { from_: from, to_: to },
      uints: { length, stride, half: (window - 1) / 2 },
      code: `
  let place = i / u.stride % u.length;
  let first = max(place, u.half) - u.half;
  let last = min(place + u.half, u.length - 1u);
  var sum = 0.0;
  for (var k = first; k <= last; k++) { sum += from_(i - place * u.stride + k * u.stride); }
  set_to_(i, sum);`,
    });
    [from, to] = [to, from];
  }
  return from;
}

/** Sums of a, b, a^2, b^2, a b and the mask over each window, as one tensor (6, N, D, H, W); without a mask the last is not computed. */
function windowSums(
  emitter: WebGpuEmitter,
  a: WebGpuTensor,
  b: WebGpuTensor,
  mask: WebGpuTensor | undefined,
  window: number,
): { sums: WebGpuTensor; spare: WebGpuTensor } {
  const [batch, , ...size] = a.shape;
  const shape = [mask ? 6 : 5, batch, ...size];
  const [fields, other] = [emitter.scratch(shape), emitter.scratch(shape)];
  flat(emitter, a.elements, {
    name: 'ncc products',
    tensors: { a, b, ...(mask ? { mask } : {}), fields },
    code: `
  let m = ${mask ? 'mask(i)' : '1.0'};
  let p = a(i);
  let q = b(i);
  set_fields(i, m * p);
  set_fields(u.count + i, m * q);
  set_fields(2u * u.count + i, m * p * p);
  set_fields(3u * u.count + i, m * q * q);
  set_fields(4u * u.count + i, m * p * q);
  ${mask ? 'set_fields(5u * u.count + i, m);' : ''}`,
  });
  const sums = boxSums(emitter, fields, other, window);
  return { sums, spare: sums === fields ? other : fields };
}

/** From the sums of the window at `at`: means, variances and `cross`; a variance of nothing but rounding error is 0, and then so is `cross`. */
const windowCode = (masked: boolean): string => `
  let n = ${masked ? 'max(1.0, sums_(5u * u.voxels + at))' : 'u.windowVoxels'};
  let sumA = sums_(at);
  let sumB = sums_(u.voxels + at);
  let squareA = sums_(2u * u.voxels + at);
  let squareB = sums_(3u * u.voxels + at);
  let differenceA = squareA - sumA * sumA / n;
  let differenceB = squareB - sumB * sumB / n;
  let varianceA = select(0.0, differenceA, differenceA > u.floor_ * squareA);
  let varianceB = select(0.0, differenceB, differenceB > u.floor_ * squareB);
  let alive = varianceA > 0.0 && varianceB > 0.0${masked ? ' && mask(at) > 0.0' : ''};
  let cross_ = select(0.0, sums_(4u * u.voxels + at) - sumA * sumB / n, alive);
  let q = varianceA * varianceB + u.epsilon;`;

const numbers = (window: number) => ({ windowVoxels: window ** 3, floor_: VARIANCE_FLOOR, epsilon: EPSILON });

export const ncc: WebGpuKernel<NccAttributes> = ({ inputs: [a, b, mask], out, attributes: { window } }, emitter) => {
  const { sums } = windowSums(emitter, a, b, mask, window);
  sumRows(emitter, {
    name: 'ncc',
    tensors: { sums_: sums, ...(mask ? { mask } : {}), out },
    rows: 1,
    length: a.elements,
    uints: { voxels: a.elements },
    floats: numbers(window),
    term: `let at = j;${windowCode(mask !== undefined)}
  value.x = min(1.0, cross_ * cross_ / q);
  value.y = ${mask ? 'mask(j)' : '1.0'};`,
    finish: 'set_out(0u, max(0.0, 1.0 - total.x / max(1.0, total.y)));',
  });
};

export const nccGradient: WebGpuKernel<NccAttributes> = (
  { inputs: [a, b, dOut, mask], out, attributes: { window } },
  emitter,
) => {
  const { sums, spare } = windowSums(emitter, a, b, mask, window);
  const [, batch, ...size] = sums.shape as [number, number, ...number[]];
  // u, u mean(b), v, v mean(a) of each window: the first four fields of the memory that is free again
  const fields: WebGpuTensor = { ...spare, shape: [4, batch, ...size], elements: 4 * a.elements };
  flat(emitter, a.elements, {
    name: 'ncc window gradients',
    tensors: { sums_: sums, ...(mask ? { mask } : {}), fields },
    uints: { voxels: a.elements },
    floats: numbers(window),
    code: `let at = i;${windowCode(mask !== undefined)}
  let slope = 2.0 * cross_ / q;
  let ratio = cross_ / q;
  let spread = ratio * ratio * varianceB;
  set_fields(i, slope);
  set_fields(u.voxels + i, slope * sumB / n);
  set_fields(2u * u.voxels + i, spread);
  set_fields(3u * u.voxels + i, spread * sumA / n);`,
  });
  const boxes = boxSums(emitter, fields, { ...sums, shape: fields.shape, elements: fields.elements }, window);
  const count = emitter.scratch([1]);
  if (mask)
    sumRows(emitter, {
      name: 'ncc count',
      tensors: { mask, count_: count },
      rows: 1,
      length: mask.elements,
      term: 'value.x = mask(j);',
      finish: 'set_count_(0u, max(1.0, total.x));',
    });
  flat(emitter, a.elements, {
    name: 'nccGradient',
    tensors: { a: a, b: b, dOut: dOut, boxes, ...(mask ? { mask, count_: count } : {}), out },
    code: `
  let sum = b(i) * boxes(i) - boxes(u.count + i) - 2.0 * a(i) * boxes(2u * u.count + i) + 2.0 * boxes(3u * u.count + i);
  set_out(i, -dOut(0u) / ${mask ? 'count_(0u)' : 'f32(u.count)'} * sum${mask ? ' * mask(i)' : ''});`,
  });
};
