/** Matrix products in WGSL: small matrices, one sum a thread. */
import { flat, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';
import { type MatmulAttributes, matmulSizes } from './matmul.ts';

export const matmul: WebGpuKernel<MatmulAttributes> = ({ inputs: [a, b], out, attributes }, emitter) => {
  const { rows, inner, columns } = matmulSizes([a.shape, b.shape], attributes);
  const left = attributes.transposed === 'a' ? 'a(k * u.rows + row)' : 'a(row * u.inner + k)';
  const right = attributes.transposed === 'b' ? 'b(column * u.inner + k)' : 'b(k * u.columns + column)';
  flat(emitter, out.elements, {
    name: 'matmul',
    tensors: { a, b, out },
    uints: { rows, inner, columns },
    code: `
  let row = i / u.columns;
  let column = i % u.columns;
  var sum = 0.0;
  for (var k = 0u; k < u.inner; k++) { sum += ${left} * ${right}; }
  set_out(i, sum);`,
  });
};
