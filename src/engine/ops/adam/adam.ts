/**
 * The effects: what changes states. Adam (Kingma & Ba, 2015) as PyTorch computes it, without weight decay, over one flat state;
 * and the sum of gradients over the samples of a batch.
 *
 * m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps), then g = 0.
 */
import { checkShape, formatShape, type Graph, type Node, type Operation, sameShape } from '../../graph.ts';

/** inputs: target (a view of a state), values of the same shape. target += scale values. */
export const accumulateOp: Operation<{ readonly scale: number }> = {
  name: 'accumulate',
  writes: 1,
  shape: ([target, values]) => {
    checkShape(sameShape(target, values), 'accumulate', () => `target ${formatShape(target)}, values ${formatShape(values)}`);
    return [];
  },
};

export interface AdamAttributes {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/**
 * inputs: parameters, first moment, second moment, gradients (all [P], states), step (2): lr / (1 - b1^t) and sqrt(1 - b2^t).
 * All four states change; the gradients become zero, ready for the next batch.
 */
export const adamOp: Operation<AdamAttributes> = {
  name: 'adam',
  writes: 4,
  shape: ([parameters, first, second, gradients, step]) => {
    checkShape(
      [first, second, gradients].every((each) => sameShape(each, parameters)) && sameShape(step, [2]),
      'adam',
      () =>
        `four states of one shape and step [2], got ${[parameters, first, second, gradients, step].map(formatShape).join(', ')}`,
    );
    return [];
  },
};

export const ADAM_DEFAULTS: AdamAttributes = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };

/** The `step` input for step t = 1, 2, ... at a learning rate. */
export function adamStep(learningRate: number, t: number, { beta1, beta2 }: AdamAttributes = ADAM_DEFAULTS): Float32Array {
  return Float32Array.of(learningRate / (1 - beta1 ** t), Math.sqrt(1 - beta2 ** t));
}

export const accumulate = (graph: Graph, target: Node, values: Node, scale = 1): Node =>
  graph.apply(accumulateOp, [target, values], { scale });
export const adam = (graph: Graph, states: readonly [Node, Node, Node, Node], step: Node, attributes = ADAM_DEFAULTS): Node =>
  graph.apply(adamOp, [...states, step], attributes);
