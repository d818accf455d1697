/** Trilinear up-sampling on the CPU, in the layout of what is resized. */
import { type CpuCall, type CpuKernel, type Emitter, inLayoutOf, type TensorForm } from '../../backends/cpu/lowering.ts';
import { checkShape } from '../../graph.ts';

/** A row of the larger volume must fit into a thread's scratch, in blocks of 8 channels. */
const MAX_WIDTH = 2000;

function resize(
  kernel: 'upsample' | 'upsampleGradient',
  larger: TensorForm,
  { inputs: [x], out }: CpuCall<undefined>,
  emitter: Emitter,
): void {
  const width = larger.shape[4];
  checkShape(width <= MAX_WIDTH, kernel, () => `the CPU backend takes rows of at most ${MAX_WIDTH} voxels, got ${width}`);
  emitter.emit(kernel, inLayoutOf(out, x, emitter), out);
}

export const upsample: CpuKernel<undefined> = { lower: (call, emitter) => resize('upsample', call.out, call, emitter) };
export const upsampleGradient: CpuKernel<undefined> = {
  lower: (call, emitter) => resize('upsampleGradient', call.inputs[0], call, emitter),
};
