/** Trilinear up-sampling on the CPU, in the layout of what is resized. */
import { type CpuKernel, type Emitter, inLayoutOf, type TensorForm, VOXEL_BYTES } from '../../backends/cpu/lowering.ts';
import { checkShape } from '../../graph.ts';
import { TABLE_BYTES } from './constants.ts';

/** Places between voxels are products of two of an axis's places, in 32 bits. */
const MAX_SIDE = 65_536;

/** A thread's scratch for the rows of the larger volume. @throws ShapeError if they are too long */
function needLine(kernel: 'upsample' | 'upsampleGradient', larger: TensorForm, emitter: Emitter): void {
  const sizes = larger.shape.slice(2);
  checkShape(
    sizes.every((side) => side <= MAX_SIDE),
    kernel,
    () => `the CPU backend resizes volumes of at most ${MAX_SIDE} voxels along an axis, got ${sizes.join(' x ')}`,
  );
  emitter.threadScratch(TABLE_BYTES + VOXEL_BYTES * sizes[2]);
}

export const upsample: CpuKernel<undefined> = {
  lower: ({ inputs: [x], out }, emitter) => {
    needLine('upsample', out, emitter);
    emitter.emit('upsample', { x: inLayoutOf(out, x, emitter), y: out });
  },
};
export const upsampleGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [dOut], out }, emitter) => {
    needLine('upsampleGradient', dOut, emitter);
    emitter.emit('upsampleGradient', { dy: inLayoutOf(out, dOut, emitter), dx: out });
  },
};
