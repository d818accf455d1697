/**
 * Mean squared error, of all elements or of those that a mask counts.
 *
 * mse: mean of (a - b)^2.  d a = 2 dOut (a - b) / elements,  d b = -d a.
 * maskedMse: mean over samples of sum mask (a - b)^2 / M, M being the sum of the sample's mask.  d a = 2 dOut mask (a - b) / (samples M),
 *   d b = -d a. A sample whose mask is empty counts as 0 and has no gradient.
 */
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

/** inputs: a, b and mask (0 or more) of one shape (N, ...). Result: a scalar. No gradient for the mask. */
export const maskedMseOp: Operation<undefined> = {
  name: 'maskedMse',
  shape: ([a, b, mask]) => {
    checkShape(
      a.length > 1 && sameShape(a, b) && sameShape(a, mask),
      'maskedMse',
      () => `both inputs and the mask must have one shape (N, ...), got ${[a, b, mask].map(formatShape).join(', ')}`,
    );
    return [];
  },
  gradient: (graph, { inputs: [a, b, mask] }, dOut, needs) => [
    needs[0] ? graph.apply(maskedMseGradientOp, [a, b, mask, dOut], undefined) : undefined,
    needs[1] ? graph.apply(maskedMseGradientOp, [b, a, mask, dOut], undefined) : undefined,
    undefined,
  ],
};

/** inputs: a, b, mask, dOut (scalar). Result d a. */
export const maskedMseGradientOp: Operation<undefined> = { name: 'maskedMseGradient', shape: ([a]) => a };

export const mseLoss = (graph: Graph, a: Node, b: Node): Node => graph.apply(mseOp, [a, b], undefined);
/** The mean over the samples of each sample's squared error over what its mask counts. */
export const maskedMseLoss = (graph: Graph, a: Node, b: Node, mask: Node): Node =>
  graph.apply(maskedMseOp, [a, b, mask], undefined);
