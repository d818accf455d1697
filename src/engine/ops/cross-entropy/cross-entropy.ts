/**
 * Cross-entropy from logits, in its two forms.
 *
 * crossEntropy: -mean over samples and voxels of sum_c g_c log softmax(x)_c;  d x = dOut (softmax(x) sum_c g_c - g) / (N voxels).
 * binaryCrossEntropy: mean of max(x, 0) - x g + log(1 + exp(-|x|));  d x = dOut (sigmoid(x) - g) / elements.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

const pairShape =
  (op: string, ranks: readonly number[] | undefined): Operation['shape'] =>
  ([logits, truth]) => {
    checkShape(
      sameShape(logits, truth) && (ranks === undefined || ranks.includes(logits.length)),
      op,
      () =>
        `logits and truth must have one shape${ranks ? ' (N, C, D, H, W) or (N, C)' : ''}, got ${formatShape(logits)} and ${formatShape(truth)}`,
    );
    return [];
  };

/** inputs: logits (N, C, D, H, W), or (N, C) of whole samples; one-hot truth. Result: a scalar. */
export const crossEntropyOp: Operation<undefined> = {
  name: 'crossEntropy',
  shape: pairShape('crossEntropy', [5, 2]),
  gradient: (graph, { inputs: [logits, truth] }, dOut) => [
    graph.apply(crossEntropyGradientOp, [logits, truth, dOut], undefined),
    undefined,
  ],
};

/** inputs: logits, truth, dOut (scalar). Result d logits. */
export const crossEntropyGradientOp: Operation<undefined> = { name: 'crossEntropyGradient', shape: ([logits]) => logits };

/** inputs: logits of any shape, truth in [0, 1]. Result: a scalar. */
export const binaryCrossEntropyOp: Operation<undefined> = {
  name: 'binaryCrossEntropy',
  shape: pairShape('binaryCrossEntropy', undefined),
  gradient: (graph, { inputs: [logits, truth] }, dOut) => [
    graph.apply(binaryCrossEntropyGradientOp, [logits, truth, dOut], undefined),
    undefined,
  ],
};

/** inputs: logits, truth, dOut (scalar). Result d logits. */
export const binaryCrossEntropyGradientOp: Operation<undefined> = {
  name: 'binaryCrossEntropyGradient',
  shape: ([logits]) => logits,
};

export const crossEntropyLoss = (graph: Graph, logits: Node, truth: Node): Node =>
  graph.apply(crossEntropyOp, [logits, truth], undefined);
export const binaryCrossEntropyLoss = (graph: Graph, logits: Node, truth: Node): Node =>
  graph.apply(binaryCrossEntropyOp, [logits, truth], undefined);
