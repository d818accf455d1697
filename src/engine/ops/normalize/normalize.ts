/**
 * Normalising the rows of a matrix: to mean 0 and variance 1 (layer norm; Ba, Kiros and Hinton, 2016), or to length 1. And what is made of it.
 *
 * layerNorm: y = (x - m) / s, where m is the row's mean and s = sqrt(mean (x - m)^2 + eps);
 *   d x = (dy - mean dy - y mean(dy y)) / s.
 * l2Normalize: y = x / s, where s = max(|x|, eps);
 *   d x = (dy - y sum(dy y)) / s where |x| >= eps, else dy / eps.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';
import { add, multiply } from '../elementwise/elementwise.ts';
import { matmul } from '../matmul/matmul.ts';
import { batchBroadcast } from '../reduce/reduce.ts';

export interface NormalizeAttributes {
  readonly function: 'layerNorm' | 'l2Normalize';
  readonly eps: number;
}

/** x (N, C), result of the same shape. */
export const normalizeOp: Operation<NormalizeAttributes> = {
  name: 'normalize',
  shape: ([x], attributes) => {
    checkShape(x.length === 2, attributes.function, () => `needs (N, C), got ${formatShape(x)}`);
    return x;
  },
  gradient: (graph, { inputs: [x], attributes }, dOut) => [graph.apply(normalizeGradientOp, [x, dOut], attributes)],
};

/** inputs: x (N, C), dy. Result dx. The rows' statistics are computed again. */
export const normalizeGradientOp: Operation<NormalizeAttributes> = { name: 'normalizeGradient', shape: ([x]) => x };

/** Layer norm over the channels of x (N, C), times gamma (C) and plus beta (C) where they are given. */
export function layerNorm(graph: Graph, x: Node, gamma?: Node, beta?: Node, eps = 1e-5): Node {
  let y: Node = graph.apply(normalizeOp, [x], { function: 'layerNorm', eps });
  const [batch, channels] = x.shape;
  for (const [name, each] of Object.entries({ gamma, beta }))
    checkShape(
      each === undefined || sameShape(each.shape, [channels]),
      'layerNorm',
      () => `${name} expects [${channels}], got ${formatShape(each!.shape)}`,
    );
  if (gamma) y = multiply(graph, y, batchBroadcast(graph, gamma, batch));
  if (beta) y = add(graph, y, batchBroadcast(graph, beta, batch));
  return y;
}

/** The rows of x (N, C) over their Euclidean lengths, which count as at least `eps`. */
export const l2Normalize = (graph: Graph, x: Node, eps = 1e-12): Node =>
  graph.apply(normalizeOp, [x], { function: 'l2Normalize', eps });

/** The cosines between the rows of a and b (N, C), as a column (N, 1); lengths count as at least `eps`. */
export function cosineSimilarity(graph: Graph, a: Node, b: Node, eps = 1e-8): Node {
  const products = multiply(graph, l2Normalize(graph, a, eps), l2Normalize(graph, b, eps));
  const [, channels] = a.shape;
  return matmul(graph, products, graph.constant(new Float32Array(channels).fill(1), [channels, 1]));
}
