/** Sums, means and broadcasts, as reduce.ts says. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';

export const channelSum: ReferenceKernel<undefined> = ({ inputs: [x], inputShapes: [[batch, channels]], out }) => {
  const voxels = x.length / (batch * channels);
  for (let i = 0; i < x.length; i++) out[Math.floor(i / voxels) % channels] += x[i];
};

export const batchSum: ReferenceKernel<undefined> = ({ inputs: [x], inputShapes: [[, channels]], out }) => {
  for (let i = 0; i < x.length; i++) out[i % channels] += x[i];
};

export const batchBroadcast: ReferenceKernel<{ readonly batch: number }> = ({ inputs: [x], out }) => {
  for (let i = 0; i < out.length; i++) out[i] = x[i % x.length];
};

export const globalAverage: ReferenceKernel<undefined> = ({ inputs: [x], out }) => {
  const voxels = x.length / out.length;
  for (let i = 0; i < x.length; i++) out[Math.floor(i / voxels)] += x[i] / voxels;
};

export const spatialBroadcast: ReferenceKernel<{ readonly size: readonly [number, number, number]; readonly scale: number }> = ({
  inputs: [x],
  out,
  attributes: { scale },
}) => {
  const voxels = out.length / x.length;
  for (let i = 0; i < out.length; i++) out[i] = scale * x[Math.floor(i / voxels)];
};

export const sumOfSquares: ReferenceKernel<undefined> = ({ inputs: [x], out }) => {
  out[0] = x.reduce((sum, value) => sum + value * value, 0);
};

export const mean: ReferenceKernel<undefined> = ({ inputs: [x], out }) => {
  out[0] = x.reduce((sum, value) => sum + value, 0) / x.length;
};

export const fill: ReferenceKernel<{ readonly shape: readonly number[]; readonly scale: number }> = ({
  inputs: [[value]],
  out,
  attributes: { scale },
}) => {
  out.fill(scale * value);
};
