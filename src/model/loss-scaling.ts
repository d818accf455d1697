/**
 * Scaling of the loss, for backends that store gradients in half precision: below 6e-8 a half is 0, and the gradient of a mean over two
 * million voxels is smaller. So the loss is multiplied before it is differentiated, and each parameter's gradient, which is single, divided
 * after. The factor is as large as it can be: halved when a gradient overflows (that step is skipped), doubled after many that did not
 * (Micikevicius et al., Mixed Precision Training, ICLR 2018, section 3.2).
 */
import { differentiate } from '../engine/autodiff.ts';
import type { Graph, Node } from '../engine/graph.ts';
import { multiply, multiplyByScalar } from '../engine/ops/elementwise/elementwise.ts';

/** Where the factor of a training stands. Powers of two, so that scaling rounds nothing. */
export interface LossScale {
  readonly factor: number;
  /** Steps without overflow since it last changed. */
  readonly steadySteps: number;
}

export const INITIAL_LOSS_SCALE: LossScale = { factor: 2 ** 16, steadySteps: 0 };
const GREATEST = 2 ** 24;
/** Steps without overflow after which more is tried. */
const PATIENCE = 2000;

/** The scale after a step. */
export function nextLossScale({ factor, steadySteps }: LossScale, overflowed: boolean): LossScale {
  if (overflowed) return { factor: Math.max(1, factor / 2), steadySteps: 0 };
  if (steadySteps + 1 < PATIENCE) return { factor, steadySteps: steadySteps + 1 };
  return { factor: Math.min(GREATEST, 2 * factor), steadySteps: 0 };
}

/** The inputs that a graph with scaled gradients has besides its own. */
export const lossScaleInputs = ({ factor }: LossScale): Record<string, Float32Array> => ({
  lossScale: Float32Array.of(factor),
  inverseLossScale: Float32Array.of(1 / factor),
});

/** `differentiate`, by way of a scaled loss if `scaled`. */
export function gradientsOf(graph: Graph, loss: Node, wanted: readonly Node[], scaled: boolean): Node[] {
  if (!scaled) return differentiate(graph, loss, wanted);
  const [factor, inverse] = [graph.input('lossScale', []), graph.input('inverseLossScale', [])];
  return differentiate(graph, multiply(graph, loss, factor), wanted).map((gradient) =>
    multiplyByScalar(graph, gradient, inverse),
  );
}
