/** Joining and cutting in WGSL: pieces of memory are copied, unless they were written where they belong (backends/webgpu/parts.ts). */
import { flat, liesIn, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';
import { elementCount } from '../../graph.ts';
import type { SliceAttributes } from './concat.ts';

export const concat: WebGpuKernel<{ readonly axis: 0 | 1 }> = ({ inputs, out, attributes: { axis } }, emitter) => {
  const rows = elementCount(out.shape.slice(0, axis));
  let start = 0;
  for (const x of inputs) {
    const length = x.elements / rows;
    if (!liesIn(x, out))
      flat(emitter, x.elements, {
        name: 'concat',
        tensors: { x, out },
        uints: { length, whole: out.elements / rows, start },
        code: 'set_out((i / u.length) * u.whole + u.start + i % u.length, x(i));',
      });
    start += length;
  }
};

export const slice: WebGpuKernel<SliceAttributes> = ({ inputs: [x], out, attributes: { axis, start } }, emitter) => {
  const rows = elementCount(out.shape.slice(0, axis));
  flat(emitter, out.elements, {
    name: 'slice',
    tensors: { x: x, out },
    uints: {
      length: out.elements / rows,
      whole: x.elements / rows,
      start: start * elementCount(out.shape.slice(axis + 1)),
    },
    code: 'set_out(i, x((i / u.length) * u.whole + u.start + i % u.length));',
  });
};
