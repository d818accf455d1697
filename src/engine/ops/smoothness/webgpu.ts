/** Smoothness of a flow in WGSL, as the formulas in smoothness.ts say. */
import { flat, sumRows, volumeSizes, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';

/** 1 / (3 M_a) of each axis; an axis of one voxel has no differences. */
function numbers(flow: WebGpuTensor) {
  const { d, h, w } = volumeSizes(flow);
  const weight = (size: number): number => (size > 1 ? size / (3 * flow.elements * (size - 1)) : 0);
  return { uints: { d, h, w }, floats: { weightZ: weight(d), weightY: weight(h), weightX: weight(w) } };
}

export const smoothness: WebGpuKernel<undefined> = ({ inputs: [flow], out }, emitter) =>
  sumRows(emitter, {
    name: 'smoothness',
    tensors: { flow: flow, out },
    rows: 1,
    length: flow.elements,
    ...numbers(flow),
    term: `
  let here = flow(j);
  if (j % u.w + 1u < u.w) { let v = flow(j + 1u) - here; value.x += u.weightX * v * v; }
  if (j / u.w % u.h + 1u < u.h) { let v = flow(j + u.w) - here; value.x += u.weightY * v * v; }
  if (j / (u.w * u.h) % u.d + 1u < u.d) { let v = flow(j + u.w * u.h) - here; value.x += u.weightZ * v * v; }`,
    finish: 'set_out(0u, total.x);',
  });

export const smoothnessGradient: WebGpuKernel<undefined> = ({ inputs: [flow, dOut], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'smoothnessGradient',
    tensors: { flow: flow, dOut: dOut, out },
    ...numbers(flow),
    code: `
  let here = flow(i);
  let place = vec3u(i % u.w, i / u.w % u.h, i / (u.w * u.h) % u.d);
  let sizes = vec3u(u.w, u.h, u.d);
  let strides = vec3u(1u, u.w, u.w * u.h);
  let weights = vec3f(u.weightX, u.weightY, u.weightZ);
  var sum = 0.0;
  for (var a = 0u; a < 3u; a++) {
    if (place[a] > 0u) { sum += weights[a] * (here - flow(i - strides[a])); }
    if (place[a] + 1u < sizes[a]) { sum -= weights[a] * (flow(i + strides[a]) - here); }
  }
  set_out(i, 2.0 * dOut(0u) * sum);`,
  });
