/**
 * L-BFGS (Liu and Nocedal, Mathematical Programming 45, 1989): minimises a smooth convex function of many variables from its values and
 * gradients, remembering the last ten steps. One thread, one order of sums: the same bits each time.
 */

/** Value of the function at `x`; writes its gradient into `gradient`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

export interface Minimum {
  readonly x: Float64Array;
  readonly value: number;
  /** Largest absolute entry of the gradient. */
  readonly gradient: number;
  readonly iterations: number;
  /** Whether the gradient is as small as was asked for. */
  readonly converged: boolean;
}

const REMEMBERED_STEPS = 10;
const MAX_HALVINGS = 40;
/** Of the decrease that the slope promises, what a step must bring at least (Armijo). */
const MIN_DECREASE = 1e-4;
/** Differences of the function below this share of its value are rounding. */
const ROUNDING = 1e-14;

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

const greatest = (values: Float64Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * The minimum, as far as `iterations` allow.
 * @param start not changed
 * @param tolerance on the largest absolute entry of the gradient
 */
export function minimise(
  objective: Objective,
  start: Float64Array,
  { tolerance = 1e-8, iterations = 1000 }: { readonly tolerance?: number; readonly iterations?: number } = {},
): Minimum {
  let x = start.slice();
  let gradient = new Float64Array(x.length);
  let value = objective(x, gradient);
  const steps: { s: Float64Array; y: Float64Array; product: number }[] = [];
  let done = 0;
  for (; done < iterations && greatest(gradient) > tolerance; done++) {
    // minus the inverse Hessian, as the remembered steps know it, times the gradient
    const direction = gradient.map((entry) => -entry);
    const factors: number[] = [];
    for (let k = steps.length - 1; k >= 0; k--) {
      const { s, y, product } = steps[k];
      factors[k] = dot(s, direction) / product;
      for (let i = 0; i < x.length; i++) direction[i] -= factors[k] * y[i];
    }
    const last = steps.at(-1);
    const scale = last ? last.product / dot(last.y, last.y) : 1 / Math.max(1, Math.sqrt(dot(gradient, gradient)));
    for (let i = 0; i < x.length; i++) direction[i] *= scale;
    steps.forEach(({ s, y, product }, k) => {
      const back = dot(y, direction) / product;
      for (let i = 0; i < x.length; i++) direction[i] += (factors[k] - back) * s[i];
    });
    const slope = dot(gradient, direction);
    // half the step until it brings what it should
    let length = 1;
    let next = x;
    let nextValue = Number.POSITIVE_INFINITY;
    const nextGradient = new Float64Array(x.length);
    for (let halving = 0; halving < MAX_HALVINGS; halving++, length /= 2) {
      next = x.map((entry, i) => entry + length * direction[i]);
      nextValue = objective(next, nextGradient);
      if (nextValue <= value + MIN_DECREASE * length * slope + ROUNDING * Math.abs(value)) break;
    }
    // at the limit of rounding nothing gets better any more
    if (!(nextValue <= value + ROUNDING * Math.abs(value))) break;
    const s = next.map((entry, i) => entry - x[i]);
    const y = nextGradient.map((entry, i) => entry - gradient[i]);
    const product = dot(s, y);
    if (product > Number.EPSILON * dot(y, y)) {
      steps.push({ s, y, product });
      if (steps.length > REMEMBERED_STEPS) steps.shift();
    }
    [x, gradient, value] = [next, nextGradient, nextValue];
  }
  return { x, value, gradient: greatest(gradient), iterations: done, converged: greatest(gradient) <= tolerance };
}
