/** Scores of probabilities against a truth of two classes; for more classes, each against the others. What is undefined is null, never 0 or 1. */

/**
 * Area under the ROC curve: the probability that a positive scores above a negative, ties counting half (Mann and Whitney's U over n+ n-).
 * @returns null if one of the two has no case
 */
export function areaUnderCurve(scores: readonly number[], positive: readonly boolean[]): number | null {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a] - scores[b]);
  const positives = positive.filter(Boolean).length;
  const negatives = positive.length - positives;
  if (positives === 0 || negatives === 0) return null;
  let rankSum = 0;
  for (let i = 0; i < order.length; ) {
    let end = i;
    while (end < order.length && scores[order[end]] === scores[order[i]]) end++;
    // ranks i + 1 to end share their mean
    const rank = (i + 1 + end) / 2;
    for (; i < end; i++) if (positive[order[i]]) rankSum += rank;
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/**
 * Average precision: sum over thresholds, from the greatest score down, of (recall - recall before) x precision, without interpolation
 * (scikit-learn's `average_precision_score`); cases of equal score pass a threshold together.
 * @returns null without a positive case
 */
export function averagePrecision(scores: readonly number[], positive: readonly boolean[]): number | null {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const positives = positive.filter(Boolean).length;
  if (positives === 0) return null;
  let [found, recall, sum] = [0, 0, 0];
  for (let i = 0; i < order.length; ) {
    const score = scores[order[i]];
    for (; i < order.length && scores[order[i]] === score; i++) if (positive[order[i]]) found++;
    sum += (found / positives - recall) * (found / i);
    recall = found / positives;
  }
  return sum;
}

export interface ThresholdScores {
  /** Share of the positives that are called positive; null without positives. */
  readonly sensitivity: number | null;
  /** Share of the negatives that are called negative; null without negatives. */
  readonly specificity: number | null;
  readonly accuracy: number | null;
}

/** Scores of the decision "positive above the threshold". */
export function thresholdScores(scores: readonly number[], positive: readonly boolean[], threshold = 0.5): ThresholdScores {
  let [truePositives, trueNegatives] = [0, 0];
  scores.forEach((score, i) => {
    if (positive[i] && score > threshold) truePositives++;
    else if (!positive[i] && score <= threshold) trueNegatives++;
  });
  const positives = positive.filter(Boolean).length;
  const negatives = positive.length - positives;
  const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
  return {
    sensitivity: share(truePositives, positives),
    specificity: share(trueNegatives, negatives),
    accuracy: share(truePositives + trueNegatives, positive.length),
  };
}

export interface ClassScores {
  /** Share of the cases whose class was found; null without cases. */
  readonly accuracy: number | null;
  /** Mean over the classes that there are of the share of their cases that was found: chance is 1 / classes, however unequal they are. */
  readonly balancedAccuracy: number | null;
}

/**
 * Scores of predicted classes (scikit-learn's `accuracy_score` and `balanced_accuracy_score`).
 * @throws RangeError if there are not as many predictions as cases.
 */
export function classScores(predicted: readonly number[], truth: readonly number[]): ClassScores {
  if (predicted.length !== truth.length) {
    throw new RangeError(`classScores: expected ${truth.length} predictions, got ${predicted.length}`);
  }
  const found = new Map<number, { right: number; all: number }>();
  truth.forEach((one, i) => {
    const { right, all } = found.get(one) ?? { right: 0, all: 0 };
    found.set(one, { right: right + (predicted[i] === one ? 1 : 0), all: all + 1 });
  });
  if (truth.length === 0) return { accuracy: null, balancedAccuracy: null };
  // in the order of the classes, so that the sum does not depend on that of the cases
  const shares = [...found].sort(([a], [b]) => a - b).map(([, { right, all }]) => right / all);
  return {
    accuracy: truth.filter((one, i) => one === predicted[i]).length / truth.length,
    balancedAccuracy: shares.reduce((sum, share) => sum + share, 0) / shares.length,
  };
}
