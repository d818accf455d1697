/** Normalising rows on the CPU. All plain. */
import { alwaysPlain, type CpuKernel } from '../../backends/cpu/lowering.ts';
import type { NormalizeAttributes } from './normalize.ts';

const numbersOf = ({ function: kind, eps }: NormalizeAttributes) => ({ layer: kind === 'layerNorm' ? 1 : 0, eps });

export const normalize: CpuKernel<NormalizeAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x], out, attributes }, emitter) => emitter.emit('normalize', { x, out, ...numbersOf(attributes) }),
};

export const normalizeGradient: CpuKernel<NormalizeAttributes> = {
  blocked: alwaysPlain,
  lower: ({ inputs: [x, dOut], out, attributes }, emitter) =>
    emitter.emit('normalizeGradient', { x, dOut, out, ...numbersOf(attributes) }),
};
