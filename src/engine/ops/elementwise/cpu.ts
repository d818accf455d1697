/** Element by element on the CPU: all in one layout, blocked if any input is, and the padding cleared where zero does not stay zero. */
import { anyBlocked, type CpuKernel, floatWord, inLayoutOf } from '../../backends/cpu/lowering.ts';
import type { UnaryAttributes, UnaryFunction } from './elementwise.ts';

const pairwise = (kernel: string): CpuKernel<undefined> => ({
  blocked: anyBlocked,
  lower: ({ inputs: [a, b], out }, emitter) => {
    emitter.emit(kernel, inLayoutOf(out, a, emitter), inLayoutOf(out, b, emitter), out);
  },
});

export const add = pairwise('add');
export const multiply = pairwise('multiply');

export const scale: CpuKernel<{ readonly scale: number; readonly shift: number }> = {
  blocked: anyBlocked,
  lower: ({ inputs: [x], out, attributes: { scale: factor, shift } }, emitter) => {
    emitter.emit('scale', x, out, floatWord(factor), floatWord(shift));
    if (out.blocked && shift !== 0) emitter.emit('clearPadding', out);
  },
};

export const multiplyByScalar: CpuKernel<undefined> = {
  blocked: anyBlocked,
  lower: ({ inputs: [x, scalar], out }, emitter) => emitter.emit('multiplyByScalar', x, out, scalar.data),
};

/** How the kernel `unary` knows a function. */
const CODES: { readonly [Name in Exclude<UnaryFunction, 'leakyRelu'>]: number } = { tanh: 0, sigmoid: 1 };

export const unary: CpuKernel<UnaryAttributes> = {
  blocked: anyBlocked,
  lower: ({ inputs: [x], out, attributes }, emitter) => {
    if (attributes.function === 'leakyRelu') {
      emitter.emit('leakyRelu', x, out, floatWord(attributes.parameter));
      return;
    }
    emitter.emit('unary', x, out, CODES[attributes.function]);
    if (out.blocked && attributes.function === 'sigmoid') emitter.emit('clearPadding', out);
  },
};

export const unaryGradient: CpuKernel<UnaryAttributes> = {
  blocked: anyBlocked,
  lower: ({ inputs, out, attributes }, emitter) => {
    const [y, dOut] = inputs.map((each) => inLayoutOf(out, each, emitter));
    if (attributes.function === 'leakyRelu') {
      emitter.emit('leakyReluGradient', y, dOut, out, floatWord(attributes.parameter));
    } else {
      emitter.emit('unaryGradient', y, dOut, out, CODES[attributes.function]);
    }
  },
};
