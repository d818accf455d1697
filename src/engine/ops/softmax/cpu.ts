/** Softmax on the CPU, in the layout of its result. */
import {
  BLOCK,
  blockCount,
  blockedByChannels,
  type CpuCall,
  type CpuKernel,
  type Emitter,
  inLayoutOf,
} from '../../backends/cpu/lowering.ts';
import type { ProbabilityAttributes } from './softmax.ts';

function lower({ inputs: [x], out }: CpuCall<unknown>, emitter: Emitter): void {
  // a row of every channel, and the last four voxels of a row
  if (out.blocked) emitter.threadScratch(4 * BLOCK * (blockCount(out.shape[1]) + 1) * (out.shape[4] + BLOCK));
  emitter.emit('softmax', { x: inLayoutOf(out, x, emitter), out });
}

export const softmax: CpuKernel<undefined> = { lower };
export const probabilities: CpuKernel<ProbabilityAttributes> = { blocked: blockedByChannels, lower };

export const softmaxGradient: CpuKernel<undefined> = {
  lower: ({ inputs: [y, dOut], out }, emitter) =>
    emitter.emit('softmaxGradient', { y: inLayoutOf(out, y, emitter), dy: inLayoutOf(out, dOut, emitter), out }),
};
