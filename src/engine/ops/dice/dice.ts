/**
 * Soft Dice loss with squared denominators and smoothing 1 (docs/transfer.md): 1 - mean over samples and classes of (2 I + 1) / (P + G + 1),
 * I = sum p g, P = sum p^2, G = sum g^2 over the voxels.
 *
 * For one sample and class, with D = P + G + 1 and M samples times classes:  d p = -dOut / M [ 2 g / D - (2 I + 1) 2 p / D^2 ].
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

/** inputs: probabilities (N, C, D, H, W), one-hot truth of the same shape. Result: a scalar. The truth gets no gradient. */
export const diceOp: Operation<undefined> = {
  name: 'dice',
  shape: ([probabilities, truth]) => {
    checkShape(
      probabilities.length === 5 && sameShape(probabilities, truth),
      'dice',
      () => `needs probabilities and truth (N, C, D, H, W), got ${formatShape(probabilities)} and ${formatShape(truth)}`,
    );
    return [];
  },
  gradient: (graph, { inputs: [probabilities, truth] }, dOut, needs) => [
    needs[0] ? graph.apply(diceGradientOp, [probabilities, truth, dOut], undefined) : undefined,
    undefined,
  ],
};

/** inputs: probabilities, truth, dOut (scalar). Result d probabilities. */
export const diceGradientOp: Operation<undefined> = { name: 'diceGradient', shape: ([probabilities]) => probabilities };

export const diceLoss = (graph: Graph, probabilities: Node, truth: Node): Node =>
  graph.apply(diceOp, [probabilities, truth], undefined);
