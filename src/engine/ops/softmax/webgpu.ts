/** Softmax over the channels in WGSL: one thread a voxel. */
import { flat, volumeSizes, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';

export const softmax: WebGpuKernel<undefined> = ({ inputs: [x], out }, emitter) => {
  const { channels, voxels } = volumeSizes(out);
  flat(emitter, out.elements / channels, {
    name: 'softmax',
    tensors: { x: x, out },
    uints: { channels, voxels },
    code: `
  let first = (i / u.voxels) * u.channels * u.voxels + i % u.voxels;
  var greatest = x(first);
  for (var c = 1u; c < u.channels; c++) { greatest = max(greatest, x(first + c * u.voxels)); }
  var sum = 0.0;
  for (var c = 0u; c < u.channels; c++) { sum += exp(x(first + c * u.voxels) - greatest); }
  for (var c = 0u; c < u.channels; c++) { set_out(first + c * u.voxels, exp(x(first + c * u.voxels) - greatest) / sum); }`,
  });
};

export const softmaxGradient: WebGpuKernel<undefined> = ({ inputs: [y, dOut], out }, emitter) => {
  const { channels, voxels } = volumeSizes(out);
  flat(emitter, out.elements / channels, {
    name: 'softmaxGradient',
    tensors: { y: y, dOut: dOut, out },
    uints: { channels, voxels },
    code: `
  let first = (i / u.voxels) * u.channels * u.voxels + i % u.voxels;
  var sum = 0.0;
  for (var c = 0u; c < u.channels; c++) { sum += dOut(first + c * u.voxels) * y(first + c * u.voxels); }
  for (var c = 0u; c < u.channels; c++) {
    let at = first + c * u.voxels;
    set_out(at, y(at) * (dOut(at) - sum));
  }`,
  });
};
