/**
 * A linear probe: multinomial logistic regression from fixed features to labels, with an L2 penalty. It is convex, and minimised to the end, so
 * the probe says something of the features and not of how it was trained.
 *
 * Minimised is sum over points of -log softmax(W x + b)[class] + (l2 / 2) |W|^2, which is scikit-learn's with C = 1 / l2; biases are not
 * penalised. Features are first brought to mean 0 and deviation 1 over the training points (a feature without any becomes 0), so that the penalty
 * means the same for all of them.
 */
import { areaUnderCurve, type ClassScores, classScores } from '../classification.ts';
import { checkPoints, type Points, rowOf } from '../points.ts';
import { minimise } from './lbfgs.ts';
import { checkLabelled, type LabelledPoints } from './nearest-neighbour.ts';

export interface LinearProbeOptions {
  /** Weight of the penalty. */
  readonly l2: number;
  /** Whether features are brought to mean 0 and deviation 1 first. */
  readonly standardise: boolean;
  /** On the largest absolute entry of the gradient, divided by the number of points; a larger one for quick answers. */
  readonly tolerance: number;
}

export const DEFAULT_LINEAR_PROBE: LinearProbeOptions = { l2: 1, standardise: true, tolerance: 1e-8 };

export interface LinearProbe {
  readonly classes: number;
  readonly dimensions: number;
  /** Of (feature - mean) / deviation: (classes, dimensions). */
  readonly weights: Float64Array;
  readonly biases: Float64Array;
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
  /** What was minimised. */
  readonly loss: number;
  readonly iterations: number;
  readonly converged: boolean;
}

/** Mean and deviation (divided by the number of points) of each dimension; 1 for a dimension without deviation. */
function scaleOf(points: Points, standardise: boolean): { mean: Float64Array; deviation: Float64Array } {
  const { count, dimensions } = points;
  const mean = new Float64Array(dimensions);
  const deviation = new Float64Array(dimensions).fill(1);
  if (!standardise) return { mean, deviation };
  for (let j = 0; j < dimensions; j++) {
    for (let i = 0; i < count; i++) mean[j] += points.values[i * dimensions + j] / count;
    let square = 0;
    for (let i = 0; i < count; i++) square += (points.values[i * dimensions + j] - mean[j]) ** 2;
    // a constant feature's deviation is what rounding made of its mean
    const found = Math.sqrt(square / count);
    deviation[j] = found > 1e-12 * Math.abs(mean[j]) ? found : 1;
  }
  return { mean, deviation };
}

function scaled(
  { count, dimensions, values }: Points,
  { mean, deviation }: Pick<LinearProbe, 'mean' | 'deviation'>,
): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0, at = 0; i < count; i++)
    for (let j = 0; j < dimensions; j++, at++) out[at] = (values[at] - mean[j]) / deviation[j];
  return out;
}

const classCount = (classes: readonly number[]): number => classes.reduce((most, one) => Math.max(most, one + 1), 0);

/** W x + b of one scaled point. */
function logitsOf(
  x: Float64Array,
  point: number,
  weights: Float64Array,
  biases: Float64Array,
  dimensions: number,
  out: Float64Array,
): void {
  const whole = dimensions - (dimensions % 4);
  const first = point * dimensions;
  for (let c = 0; c < out.length; c++) {
    // four sums at a time: an addition need not wait for the one before
    let a = biases[c];
    let b = 0;
    let d = 0;
    let e = 0;
    const row = c * dimensions;
    let j = 0;
    for (; j < whole; j += 4) {
      a += weights[row + j] * x[first + j];
      b += weights[row + j + 1] * x[first + j + 1];
      d += weights[row + j + 2] * x[first + j + 2];
      e += weights[row + j + 3] * x[first + j + 3];
    }
    for (; j < dimensions; j++) a += weights[row + j] * x[first + j];
    out[c] = a + b + (d + e);
  }
}

/** Softmax in place; returns log of the sum of exponents. */
function softmax(logits: Float64Array): number {
  let most = logits[0];
  for (let c = 1; c < logits.length; c++) most = Math.max(most, logits[c]);
  let sum = 0;
  for (let c = 0; c < logits.length; c++) {
    logits[c] = Math.exp(logits[c] - most);
    sum += logits[c];
  }
  for (let c = 0; c < logits.length; c++) logits[c] /= sum;
  return most + Math.log(sum);
}

/**
 * Fits a probe. Options left out are the defaults.
 * @param classes how many there are; by default as many as the greatest class of the points says
 * @throws RangeError if numbers do not fit, values are not finite, there are no points or fewer than two classes, or the penalty is not positive.
 */
