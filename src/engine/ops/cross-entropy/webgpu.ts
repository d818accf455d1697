/** Cross-entropy from logits in WGSL; the greatest logit is subtracted before any exponential. */
import { flat, sumRows, volumeSizes, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';

const LOG_SUM = `
  let first = (voxel / u.voxels) * u.channels * u.voxels + voxel % u.voxels;
  var greatest = logits(first);
  for (var c = 1u; c < u.channels; c++) { greatest = max(greatest, logits(first + c * u.voxels)); }
  var powers = 0.0;
  for (var c = 0u; c < u.channels; c++) { powers += exp(logits(first + c * u.voxels) - greatest); }
  let logSum = log(powers);`;

export const crossEntropy: WebGpuKernel<undefined> = ({ inputs: [logits, truth], out }, emitter) => {
  const { channels, voxels } = volumeSizes(logits);
  sumRows(emitter, {
    name: 'crossEntropy',
    tensors: { logits: logits, truth: truth, out },
    rows: 1,
    length: logits.elements / channels,
    uints: { channels, voxels },
    term: `let voxel = j;${LOG_SUM}
  for (var c = 0u; c < u.channels; c++) {
    let at = first + c * u.voxels;
    value.x -= truth(at) * (logits(at) - greatest - logSum);
  }`,
    finish: 'set_out(0u, total.x / f32(u.length));',
  });
};

export const crossEntropyGradient: WebGpuKernel<undefined> = ({ inputs: [logits, truth, dOut], out }, emitter) => {
  const { channels, voxels } = volumeSizes(out);
  flat(emitter, out.elements / channels, {
    name: 'crossEntropyGradient',
    tensors: { logits: logits, truth: truth, dOut: dOut, out },
    uints: { channels, voxels },
    code: `let voxel = i;${LOG_SUM}
  var truths = 0.0;
  for (var c = 0u; c < u.channels; c++) { truths += truth(first + c * u.voxels); }
  for (var c = 0u; c < u.channels; c++) {
    let at = first + c * u.voxels;
    set_out(at, dOut(0u) * (exp(logits(at) - greatest - logSum) * truths - truth(at)) / f32(u.count));
  }`,
  });
};

export const binaryCrossEntropy: WebGpuKernel<undefined> = ({ inputs: [logits, truth], out }, emitter) =>
  sumRows(emitter, {
    name: 'binaryCrossEntropy',
    tensors: { logits: logits, truth: truth, out },
    rows: 1,
    length: logits.elements,
    term: 'let v = logits(j); value.x = max(v, 0.0) - v * truth(j) + log(1.0 + exp(-abs(v)));',
    finish: 'set_out(0u, total.x / f32(u.length));',
  });

export const binaryCrossEntropyGradient: WebGpuKernel<undefined> = ({ inputs: [logits, truth, dOut], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'binaryCrossEntropyGradient',
    tensors: { logits: logits, truth: truth, dOut: dOut, out },
    code: 'set_out(i, dOut(0u) * (1.0 / (1.0 + exp(-logits(i))) - truth(i)) / f32(u.count));',
  });
