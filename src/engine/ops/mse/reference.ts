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
