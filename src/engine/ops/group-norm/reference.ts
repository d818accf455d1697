/** GroupNorm with LeakyReLU, as the formulas in group-norm.ts say. */
import { leakyReluDerivative, type ReferenceCall, type ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { GroupNormAttributes } from './group-norm.ts';

export const groupStatistics: ReferenceKernel<GroupNormAttributes> = ({ inputs: [x], out, attributes: { eps } }) => {
  const groups = out.length / 2;
  const count = x.length / groups;
  for (let g = 0; g < groups; g++) {
    const part = x.subarray(g * count, (g + 1) * count);
    const mean = part.reduce((sum, value) => sum + value, 0) / count;
    const variance = part.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
    out[2 * g] = mean;
    out[2 * g + 1] = 1 / Math.sqrt(variance + eps);
  }
};

/** Visits every element with its channel, its h and its z. */
function forEachElement(
  { inputs: [x, statistics, gamma, beta], inputShapes: [xShape], attributes: { groups } }: ReferenceCall<GroupNormAttributes>,
  visit: (at: number, sampleAndChannel: number, h: number, z: number) => void,
): void {
  const [batch, channels] = xShape as [number, number];
  const voxels = x.length / (batch * channels);
  const channelsPerGroup = channels / groups;
  for (let sampleAndChannel = 0; sampleAndChannel < batch * channels; sampleAndChannel++) {
    const channel = sampleAndChannel % channels;
    const group = Math.floor(sampleAndChannel / channelsPerGroup);
    const [mean, scale] = [statistics[2 * group], statistics[2 * group + 1]];
    const first = sampleAndChannel * voxels;
    for (let at = first; at < first + voxels; at++) {
      const h = (x[at] - mean) * scale;
      visit(at, sampleAndChannel, h, gamma[channel] * h + beta[channel]);
    }
  }
}

export const groupNorm: ReferenceKernel<GroupNormAttributes> = (call) => {
  forEachElement(call, (at, _channel, _h, z) => {
    call.out[at] = z > 0 ? z : call.attributes.slope * z;
  });
};

export const groupNormSums: ReferenceKernel<GroupNormAttributes> = (call) => {
  const dOut = call.inputs[4];
  forEachElement(call, (at, channel, h, z) => {
    const dz = dOut[at] * leakyReluDerivative(z, call.attributes.slope, call.ties);
    call.out[2 * channel] += dz;
    call.out[2 * channel + 1] += dz * h;
  });
};

export const groupNormInputGradient: ReferenceKernel<GroupNormAttributes> = (call) => {
  const { inputs, inputShapes, out, attributes } = call;
  const [, statistics, gamma, , dOut, sums] = inputs;
  const [batch, channels] = inputShapes[0] as [number, number];
  const channelsPerGroup = channels / attributes.groups;
  const voxels = out.length / (batch * channels);
  forEachElement(call, (at, sampleAndChannel, h, z) => {
    const channel = sampleAndChannel % channels;
    const first = sampleAndChannel - (channel % channelsPerGroup);
    let [sumDz, sumDzH] = [0, 0];
    for (let i = 0; i < channelsPerGroup; i++) {
      const weight = gamma[(first % channels) + i];
      sumDz += weight * sums[2 * (first + i)];
      sumDzH += weight * sums[2 * (first + i) + 1];
    }
    const dz = dOut[at] * leakyReluDerivative(z, attributes.slope, call.ties);
    const r = statistics[2 * Math.floor(sampleAndChannel / channelsPerGroup) + 1];
    out[at] = r * (gamma[channel] * dz - (sumDz + h * sumDzH) / (voxels * channelsPerGroup));
  });
};

export const sumPick: ReferenceKernel<{ readonly pick: 0 | 1 }> = ({
  inputs: [sums],
  inputShapes: [shape],
  out,
  attributes: { pick },
}) => {
  const [batch, channels] = shape as [number, number];
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    for (let n = 0; n < batch; n++) sum += sums[(n * channels + c) * 2 + pick];
    out[c] = sum;
  }
};
