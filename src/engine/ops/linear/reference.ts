/** The linear layer and its adjoints, as the formulas in linear.ts say. */
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

export const linearInputGradient: ReferenceKernel<undefined> = ({
  inputs: [dOut, weight],
  inputShapes: [[, outSize]],
  out,
  shape: [batch, inSize],
}) => {
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < inSize; i++) {
      let sum = 0;
      for (let o = 0; o < outSize; o++) sum += dOut[n * outSize + o] * weight[o * inSize + i];
      out[n * inSize + i] = sum;
    }
};

export const linearWeightGradient: ReferenceKernel<undefined> = ({
  inputs: [dOut, x],
  inputShapes: [[batch]],
  out,
  shape: [outSize, inSize],
}) => {
  for (let o = 0; o < outSize; o++)
    for (let i = 0; i < inSize; i++) {
      let sum = 0;
      for (let n = 0; n < batch; n++) sum += dOut[n * outSize + o] * x[n * inSize + i];
      out[o * inSize + i] = sum;
    }
};

export const batchSum: ReferenceKernel<undefined> = ({ inputs: [x], inputShapes: [[batch, size]], out }) => {
  for (let o = 0; o < size; o++) {
    let sum = 0;
    for (let n = 0; n < batch; n++) sum += x[n * size + o];
    out[o] = sum;
  }
};
