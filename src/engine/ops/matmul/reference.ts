/** Matrix products: element (i, k) of a factor lies where its own shape and whether it is transposed say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import { type MatmulAttributes, matmulSizes } from './matmul.ts';

export const matmul: ReferenceKernel<MatmulAttributes> = ({ inputs: [a, b], inputShapes, out, attributes }) => {
  const { rows, inner, columns } = matmulSizes(inputShapes, attributes);
  const { transposed } = attributes;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++)
        sum += a[transposed === 'a' ? k * rows + i : i * inner + k] * b[transposed === 'b' ? j * inner + k : k * columns + j];
      out[i * columns + j] = sum;
    }
};
