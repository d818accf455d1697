/**
 * Element by element: sums, products, and functions of one value.
 *
 * `unary` is one operation with a small closed list of functions, so that a backend has one kernel with one switch.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

const sameShapes =
  (op: string): Operation['shape'] =>
  (inputs) => {
    const [a, b] = [inputs[0], inputs[1]];
    checkShape(sameShape(a, b), op, () => `both inputs must have one shape, got ${formatShape(a)} and ${formatShape(b)}`);
    return a;
  };

/** a + b, same shapes. d a = d b = dOut. */
export const addOp: Operation<undefined> = {
  name: 'add',
  shape: sameShapes('add'),
  gradient: (_graph, _node, dOut) => [dOut, dOut],
};

/** a * b element by element, same shapes. d a = dOut b, d b = dOut a. */
export const multiplyOp: Operation<undefined> = {
  name: 'multiply',
  shape: sameShapes('multiply'),
  gradient: (graph, { inputs: [a, b] }, dOut, needs) => [
    needs[0] ? multiply(graph, dOut, b) : undefined,
    needs[1] ? multiply(graph, dOut, a) : undefined,
  ],
};

/** scale * x + shift with fixed numbers. d x = scale dOut. */
export const scaleOp: Operation<{ readonly scale: number; readonly shift: number }> = {
  name: 'scale',
  shape: (inputs) => inputs[0],
  gradient: (graph, { attributes }, dOut) => [scale(graph, dOut, attributes.scale)],
};

/** scalar * x, the scalar being a tensor of shape []: how a loss gradient meets a stored partial derivative. No gradient of its own. */
export const multiplyByScalarOp: Operation<undefined> = {
  name: 'multiplyByScalar',
  shape: ([x, scalar]) => {
    checkShape(scalar.length === 0, 'multiplyByScalar', () => `the second input must be a scalar, got ${formatShape(scalar)}`);
    return x;
  },
};

/** A function of one value: its parameter is the negative slope for 'leakyRelu', unused otherwise. */
export type UnaryFunction = 'tanh' | 'sigmoid' | 'leakyRelu';
export interface UnaryAttributes {
  readonly function: UnaryFunction;
  readonly parameter: number;
}

/** f(x). */
export const unaryOp: Operation<UnaryAttributes> = {
  name: 'unary',
  shape: (inputs) => inputs[0],
  gradient: (graph, node, dOut) => [graph.apply(unaryGradientOp, [node, dOut], node.attributes)],
};

/**
 * dOut f'(x), from the result y = f(x), which all three allow:
 * tanh' = 1 - y^2, sigmoid' = y (1 - y), leakyRelu' = 1 where y > 0, else the slope.
 */
export const unaryGradientOp: Operation<UnaryAttributes> = {
  name: 'unaryGradient',
  shape: sameShapes('unaryGradient'),
};

export const add = (graph: Graph, a: Node, b: Node): Node => graph.apply(addOp, [a, b], undefined);
export const multiply = (graph: Graph, a: Node, b: Node): Node => graph.apply(multiplyOp, [a, b], undefined);
export const scale = (graph: Graph, x: Node, factor: number, shift = 0): Node =>
  graph.apply(scaleOp, [x], { scale: factor, shift });
export const multiplyByScalar = (graph: Graph, x: Node, scalar: Node): Node =>
  graph.apply(multiplyByScalarOp, [x, scalar], undefined);
export const tanh = (graph: Graph, x: Node): Node => graph.apply(unaryOp, [x], { function: 'tanh', parameter: 0 });
export const sigmoid = (graph: Graph, x: Node): Node => graph.apply(unaryOp, [x], { function: 'sigmoid', parameter: 0 });
export const leakyRelu = (graph: Graph, x: Node, slope = 0.2): Node =>
  graph.apply(unaryOp, [x], { function: 'leakyRelu', parameter: slope });
/** max(x, 0); its derivative at 0 is 0. */
export const relu = (graph: Graph, x: Node): Node => leakyRelu(graph, x, 0);
