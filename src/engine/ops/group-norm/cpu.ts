/** GroupNorm on the CPU: sums by plane, then one pass. */
import { alwaysPlain, blockCount, type CpuKernel, floatWord, requireBlocked } from '../../backends/cpu/lowering.ts';
import type { Shape } from '../../graph.ts';
import type { GroupNormAttributes } from './group-norm.ts';

/** Two doubles for each channel of each plane. */
const partialBytes = ([batch, channels, depth]: Shape): number => batch! * blockCount(channels!) * depth! * 128;

export const groupStatistics: CpuKernel<GroupNormAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out, attributes: { groups, eps } }, emitter) => {
    requireBlocked('groupStatistics', x!);
    const partial = emitter.scratch(partialBytes(x!.shape));
    emitter.emit('groupSums', x!, partial);
    emitter.emit('groupStatistics', x!, partial, out.data, groups, floatWord(eps));
  },
};

export const groupNorm: CpuKernel<GroupNormAttributes> = {
  lower: ({ inputs: [x, statistics, gamma, beta], out, attributes: { groups, slope } }, emitter) => {
    requireBlocked('groupNorm', x!, out);
    emitter.emit('groupNorm', x!, statistics!.data, gamma!.data, beta!.data, out, groups, floatWord(slope));
  },
};

export const groupNormSums: CpuKernel<GroupNormAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x, statistics, gamma, beta, dOut], out, attributes: { groups, slope } }, emitter) => {
    const partial = emitter.scratch(partialBytes(x!.shape));
    const dy = emitter.toBlocked(dOut!);
    emitter.emit('groupNormSums', x!, statistics!.data, gamma!.data, beta!.data, dy, partial, groups, floatWord(slope));
    emitter.emit('collectChannelSums', x!, partial, out.data);
  },
};

export const groupNormInputGradient: CpuKernel<GroupNormAttributes> = {
  lower: ({ inputs: [x, statistics, gamma, beta, dOut, sums], out, attributes: { groups, slope } }, emitter) => {
    const dy = emitter.toBlocked(dOut!);
    emitter.emit(
      'groupNormInputGradient',
      x!,
      statistics!.data,
      gamma!.data,
      beta!.data,
      dy,
      sums!.data,
      out,
      groups,
      floatWord(slope),
    );
  },
};

export const sumPick: CpuKernel<{ readonly pick: 0 | 1 }> = {
  lower: ({ inputs: [sums], out, attributes: { pick } }, emitter) => {
    emitter.emit('sumPick', sums!.data, out.data, sums!.shape[0]!, sums!.shape[1]!, pick);
  },
};
