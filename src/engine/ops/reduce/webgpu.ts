/** Sums, means and broadcasts in WGSL. */
import { flat, sumRows, volumeSizes, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';

export const channelSum: WebGpuKernel<undefined> = ({ inputs: [x], out }, emitter) => {
  const { channels, voxels } = volumeSizes(x);
  sumRows(emitter, {
    name: 'channelSum',
    tensors: { x: x, out },
    rows: channels,
    length: x.elements / channels,
    uints: { channels, voxels },
    term: 'value.x = x(((j / u.voxels) * u.channels + row) * u.voxels + j % u.voxels);',
    finish: 'set_out(row, total.x);',
  });
};

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

export const batchBroadcast: WebGpuKernel<{ readonly batch: number }> = ({ inputs: [x], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'batchBroadcast',
    tensors: { x, out },
    uints: { channels: x.elements },
    code: 'set_out(i, x(i % u.channels));',
  });

export const globalAverage: WebGpuKernel<undefined> = ({ inputs: [x], out }, emitter) =>
  sumRows(emitter, {
    name: 'globalAverage',
    tensors: { x: x, out },
    rows: out.elements,
    length: x.elements / out.elements,
    term: 'value.x = x(row * u.length + j);',
    finish: 'set_out(row, total.x / f32(u.length));',
  });

export const spatialBroadcast: WebGpuKernel<{ readonly size: readonly [number, number, number]; readonly scale: number }> = (
  { inputs: [x], out, attributes: { scale } },
  emitter,
) =>
  flat(emitter, out.elements, {
    name: 'spatialBroadcast',
    tensors: { x: x, out },
    uints: { voxels: out.elements / x.elements },
    floats: { scale },
    code: 'set_out(i, u.scale * x(i / u.voxels));',
  });

const wholeSum =
  (name: string, term: string, finish: string): WebGpuKernel<undefined> =>
  ({ inputs: [x], out }, emitter) =>
    sumRows(emitter, { name, tensors: { x: x, out }, rows: 1, length: x.elements, term, finish });

export const sumOfSquares = wholeSum('sumOfSquares', 'let v = x(j); value.x = v * v;', 'set_out(0u, total.x);');
export const mean = wholeSum('mean', 'value.x = x(j);', 'set_out(0u, total.x / f32(u.length));');

export const fill: WebGpuKernel<{ readonly shape: readonly number[]; readonly scale: number }> = (
  { inputs: [value], out, attributes: { scale } },
  emitter,
) =>
  flat(emitter, out.elements, {
    name: 'fill',
    tensors: { value: value, out },
    floats: { scale },
    code: 'set_out(i, u.scale * value(0u));',
  });
