/** GroupNorm on the CPU: sums by plane, then one pass. All in blocks; a tensor of fewer than 8 channels is brought there and back. */
import { alwaysPlain, blockCount, type CpuKernel, type CpuTensor, type Emitter } from '../../backends/cpu/lowering.ts';
import type { Shape } from '../../graph.ts';
import type { GroupNormAttributes } from './group-norm.ts';

/** Two doubles for each channel of each plane. */
const partialBytes = ([batch, channels, depth]: Shape): number => batch * blockCount(channels) * depth * 128;

/** Emits what fills a blocked tensor, and brings that to `out` if it is another. */
function intoBlocked(out: CpuTensor, emitter: Emitter, emit: (blocked: CpuTensor) => void): void {
  const blocked = out.blocked ? out : emitter.scratchTensor(out.shape, true);
  emit(blocked);
  if (blocked !== out) emitter.emit('toPlain', { from: blocked, to: out });
}

/** What every pass over a normalised tensor is told: x, statistics, gamma and beta come first among its inputs. */
const normalisationOf = (
  [x, statistics, gamma, beta]: readonly CpuTensor[],
  { groups, slope }: GroupNormAttributes,
  emitter: Emitter,
) => ({
  x: emitter.toBlocked(x),
  statistics: statistics.data,
  gamma: gamma.data,
  beta: beta.data,
  groups,
  slope,
});

export const groupStatistics: CpuKernel<GroupNormAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [given], out, attributes: { groups, eps } }, emitter) => {
    const x = emitter.toBlocked(given);
    const partial = emitter.scratch(partialBytes(x.shape));
    emitter.emit('groupSums', { x, partial });
    emitter.emit('groupStatistics', { x, partial, statistics: out.data, groups, eps });
  },
};

export const groupNorm: CpuKernel<GroupNormAttributes> = {
  lower: ({ inputs, out, attributes }, emitter) => {
    const normalisation = normalisationOf(inputs, attributes, emitter);
    intoBlocked(out, emitter, (y) => emitter.emit('groupNorm', { ...normalisation, y }));
  },
};

export const groupNormSums: CpuKernel<GroupNormAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs, out, attributes }, emitter) => {
    const normalisation = normalisationOf(inputs, attributes, emitter);
    const dy = emitter.toBlocked(inputs[4]);
    const { x } = normalisation;
    const partial = emitter.scratch(partialBytes(x.shape));
    emitter.emit('groupNormSums', { ...normalisation, dy, partial });
    emitter.emit('collectChannelSums', { x, partial, sums: out.data });
  },
};

export const groupNormInputGradient: CpuKernel<GroupNormAttributes> = {
  lower: ({ inputs, out, attributes }, emitter) => {
    const normalisation = normalisationOf(inputs, attributes, emitter);
    const [dy, sums] = [emitter.toBlocked(inputs[4]), inputs[5].data];
    intoBlocked(out, emitter, (dx) => emitter.emit('groupNormInputGradient', { ...normalisation, dy, sums, dx }));
  },
};

export const sumPick: CpuKernel<{ readonly pick: 0 | 1 }> = {
  lower: ({ inputs: [sums], out, attributes: { pick } }, emitter) => {
    const [batch, channels] = sums.shape as [number, number];
    emitter.emitWhole('sumPick', { sums: sums.data, out: out.data, batch, channels, pick });
  },
};