export function fitLinearProbe(
  labelled: LabelledPoints,
  options: Partial<LinearProbeOptions> = {},
  classes = classCount(labelled.classes),
): LinearProbe {
  const { l2, standardise, tolerance } = { ...DEFAULT_LINEAR_PROBE, ...options };
  checkLabelled('fitLinearProbe', labelled);
  const { points, classes: truth } = labelled;
  if (points.count === 0) throw new RangeError('fitLinearProbe: expected points, got none');
  if (!(classes >= 2 && truth.every((one) => one < classes))) {
    throw new RangeError(`fitLinearProbe: expected at least 2 classes, and points of those alone, got ${classes} classes`);
  }
  // without a penalty separable classes have no minimum
  if (!(l2 > 0)) throw new RangeError(`fitLinearProbe: expected a positive penalty, got ${l2}`);
  const { count, dimensions } = points;
  const scale = scaleOf(points, standardise);
  const x = scaled(points, scale);
  const penalised = classes * dimensions;
  const probabilities = new Float64Array(classes);
  // divided by the number of points, so that the tolerance on the gradient means the same for few and many
  const objective = (at: Float64Array, gradient: Float64Array): number => {
    const [weights, biases] = [at.subarray(0, penalised), at.subarray(penalised)];
    gradient.fill(0);
    let loss = 0;
    for (let i = 0; i < count; i++) {
      logitsOf(x, i, weights, biases, dimensions, probabilities);
      const right = probabilities[truth[i]];
      loss += softmax(probabilities) - right;
      for (let c = 0; c < classes; c++) {
        const error = (probabilities[c] - (c === truth[i] ? 1 : 0)) / count;
        gradient[penalised + c] += error;
        for (let j = 0, at = c * dimensions, from = i * dimensions; j < dimensions; j++, at++, from++)
          gradient[at] += error * x[from];
      }
    }
    let square = 0;
    for (let k = 0; k < penalised; k++) {
      square += at[k] * at[k];
      gradient[k] += (l2 / count) * at[k];
    }
    return (loss + (l2 / 2) * square) / count;
  };
  const {
    x: found,
    value,
    iterations,
    converged,
  } = minimise(objective, new Float64Array(penalised + classes), {
    tolerance,
  });
  return {
    classes,
    dimensions,
    weights: found.slice(0, penalised),
    biases: found.slice(penalised),
    ...scale,
    loss: value * count,
    iterations,
    converged,
  };
}

/**
 * The probability of each class, (points, classes).
 * @throws RangeError if the points' values do not fit, or their dimensions are not the probe's.
 */
export function probeProbabilities(probe: LinearProbe, points: Points): Points & { readonly values: Float64Array } {
  checkPoints('probeProbabilities', points);
  const { classes, dimensions, weights, biases } = probe;
  if (points.dimensions !== dimensions) {
    throw new RangeError(`probeProbabilities: expected points of ${dimensions} dimensions, got ${points.dimensions}`);
  }
  const x = scaled(points, probe);
  const values = new Float64Array(points.count * classes);
  for (let i = 0; i < points.count; i++) {
    const row = values.subarray(i * classes, (i + 1) * classes);
    logitsOf(x, i, weights, biases, dimensions, row);
    softmax(row);
  }
  return { count: points.count, dimensions: classes, values };
}

export interface LinearProbeScore extends ClassScores {
  /** Area under the ROC curve: of class 1 for two classes, else the mean over classes, each against the others; null where none is defined. */
  readonly auc: number | null;
  /** The most probable class of each point; of equals that of lower number. */
  readonly predicted: readonly number[];
}

/**
 * Fits a probe on some points and scores it on others.
 * @throws RangeError as `fitLinearProbe`, or if the points that are scored do not fit.
 */
export function linearProbeScore(
  training: LabelledPoints,
  heldOut: LabelledPoints,
  options: Partial<LinearProbeOptions> = {},
): LinearProbeScore {
  checkLabelled('linearProbeScore', heldOut);
  const classes = Math.max(classCount(training.classes), classCount(heldOut.classes));
  const probabilities = probeProbabilities(fitLinearProbe(training, options, classes), heldOut.points);
  const predicted = Array.from({ length: heldOut.points.count }, (_, i) => {
    const row = Array.from(rowOf(probabilities, i));
    return row.indexOf(Math.max(...row));
  });
  const areas = (classes === 2 ? [1] : Array.from({ length: classes }, (_, c) => c)).flatMap((c) => {
    const scores = Array.from({ length: heldOut.points.count }, (_, i) => rowOf(probabilities, i)[c]);
    return (
      areaUnderCurve(
        scores,
        heldOut.classes.map((one) => one === c),
      ) ?? []
    );
  });
  const auc = areas.length === 0 ? null : areas.reduce((a, b) => a + b) / areas.length;
  return { predicted, auc, ...classScores(predicted, heldOut.classes) };
}
