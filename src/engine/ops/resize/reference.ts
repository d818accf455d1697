/** Trilinear up-sampling and its adjoint, as resize.ts says. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { Shape } from '../../graph.ts';

/** Where output voxel j of an axis of n voxels reads: the lower voxel, and the weights of it and of the next. */
function source(j: number, n: number): { low: number; weights: [number, number] } {
  const position = n === 1 ? 0 : (j * (n - 1)) / (2 * n - 1);
  const low = Math.min(Math.floor(position), Math.max(0, n - 2));
  return { low, weights: [1 - (position - low), position - low] };
}

/** Calls `visit` for each output voxel and each input voxel (N, C, D, H, W) that it reads: their flat indices and the weight. */
function forEachRead(
  [batch, channels, depth, height, width]: Shape,
  visit: (out: number, at: number, weight: number) => void,
): void {
  let out = 0;
  for (let volume = 0; volume < batch * channels; volume++)
    for (let z = 0; z < 2 * depth; z++)
      for (let y = 0; y < 2 * height; y++)
        for (let x = 0; x < 2 * width; x++, out++) {
          const [onZ, onY, onX] = [source(z, depth), source(y, height), source(x, width)];
          for (let k = 0; k < 8; k++) {
            const [i, j, l] = [k >> 2, (k >> 1) & 1, k & 1];
            const weight = onZ.weights[i] * onY.weights[j] * onX.weights[l];
            if (weight > 0) visit(out, ((volume * depth + onZ.low + i) * height + onY.low + j) * width + onX.low + l, weight);
          }
        }
}

export const upsample: ReferenceKernel<undefined> = ({ inputs: [x], inputShapes: [shape], out }) => {
  forEachRead(shape, (p, at, weight) => {
    out[p] += weight * x[at];
  });
};

export const upsampleGradient: ReferenceKernel<undefined> = ({ inputs: [dOut], out, shape }) => {
  forEachRead(shape, (p, at, weight) => {
    out[at] += weight * dOut[p];
  });
};
