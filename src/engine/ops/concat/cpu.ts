/** Joining and cutting on the CPU: copies of whole samples where parts begin at whole blocks; a cut is a part of its input's memory. */
import { BLOCK, blockBytes, type CpuKernel, inLayoutOf, type PlacedForm, type TensorForm } from '../../backends/cpu/lowering.ts';
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

/** Where each input begins along the axis. */
function startsOf(inputs: readonly TensorForm[], axis: 0 | 1): number[] {
  let start = 0;
  return inputs.map(({ shape }) => {
    start += shape[axis];
    return start - shape[axis];
  });
}

/** Bytes from the result's start to each input's; undefined if not every input begins a block. */
function offsetsOf(inputs: readonly TensorForm[], out: PlacedForm, axis: 0 | 1): number[] | undefined {
  const offsets = startsOf(inputs, axis)
    .map((each) => offsetBytes(out, axis, each))
    .filter((each) => each !== undefined);
  return offsets.length === inputs.length ? offsets : undefined;
}

export const concat: CpuKernel<{ readonly axis: 0 | 1 }> = {
  blocked: (inputs, shape) => inputs.some(({ blocked }) => blocked) && shape.length === 5 && shape[1] >= BLOCK,
  partOffsets: (inputs, out, { axis }) => offsetsOf(inputs, out, axis) ?? [],
  lower: ({ inputs, out, attributes: { axis }, inPlace }, emitter) => {
    const offsets = offsetsOf(inputs, out, axis);
    if (offsets) {
      // conversions first, so that the copies stand side by side
      const copies = inputs.map((each, i) => (inPlace[i] ? undefined : inLayoutOf(out, each, emitter)));
      let first = true;
      copies.forEach((each, i) => {
        if (!each) return;
        (first ? emitter.emit : emitter.emitBeside)('copySamples', { from: each, to: out, offset: offsets[i] });
        first = false;
      });
      return;
    }
    const starts = startsOf(inputs, axis);
    emitter.emit('zero', { tensor: out });
    inputs.forEach((each, i) => {
      copyBox(each, placeOn(each.shape, axis, 0), out, placeOn(out.shape, axis, starts[i]), each.shape, emitter);
    });
  },
};

export const slice: CpuKernel<SliceAttributes> = {
  aliasOffsetBytes: (input, _shape, { axis, start, length }) =>
    axis === 1 && input.blocked && length % BLOCK !== 0 ? undefined : offsetBytes(input, axis, start),
  lower: ({ inputs: [x], out, attributes: { axis, start } }, emitter) => {
    copyBox(x, placeOn(x.shape, axis, start), out, placeOn(x.shape, axis, 0), out.shape, emitter);
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};
