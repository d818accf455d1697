/** Convolution and its adjoints, as the formulas in conv3d.ts say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** Calls `visit` for every tap of every voxel that lies inside: flat index of the output voxel, of the input voxel, and of the tap. */
function forEachTap(
  [, , depth, height, width]: Shape,
  kernel: number,
  visit: (out: number, at: number, tap: number) => void,
): void {
  const half = (kernel - 1) / 2;
  for (let z = 0; z < depth!; z++)
    for (let y = 0; y < height!; y++)
      for (let x = 0; x < width!; x++)
        for (let i = 0; i < kernel; i++)
          for (let j = 0; j < kernel; j++)
            for (let k = 0; k < kernel; k++) {
              const [zz, yy, xx] = [z + i - half, y + j - half, x + k - half];
              if (zz < 0 || zz >= depth! || yy < 0 || yy >= height! || xx < 0 || xx >= width!) continue;
              visit((z * height! + y) * width! + x, (zz * height! + yy) * width! + xx, (i * kernel + j) * kernel + k);
            }
}

export const conv3d: ReferenceKernel<undefined> = ({
  inputs: [x, weight, bias],
  inputShapes: [xShape, weightShape],
  out,
  shape,
}) => {
  const [batch, channelsOut] = shape as [number, number];
  const channelsIn = xShape![1]!;
  const kernel = weightShape![2]!;
  const taps = kernel ** 3;
  const voxels = out.length / (batch * channelsOut);
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < channelsOut; o++) {
      const sum = new Float64Array(voxels).fill(bias ? bias[o]! : 0);
      for (let i = 0; i < channelsIn; i++) {
        const from = (n * channelsIn + i) * voxels;
        const weights = (o * channelsIn + i) * taps;
        forEachTap(shape, kernel, (p, q, tap) => {
          sum[p]! += weight![weights + tap]! * x![from + q]!;
        });
      }
      out.set(sum, (n * channelsOut + o) * voxels);
    }
};

export const conv3dInputGradient: ReferenceKernel<undefined> = ({
  inputs: [dOut, weight],
  inputShapes: [dOutShape, weightShape],
  out,
  shape,
}) => {
  const [batch, channelsIn] = shape as [number, number];
  const channelsOut = dOutShape![1]!;
  const kernel = weightShape![2]!;
  const taps = kernel ** 3;
  const voxels = out.length / (batch * channelsIn);
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < channelsIn; i++) {
      const sum = new Float64Array(voxels);
      for (let o = 0; o < channelsOut; o++) {
        const from = (n * channelsOut + o) * voxels;
        const weights = (o * channelsIn + i) * taps;
        forEachTap(shape, kernel, (p, q, tap) => {
          sum[q]! += weight![weights + tap]! * dOut![from + p]!;
        });
      }
      out.set(sum, (n * channelsIn + i) * voxels);
    }
};

export const conv3dWeightGradient: ReferenceKernel<{ readonly kernel: number }> = ({
  inputs: [x, dOut],
  inputShapes: [xShape, dOutShape],
  out,
  attributes: { kernel },
}) => {
  const [batch, channelsIn] = xShape as [number, number];
  const channelsOut = dOutShape![1]!;
  const taps = kernel ** 3;
  const voxels = x!.length / (batch * channelsIn);
  for (let o = 0; o < channelsOut; o++)
    for (let i = 0; i < channelsIn; i++) {
      const sum = new Float64Array(taps);
      for (let n = 0; n < batch; n++) {
        const fromX = (n * channelsIn + i) * voxels;
        const fromOut = (n * channelsOut + o) * voxels;
        forEachTap(xShape!, kernel, (p, q, tap) => {
          sum[tap]! += dOut![fromOut + p]! * x![fromX + q]!;
        });
      }
      out.set(sum, (o * channelsIn + i) * taps);
    }
};
