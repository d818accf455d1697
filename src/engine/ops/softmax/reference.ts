/** Softmax over the channels, as the formulas in softmax.ts say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';
import type { ProbabilityAttributes } from './softmax.ts';

/** Calls `visit` for each voxel with the flat indices of its channels. */
function forEachVoxel(elements: number, [batch, channels]: Shape, visit: (places: readonly number[]) => void): void {
  const voxels = elements / (batch * channels);
  for (let n = 0; n < batch; n++)
    for (let p = 0; p < voxels; p++) visit(Array.from({ length: channels }, (_, c) => (n * channels + c) * voxels + p));
}

export const softmax: ReferenceKernel<undefined> = ({ inputs: [x], out, shape }) => {
  forEachVoxel(x.length, shape, (places) => {
    const greatest = Math.max(...places.map((at) => x[at]));
    const powers = places.map((at) => Math.exp(x[at] - greatest));
    const sum = powers.reduce((total, power) => total + power, 0);
    places.forEach((at, c) => {
      out[at] = powers[c] / sum;
    });
  });
};

export const probabilities: ReferenceKernel<ProbabilityAttributes> = ({ inputs: [x], out, shape, attributes: { relative } }) => {
  const [batch, channels] = shape;
  const [given, whole] = [x.length / batch, out.length / batch];
  const all = new Float64Array(out.length);
  for (let n = 0; n < batch; n++) all.set(x.subarray(n * given, (n + 1) * given), n * whole + (relative ? whole / channels : 0));
  softmax({ inputs: [all], inputShapes: [shape], out, shape, attributes: undefined });
};

export const softmaxGradient: ReferenceKernel<undefined> = ({ inputs: [y, dOut], out, shape }) => {
  forEachVoxel(y.length, shape, (places) => {
    const inner = places.reduce((sum, at) => sum + dOut[at] * y[at], 0);
    for (const at of places) out[at] = y[at] * (dOut[at] - inner);
  });
};
