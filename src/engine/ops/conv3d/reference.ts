/**
 * Convolution and its adjoints, as the formulas in conv3d.ts say. Which voxel reads which is worked out once, as rows of neighbouring
 * voxels, so that what remains for each pair of channels is one multiplication and one addition in a plain loop.
 */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** Output voxels p .. p + length - 1 read the input voxels q .. q + length - 1 through one tap (flat indices in a volume). */
interface Row {
  readonly tap: number;
  readonly p: number;
  readonly q: number;
  readonly length: number;
}

/** Every read that stays inside the volume, tap by tap. */
function rowsOf([, , depth, height, width]: Shape, kernel: number): Row[] {
  const half = (kernel - 1) / 2;
  const rows: Row[] = [];
  for (let tap = 0; tap < kernel ** 3; tap++) {
    const dz = Math.floor(tap / kernel ** 2) - half;
    const dy = (Math.floor(tap / kernel) % kernel) - half;
    const dx = (tap % kernel) - half;
    const x = Math.max(0, -dx);
    const length = width - Math.abs(dx);
    if (length <= 0) continue;
    for (let z = Math.max(0, -dz); z < Math.min(depth, depth - dz); z++)
      for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++) {
        rows.push({ tap, p: (z * height + y) * width + x, q: ((z + dz) * height + y + dy) * width + x + dx, length });
      }
  }
  return rows;
}

/** Calls `visit` for each sample and pair of channels: where the volumes start in input and output, and the first of the pair's weights. */
function forEachPair(
  [batch, channelsIn, ...size]: Shape,
  channelsOut: number,
  kernel: number,
  visit: (input: number, output: number, weights: number) => void,
): void {
  const voxels = size.reduce((product, length) => product * length, 1);
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < channelsOut; o++)
      for (let i = 0; i < channelsIn; i++)
        visit((n * channelsIn + i) * voxels, (n * channelsOut + o) * voxels, (o * channelsIn + i) * kernel ** 3);
}

export const conv3d: ReferenceKernel<undefined> = ({
  inputs: [x, weight, bias],
  inputShapes: [xShape, [channelsOut, , kernel]],
  out,
}) => {
  const rows = rowsOf(xShape, kernel);
  const voxels = out.length / (xShape[0] * channelsOut);
  if (bias) for (let at = 0; at < out.length; at += voxels) out.fill(bias[(at / voxels) % channelsOut], at, at + voxels);
  forEachPair(xShape, channelsOut, kernel, (input, output, weights) => {
    for (const { tap, p, q, length } of rows) {
      const w = weight[weights + tap];
      for (let k = 0; k < length; k++) out[output + p + k] += w * x[input + q + k];
    }
  });
};

export const conv3dInputGradient: ReferenceKernel<undefined> = ({
  inputs: [dOut, weight],
  inputShapes: [, [channelsOut, , kernel]],
  out,
  shape,
}) => {
  const rows = rowsOf(shape, kernel);
  forEachPair(shape, channelsOut, kernel, (input, output, weights) => {
    for (const { tap, p, q, length } of rows) {
      const w = weight[weights + tap];
      for (let k = 0; k < length; k++) out[input + q + k] += w * dOut[output + p + k];
    }
  });
};

export const conv3dWeightGradient: ReferenceKernel<{ readonly kernel: number }> = ({
  inputs: [x, dOut],
  inputShapes: [xShape, [, channelsOut]],
  out,
  attributes: { kernel },
}) => {
  const rows = rowsOf(xShape, kernel);
  forEachPair(xShape, channelsOut, kernel, (input, output, weights) => {
    for (const { tap, p, q, length } of rows) {
      let sum = 0;
      for (let k = 0; k < length; k++) sum += dOut[output + p + k] * x[input + q + k];
      out[weights + tap] += sum;
    }
  });
};
