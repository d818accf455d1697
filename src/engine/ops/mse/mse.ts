/** Mean squared error: mean of (a - b)^2. d a = 2 dOut (a - b) / elements, d b = -d a. */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

/** inputs: a, b of one shape. Result: a scalar. */
export const mseOp: Operation<undefined> = {
  name: 'mse',
  shape: ([a, b]) => {
    checkShape(sameShape(a, b), 'mse', () => `both inputs must have one shape, got ${formatShape(a)} and ${formatShape(b)}`);
    return [];
  },
  gradient: (graph, { inputs: [a, b] }, dOut, needs) => [
    needs[0] ? graph.apply(mseGradientOp, [a, b, dOut], undefined) : undefined,
    needs[1] ? graph.apply(mseGradientOp, [b, a, dOut], undefined) : undefined,
  ],
};

/** inputs: a, b, dOut (scalar). Result d a. */
export const mseGradientOp: Operation<undefined> = { name: 'mseGradient', shape: ([a]) => a };

export const mseLoss = (graph: Graph, a: Node, b: Node): Node => graph.apply(mseOp, [a, b], undefined);
