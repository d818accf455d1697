/** Element by element on the CPU: all in one layout, blocked if any input is, and the padding cleared where zero does not stay zero. */
import { anyBlocked, type CpuKernel, inLayoutOf } from '../../backends/cpu/lowering.ts';
import type { UnaryAttributes, UnaryFunction } from './elementwise.ts';

const pairwise = (kernel: 'add' | 'multiply'): CpuKernel<undefined> => ({
  blocked: anyBlocked,
  lower: ({ inputs: [a, b], out }, emitter) => {
    emitter.emit(kernel, { a: inLayoutOf(out, a, emitter), b: inLayoutOf(out, b, emitter), out });
  },
});

export const add = pairwise('add');
export const multiply = pairwise('multiply');

export const scale: CpuKernel<{ readonly scale: number; readonly shift: number }> = {
  blocked: anyBlocked,
  lower: ({ inputs: [x], out, attributes: { scale: factor, shift } }, emitter) => {
    emitter.emit('scale', { x, out, factor, shift });
    if (out.blocked && shift !== 0) emitter.emit('clearPadding', { tensor: out });
  },
};

export const multiplyByScalar: CpuKernel<undefined> = {
  blocked: anyBlocked,
  lower: ({ inputs: [x, scalar], out }, emitter) => emitter.emit('multiplyByScalar', { x, out, scalar: scalar.data }),
};

/** How the kernels know a function. */
const SIGMOID: { readonly [Name in Exclude<UnaryFunction, 'leakyRelu'>]: number } = { tanh: 0, sigmoid: 1 };

export const unary: CpuKernel<UnaryAttributes> = {
  blocked: anyBlocked,
  lower: ({ inputs: [x], out, attributes }, emitter) => {
    if (attributes.function === 'leakyRelu') {
      emitter.emit('leakyRelu', { x, out, slope: attributes.parameter });
      return;
    }
    emitter.emit('unary', { x, out, sigmoid: SIGMOID[attributes.function] });
    if (out.blocked && attributes.function === 'sigmoid') emitter.emit('clearPadding', { tensor: out });
  },
};

export const unaryGradient: CpuKernel<UnaryAttributes> = {
  blocked: anyBlocked,
  lower: ({ inputs, out, attributes }, emitter) => {
    const [y, dOut] = inputs.map((each) => inLayoutOf(out, each, emitter));
    if (attributes.function === 'leakyRelu') {
      emitter.emit('leakyReluGradient', { a: y, b: dOut, out, slope: attributes.parameter });
    } else {
      emitter.emit('unaryGradient', { y, dOut, out, sigmoid: SIGMOID[attributes.function] });
    }
  },
};
