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

/** Whether the first class's logit is left out, the others being less it: it is 0. */
export interface ProbabilityAttributes {
  readonly relative: boolean;
}

/**
 * What a trained network says: softmax without a gradient. x (N, C) or (N, C, D, H, W); result of the same shape, or with `relative` of one
 * channel more.
 */
export const probabilitiesOp: Operation<ProbabilityAttributes> = {
  name: 'probabilities',
  shape: ([x], { relative }) => {
    const [n, channels, ...size] = softmaxOp.shape([x], undefined);
    return [n, channels + (relative ? 1 : 0), ...size];
  },
};

export const softmax = (graph: Graph, x: Node): Node => graph.apply(softmaxOp, [x], undefined);
export const probabilities = (graph: Graph, x: Node, attributes: ProbabilityAttributes): Node =>
  graph.apply(probabilitiesOp, [x], attributes);
