/** Joining and cutting on the CPU: copies of whole samples where parts begin at whole blocks; a cut is a part of its input's memory. */
import { BLOCK, blockBytes, type CpuKernel, inLayoutOf, type PlacedForm } from '../../backends/cpu/lowering.ts';
import { elementCount, type Shape } from '../../graph.ts';
import { copyBox } from '../shape/cpu.ts';
import type { SliceAttributes } from './concat.ts';

/** Bytes from a tensor's start to place `start` of an axis, if that is one distance for all samples and begins a block. */
function offsetBytes(form: PlacedForm, axis: 0 | 1, start: number): number | undefined {
  const { shape, blocked, batchStrideBytes } = form;
  if (axis === 0) return shape.length < 2 ? 4 * start : start * batchStrideBytes;
  if (!blocked) return 4 * start * elementCount(shape.slice(2));
  return start % BLOCK === 0 ? (start / BLOCK) * blockBytes(shape) : undefined;
}

const placeOn = (shape: Shape, axis: 0 | 1, start: number): number[] => shape.map((_, i) => (i === axis ? start : 0));

export const concat: CpuKernel<{ readonly axis: 0 | 1 }> = {
  blocked: (inputs, shape) => inputs.some(({ blocked }) => blocked) && shape.length === 5 && shape[1] >= BLOCK,
  lower: ({ inputs, out, attributes: { axis } }, emitter) => {
    let start = 0;
    const starts = inputs.map(({ shape }) => {
      start += shape[axis];
      return start - shape[axis];
    });
    const offsets = starts.map((each) => offsetBytes(out, axis, each)).filter((each) => each !== undefined);
    const whole = offsets.length === inputs.length;
    if (!whole) emitter.emit('zero', out);
    // conversions first, so that the copies stand side by side
    const sources = whole ? inputs.map((each) => inLayoutOf(out, each, emitter)) : inputs;
    sources.forEach((each, i) => {
      if (whole) (i > 0 ? emitter.emitBeside : emitter.emit)('copySamples', each, out, offsets[i]!);
      else copyBox(each, placeOn(each.shape, axis, 0), out, placeOn(out.shape, axis, starts[i]), each.shape, emitter);
    });
  },
};

export const slice: CpuKernel<SliceAttributes> = {
  aliasOffsetBytes: (input, _shape, { axis, start, length }) =>
    axis === 1 && input.blocked && length % BLOCK !== 0 ? undefined : offsetBytes(input, axis, start),
  lower: ({ inputs: [x], out, attributes: { axis, start } }, emitter) => {
    copyBox(x, placeOn(x.shape, axis, start), out, placeOn(x.shape, axis, 0), out.shape, emitter);
    if (out.blocked) emitter.emit('clearPadding', out);
  },
};
