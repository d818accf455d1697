/** Sums and broadcasts on the CPU. Halo and padding are zeros, so a sum over everything may take them along. */
import {
  alwaysPlain,
  BLOCK,
  blockCount,
  blockedByChannels,
  type CpuKernel,
  type CpuTensor,
  chunkCount,
  type Emitter,
  emitSum,
  type Place,
} from '../../backends/cpu/lowering.ts';
import { elementCount } from '../../graph.ts';

/** Emits the sums of every plane of x and gives their place. */
function planeSums(x: CpuTensor, emitter: Emitter): Place {
  const [batch, channels, depth] = x.shape;
  const partial = emitter.scratch(8 * batch * depth * (x.blocked ? blockCount(channels) * BLOCK : channels));
  emitter.emit('planeSums', { x, partial });
  return partial;
}

export const channelSum: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out }, emitter) => emitter.emit('channelSum', { x, partial: planeSums(x, emitter), out: out.data }),
};

export const batchSum: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out }, emitter) => emitter.emit('batchSum', { x, out: out.data }),
};

export const batchBroadcast: CpuKernel<{ readonly batch: number }> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out }, emitter) => emitter.emit('batchBroadcast', { x: x.data, out }),
};

export const globalAverage: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out }, emitter) => emitter.emit('globalAverage', { x, partial: planeSums(x, emitter), out: out.data }),
};

export const spatialBroadcast: CpuKernel<{ readonly size: readonly [number, number, number]; readonly scale: number }> = {
  blocked: blockedByChannels,
  lower: ({ inputs: [x], out, attributes: { scale } }, emitter) => {
    emitter.emit('spatialBroadcast', { x, out, scale });
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};

export const sumOfSquares: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out }, emitter) =>
    emitSum(emitter, chunkCount(x), out, 1, (partial) => emitter.emit('squareSums', { x, partial })),
};

export const mean: CpuKernel<undefined> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out }, emitter) =>
    emitSum(emitter, chunkCount(x), out, elementCount(x.shape), (partial) => emitter.emit('elementSums', { x, partial })),
};

export const fill: CpuKernel<{ readonly shape: readonly number[]; readonly scale: number }> = {
  blocked: blockedByChannels,
  lower: ({ inputs: [value], out, attributes: { scale } }, emitter) => {
    emitter.emit('fill', { value: value.data, out, scale });
    if (out.blocked) emitter.emit('clearPadding', { tensor: out });
  },
};
