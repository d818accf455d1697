/** The linear layer, as the formula in linear.ts says. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';

export const linear: ReferenceKernel<undefined> = ({
  inputs: [x, weight, bias],
  inputShapes: [[, inSize]],
  out,
  shape: [batch, outSize],
}) => {
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < outSize; o++) {
      let sum = bias[o];
      for (let i = 0; i < inSize; i++) sum += x[n * inSize + i] * weight[o * inSize + i];
      out[n * outSize + o] = sum;
    }
};
