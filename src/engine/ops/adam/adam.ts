/**
 * The effects: what changes states. Adam (Kingma & Ba, 2015) and AdamW (Loshchilov & Hutter, 2019) as PyTorch computes them, in one pass
 * over flat states; the sum of gradients over the samples of a batch; and averages that follow a state.
 *
 * g' = s g,  m = b1 m + (1 - b1) g',  v = b2 v + (1 - b2) g'^2,  p = k p - lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps), then g = 0,
 * with the scale s of the gradients (clipping, a mean over more than one batch) and k = 1 - lr * decay, or 1 where nothing decays.
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

/**
 * inputs: target (a view of a state), source of the same shape, tau (1). target = tau target + (1 - tau) source: an exponential moving average
 * (a target network, the average of a training's weights).
 */
export const movingAverageOp: Operation<undefined> = {
  name: 'movingAverage',
  writes: 1,
  shape: ([target, source, tau]) => {
    checkShape(
      sameShape(target, source) && sameShape(tau, [1]),
      'movingAverage',
      () => `target and source of one shape and tau [1], got ${[target, source, tau].map(formatShape).join(', ')}`,
    );
    return [];
  },
};

export interface AdamAttributes {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Whether the parameters are multiplied by the third value of `step` first: decoupled weight decay. */
  readonly decays: boolean;
}

/** What a step may do beside moving by the rate. */
export interface AdamStepOptions {
  /** AdamW's factor; 0: none. */
  readonly weightDecay?: number;
  /** Gradients are multiplied by it. Default 1. */
  readonly gradientScale?: number;
}

/** Length of the input `step`. */
export const ADAM_STEP_VALUES = 4;

/**
 * inputs: parameters, first moment, second moment, gradients (all [P], states or views of them), step (4): lr / (1 - b1^t), sqrt(1 - b2^t),
 * 1 - lr * decay, and the gradients' scale. All four states change; the gradients become zero, ready for the next batch.
 */
export const adamOp: Operation<AdamAttributes> = {
  name: 'adam',
  writes: 4,
  shape: ([parameters, first, second, gradients, step]) => {
    checkShape(
      [first, second, gradients].every((each) => sameShape(each, parameters)) && sameShape(step, [ADAM_STEP_VALUES]),
      'adam',
      () =>
        `four states of one shape and step [${ADAM_STEP_VALUES}], got ${[parameters, first, second, gradients, step].map(formatShape).join(', ')}`,
    );
    return [];
  },
};

export const ADAM_DEFAULTS: AdamAttributes = { beta1: 0.9, beta2: 0.999, eps: 1e-8, decays: true };

/** The `step` input for step t = 1, 2, ... at a learning rate. */
export function adamStep(
  learningRate: number,
  t: number,
  { weightDecay = 0, gradientScale = 1 }: AdamStepOptions = {},
  { beta1, beta2 }: Pick<AdamAttributes, 'beta1' | 'beta2'> = ADAM_DEFAULTS,
): Float32Array {
  return Float32Array.of(
    learningRate / (1 - beta1 ** t),
    Math.sqrt(1 - beta2 ** t),
    1 - learningRate * weightDecay,
    gradientScale,
  );
}

export const accumulate = (graph: Graph, target: Node, values: Node, scale = 1): Node =>
  graph.apply(accumulateOp, [target, values], { scale });
/**
 * target = tau target + (1 - tau) source. Nothing reads a state once an effect of its graph has changed it, so an average that follows the
 * parameters has a graph of its own, which runs after the optimiser's.
 */
export const movingAverage = (graph: Graph, target: Node, source: Node, tau: Node): Node =>
  graph.apply(movingAverageOp, [target, source, tau], undefined);
export const adam = (graph: Graph, states: readonly [Node, Node, Node, Node], step: Node, attributes = ADAM_DEFAULTS): Node =>
  graph.apply(adamOp, [...states, step], attributes);
