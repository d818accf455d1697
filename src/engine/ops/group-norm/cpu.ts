/** GroupNorm on the CPU: sums by plane, then one pass. All in blocks; a tensor of fewer than 8 channels is brought there and back. */
import { alwaysPlain, blockCount, type CpuKernel, type CpuTensor, type Emitter, floatWord } from '../../backends/cpu/lowering.ts';
import type { Shape } from '../../graph.ts';
import type { GroupNormAttributes } from './group-norm.ts';

/** Two doubles for each channel of each plane. */
const partialBytes = ([batch, channels, depth]: Shape): number => batch! * blockCount(channels!) * depth! * 128;

/** Emits what fills a blocked tensor, and brings that to `out` if it is another. */
function intoBlocked(out: CpuTensor, emitter: Emitter, emit: (blocked: CpuTensor) => void): void {
  const blocked = out.blocked ? out : emitter.scratchTensor(out.shape, true);
  emit(blocked);
  if (blocked !== out) emitter.emit('toPlain', blocked, out);
}

export const groupStatistics: CpuKernel<GroupNormAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [given], out, attributes: { groups, eps } }, emitter) => {
    const x = emitter.toBlocked(given);
    const partial = emitter.scratch(partialBytes(x.shape));
    emitter.emit('groupSums', x, partial);
    emitter.emit('groupStatistics', x, partial, out.data, groups, floatWord(eps));
  },
};

export const groupNorm: CpuKernel<GroupNormAttributes> = {
  lower: ({ inputs: [x, statistics, gamma, beta], out, attributes: { groups, slope } }, emitter) => {
    const from = emitter.toBlocked(x);
    intoBlocked(out, emitter, (y) => {
      emitter.emit('groupNorm', from, statistics.data, gamma.data, beta.data, y, groups, floatWord(slope));
    });
  },
};

export const groupNormSums: CpuKernel<GroupNormAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [given, statistics, gamma, beta, dOut], out, attributes: { groups, slope } }, emitter) => {
    const [x, dy] = [given, dOut].map(emitter.toBlocked);
    const partial = emitter.scratch(partialBytes(x.shape));
    emitter.emit('groupNormSums', x, statistics.data, gamma.data, beta.data, dy, partial, groups, floatWord(slope));
    emitter.emit('collectChannelSums', x, partial, out.data);
  },
};

export const groupNormInputGradient: CpuKernel<GroupNormAttributes> = {
  lower: ({ inputs: [given, statistics, gamma, beta, dOut, sums], out, attributes: { groups, slope } }, emitter) => {
    const [x, dy] = [given, dOut].map(emitter.toBlocked);
    intoBlocked(out, emitter, (dx) => {
      emitter.emit(
        'groupNormInputGradient',
        x,
        statistics.data,
        gamma.data,
        beta.data,
        dy,
        sums.data,
        dx,
        groups,
        floatWord(slope),
      );
    });
  },
};

export const sumPick: CpuKernel<{ readonly pick: 0 | 1 }> = {
  lower: ({ inputs: [sums], out, attributes: { pick } }, emitter) => {
    emitter.emitWhole('sumPick', sums.data, out.data, sums.shape[0]!, sums.shape[1]!, pick);
  },
};
