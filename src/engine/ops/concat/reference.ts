/** Joining and cutting. Along an axis, a tensor is `rows` pieces of memory, one for each place on the axes before it. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import { elementCount } from '../../graph.ts';
import type { SliceAttributes } from './concat.ts';

export const concat: ReferenceKernel<{ readonly axis: 0 | 1 }> = ({ inputs, out, shape, attributes: { axis } }) => {
  const rows = elementCount(shape.slice(0, axis));
  let start = 0;
  for (const each of inputs) {
    const length = each.length / rows;
    for (let row = 0; row < rows; row++)
      out.set(each.subarray(row * length, (row + 1) * length), (row * out.length) / rows + start);
    start += length;
  }
};

export const slice: ReferenceKernel<SliceAttributes> = ({ inputs: [x], out, shape, attributes: { axis, start } }) => {
  const rows = elementCount(shape.slice(0, axis));
  const length = out.length / rows;
  const before = start * elementCount(shape.slice(axis + 1));
  for (let row = 0; row < rows; row++) {
    const from = (row * x.length) / rows + before;
    out.set(x.subarray(from, from + length), row * length);
  }
};
