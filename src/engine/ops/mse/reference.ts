/** Mean squared error, as the formulas in mse.ts say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';

export const mse: ReferenceKernel<undefined> = ({ inputs: [a, b], out }) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  out[0] = sum / a.length;
};

export const mseGradient: ReferenceKernel<undefined> = ({ inputs: [a, b, [dOut]], out }) => {
  for (let i = 0; i < a.length; i++) out[i] = (2 * dOut * (a[i] - b[i])) / a.length;
};

/** Calls `visit` for each sample: where it begins and ends, and the sum of its mask. */
function forEachSample(mask: Float64Array, batch: number, visit: (start: number, end: number, weight: number) => void): void {
  const size = mask.length / batch;
  for (let n = 0; n < batch; n++) {
    const [start, end] = [n * size, (n + 1) * size];
    visit(
      start,
      end,
      mask.subarray(start, end).reduce((sum, value) => sum + value, 0),
    );
  }
}

export const maskedMse: ReferenceKernel<undefined> = ({ inputs: [a, b, mask], inputShapes: [[batch]], out }) => {
  forEachSample(mask, batch, (start, end, weight) => {
    let sum = 0;
    for (let i = start; i < end; i++) sum += mask[i] * (a[i] - b[i]) ** 2;
    if (weight > 0) out[0] += sum / weight / batch;
  });
};

export const maskedMseGradient: ReferenceKernel<undefined> = ({ inputs: [a, b, mask, [dOut]], inputShapes: [[batch]], out }) => {
  forEachSample(mask, batch, (start, end, weight) => {
    if (weight > 0) for (let i = start; i < end; i++) out[i] = (2 * dOut * mask[i] * (a[i] - b[i])) / (batch * weight);
  });
};
