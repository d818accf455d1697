/** Cross-entropy from logits, as the formulas in cross-entropy.ts say; the greatest logit is subtracted before any exponential. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** Calls `visit` for each voxel of each sample: the flat index of its first channel, the greatest logit, and log sum exp above it. */
function forEachVoxel(
  logits: Float64Array,
  [batch, channels]: Shape,
  visit: (first: number, greatest: number, logSum: number) => void,
): void {
  const voxels = logits.length / (batch * channels);
  for (let n = 0; n < batch; n++)
    for (let p = 0; p < voxels; p++) {
      const first = n * channels * voxels + p;
      let greatest = Number.NEGATIVE_INFINITY;
      for (let c = 0; c < channels; c++) greatest = Math.max(greatest, logits[first + c * voxels]);
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += Math.exp(logits[first + c * voxels] - greatest);
      visit(first, greatest, Math.log(sum));
    }
}

export const crossEntropy: ReferenceKernel<undefined> = ({ inputs: [logits, truth], inputShapes: [shape], out }) => {
  const [batch, channels] = shape;
  const voxels = logits.length / (batch * channels);
  let sum = 0;
  forEachVoxel(logits, shape, (first, greatest, logSum) => {
    for (let c = 0; c < channels; c++) sum -= truth[first + c * voxels] * (logits[first + c * voxels] - greatest - logSum);
  });
  out[0] = sum / (batch * voxels);
};

export const crossEntropyGradient: ReferenceKernel<undefined> = ({ inputs: [logits, truth, [dOut]], out, shape }) => {
  const [batch, channels] = shape;
  const voxels = logits.length / (batch * channels);
  forEachVoxel(logits, shape, (first, greatest, logSum) => {
    let truths = 0;
    for (let c = 0; c < channels; c++) truths += truth[first + c * voxels];
    for (let c = 0; c < channels; c++) {
      const at = first + c * voxels;
      out[at] = (dOut * (Math.exp(logits[at] - greatest - logSum) * truths - truth[at])) / (batch * voxels);
    }
  });
};

export const binaryCrossEntropy: ReferenceKernel<undefined> = ({ inputs: [logits, truth], out }) => {
  let sum = 0;
  logits.forEach((x, i) => {
    sum += Math.max(x, 0) - x * truth[i] + Math.log1p(Math.exp(-Math.abs(x)));
  });
  out[0] = sum / logits.length;
};

export const binaryCrossEntropyGradient: ReferenceKernel<undefined> = ({ inputs: [logits, truth, [dOut]], out }) => {
  logits.forEach((x, i) => {
    out[i] = (dOut * (1 / (1 + Math.exp(-x)) - truth[i])) / logits.length;
  });
};
