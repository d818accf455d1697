/**
 * Softmax over the channels (axis 1), with the greatest value subtracted first.
 *
 * y_c = exp(x_c) / sum exp(x);  d x_c = y_c (dy_c - sum over k of dy_k y_k).
 */
import { checkShape, formatShape, type Graph, type Node, type Operation } from '../../graph.ts';

/** x (N, C) or (N, C, D, H, W), result of the same shape. */
export const softmaxOp: Operation<undefined> = {
  name: 'softmax',
  shape: ([x]) => {
    checkShape(x.length === 2 || x.length === 5, 'softmax', () => `needs (N, C) or (N, C, D, H, W), got ${formatShape(x)}`);
    return x;
  },
  gradient: (graph, node, dOut) => [graph.apply(softmaxGradientOp, [node, dOut], undefined)],
};

/** inputs: y (softmax's result), dy. Result dx. */
export const softmaxGradientOp: Operation<undefined> = { name: 'softmaxGradient', shape: ([y]) => y };

export const softmax = (graph: Graph, x: Node): Node => graph.apply(softmaxOp, [x], undefined);
