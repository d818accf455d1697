/** Element by element, as elementwise.ts says. */
import { leakyReluDerivative, type NearTies, type ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { UnaryAttributes, UnaryFunction } from './elementwise.ts';

export const add: ReferenceKernel<undefined> = ({ inputs: [a, b], out }) => {
  for (let i = 0; i < out.length; i++) out[i] = a[i] + b[i];
};

export const multiply: ReferenceKernel<undefined> = ({ inputs: [a, b], out }) => {
  for (let i = 0; i < out.length; i++) out[i] = a[i] * b[i];
};

export const scale: ReferenceKernel<{ readonly scale: number; readonly shift: number }> = ({
  inputs: [x],
  out,
  attributes: { scale, shift },
}) => {
  for (let i = 0; i < out.length; i++) out[i] = scale * x[i] + shift;
};

export const multiplyByScalar: ReferenceKernel<undefined> = ({ inputs: [x, [scalar]], out }) => {
  for (let i = 0; i < out.length; i++) out[i] = scalar * x[i];
};

const FUNCTIONS: { readonly [Name in UnaryFunction]: (x: number, parameter: number) => number } = {
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  leakyRelu: (x, slope) => (x > 0 ? x : slope * x),
};

/** f'(x) as a function of y = f(x). */
const DERIVATIVES: { readonly [Name in UnaryFunction]: (y: number, parameter: number, ties: NearTies | undefined) => number } = {
  tanh: (y) => 1 - y * y,
  sigmoid: (y) => y * (1 - y),
  // a slope of 0 leaves nothing of how far below 0 x was
  leakyRelu: (y, slope, ties) => leakyReluDerivative(y > 0 || slope === 0 ? y : y / slope, slope, ties),
};

export const unary: ReferenceKernel<UnaryAttributes> = ({ inputs: [x], out, attributes }) => {
  const f = FUNCTIONS[attributes.function];
  for (let i = 0; i < out.length; i++) out[i] = f(x[i], attributes.parameter);
};

export const unaryGradient: ReferenceKernel<UnaryAttributes> = ({ inputs: [y, dOut], out, attributes, ties }) => {
  const derivative = DERIVATIVES[attributes.function];
  for (let i = 0; i < out.length; i++) out[i] = dOut[i] * derivative(y[i], attributes.parameter, ties);
};
