/** Element by element in WGSL. */
import { flat, type WebGpuKernel } from '../../backends/webgpu/kernel.ts';
import type { UnaryAttributes, UnaryFunction } from './elementwise.ts';

const pairwise =
  (name: string, expression: string): WebGpuKernel<undefined> =>
  ({ inputs: [a, b], out }, emitter) =>
    flat(emitter, out.elements, { name, tensors: { a: a, b: b, out }, code: `set_out(i, ${expression});` });

export const add = pairwise('add', 'a(i) + b(i)');
export const multiply = pairwise('multiply', 'a(i) * b(i)');

export const scale: WebGpuKernel<{ readonly scale: number; readonly shift: number }> = (
  { inputs: [x], out, attributes: { scale: factor, shift } },
  emitter,
) =>
  flat(emitter, out.elements, {
    name: 'scale',
    tensors: { x: x, out },
    floats: { factor, shift },
    code: 'set_out(i, u.factor * x(i) + u.shift);',
  });

export const multiplyByScalar: WebGpuKernel<undefined> = ({ inputs: [x, scalar], out }, emitter) =>
  flat(emitter, out.elements, {
    name: 'multiplyByScalar',
    tensors: { x: x, scalar: scalar, out },
    code: 'set_out(i, scalar(0u) * x(i));',
  });

/** Of v; tanh is written out because large arguments overflow in some drivers. */
const FUNCTIONS: { readonly [Name in UnaryFunction]: string } = {
  tanh: 'tanh(clamp(v, -15.0, 15.0))',
  sigmoid: '1.0 / (1.0 + exp(-v))',
  leakyRelu: 'select(u.parameter * v, v, v > 0.0)',
};
/** f'(x) as a function of v = f(x). */
const DERIVATIVES: { readonly [Name in UnaryFunction]: string } = {
  tanh: '(1.0 - v * v)',
  sigmoid: 'v * (1.0 - v)',
  leakyRelu: 'select(u.parameter, 1.0, v > 0.0)',
};

export const unary: WebGpuKernel<UnaryAttributes> = ({ inputs: [x], out, attributes }, emitter) =>
  flat(emitter, out.elements, {
    name: attributes.function,
    tensors: { x: x, out },
    floats: { parameter: attributes.parameter ?? 0 },
    code: `let v = x(i); set_out(i, ${FUNCTIONS[attributes.function]});`,
  });

export const unaryGradient: WebGpuKernel<UnaryAttributes> = ({ inputs: [y, dOut], out, attributes }, emitter) =>
  flat(emitter, out.elements, {
    name: `${attributes.function}Gradient`,
    tensors: { y: y, dOut: dOut, out },
    floats: { parameter: attributes.parameter ?? 0 },
    code: `let v = y(i); set_out(i, dOut(i) * ${DERIVATIVES[attributes.function]});`,
  });
