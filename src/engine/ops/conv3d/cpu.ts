/** Convolution on the CPU: pack the weights, convolve; the weights' gradient in slabs that are then added. */

import {
  alwaysPlain,
  BLOCK,
  blockCount,
  blockedByChannels,
  type CpuCall,
  type CpuKernel,
  type Emitter,
  inOnePiece,
} from '../../backends/cpu/lowering.ts';
import { align } from '../../plan.ts';

/** Work units below which the weights' gradient is cut into more slabs, so that several threads have something to do. */
const UNITS_WANTED = 32;

const packedBytes = (channelsOut: number, channelsIn: number, kernel: number): number =>
  blockCount(channelsOut) * blockCount(channelsIn) * kernel ** 3 * BLOCK * BLOCK * 4;

function convolve({ inputs: [x, weight, bias], out }: CpuCall<undefined>, emitter: Emitter, adjoint: 0 | 1): void {
  const [channelsOut, channelsIn, kernel] = weight!.shape as [number, number, number];
  const packed = emitter.scratch(packedBytes(out.shape[1]!, x!.shape[1]!, kernel));
  emitter.emit(
    'packWeights',
    inOnePiece(emitter.toPlain(weight!), emitter).data,
    packed,
    channelsOut,
    channelsIn,
    kernel,
    adjoint,
  );
  emitter.emit('conv3d', emitter.toBlocked(x!), packed, bias?.data ?? 0, out, kernel);
}

export const conv3d: CpuKernel<undefined> = { blocked: blockedByChannels, lower: (call, emitter) => convolve(call, emitter, 0) };
export const conv3dInputGradient: CpuKernel<undefined> = {
  blocked: blockedByChannels,
  lower: (call, emitter) => convolve(call, emitter, 1),
};

export const conv3dWeightGradient: CpuKernel<{ readonly kernel: number }> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x, dOut], out, attributes: { kernel } }, emitter) => {
    const [channelsOut, channelsIn] = out.shape as [number, number];
    const planes = x!.shape[0]! * x!.shape[2]!;
    const pairs = blockCount(channelsOut) * blockCount(channelsIn);
    const slabs = Math.min(planes, Math.max(1, Math.ceil(UNITS_WANTED / pairs)));
    const partial = emitter.scratch(align(slabs * packedBytes(channelsOut, channelsIn, kernel)));
    emitter.emit('conv3dWeightGradient', emitter.toBlocked(x!), emitter.toBlocked(dOut!), partial, kernel, slabs);
    emitter.emit('unpackWeightGradient', partial, out.data, channelsOut, channelsIn, kernel, slabs);
  },
};
