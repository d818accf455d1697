/** Softmax over the channels in WGSL: one thread a voxel. */
import { flat, volumeSizes, type WebGpuEmitter, type WebGpuKernel, type WebGpuTensor } from '../../backends/webgpu/kernel.ts';
import type { ProbabilityAttributes } from './softmax.ts';

/** @param relative whether the result's first channel is of a logit of 0, which x lacks */
function emitSoftmax(x: WebGpuTensor, out: WebGpuTensor, relative: boolean, emitter: WebGpuEmitter): void {
  const { channels, voxels } = volumeSizes(out);
  flat(emitter, out.elements / channels, {
    name: relative ? 'relativeSoftmax' : 'softmax',
    tensors: { x: x, out },
    uints: { channels, voxels },
    code: `
  let sample = i / u.voxels;
  let voxel = i % u.voxels;
  let first = sample * u.channels * u.voxels + voxel;
  let start = ${relative ? 'first - sample * u.voxels' : 'first'};
  let given = ${relative ? 'u.channels - 1u' : 'u.channels'};
  var greatest = ${relative ? '0.0' : 'x(start)'};
  for (var c = 0u; c < given; c++) { greatest = max(greatest, x(start + c * u.voxels)); }
  var sum = ${relative ? 'exp(-greatest)' : '0.0'};
  for (var c = 0u; c < given; c++) { sum += exp(x(start + c * u.voxels) - greatest); }
  ${relative ? 'set_out(first, exp(-greatest) / sum);' : ''}
  let rest = first + (u.channels - given) * u.voxels;
  for (var c = 0u; c < given; c++) { set_out(rest + c * u.voxels, exp(x(start + c * u.voxels) - greatest) / sum); }`,
  });
}

export const softmax: WebGpuKernel<undefined> = ({ inputs: [x], out }, emitter) => emitSoftmax(x, out, false, emitter);

export const probabilities: WebGpuKernel<ProbabilityAttributes> = ({ inputs: [x], out, attributes: { relative } }, emitter) =>
  emitSoftmax(x, out, relative, emitter);

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
