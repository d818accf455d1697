/**
 * Methods compared over several tasks by their ranks: Friedman's test whether any differ, and Nemenyi's critical difference, beyond which two
 * mean ranks do (Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006).
 */
import { erfc } from './statistics.ts';

/** Probability that a standard normal is below x. */
const normalBelow = (x: number): number => erfc(-x / Math.SQRT2) / 2;

/** Half the range, and the steps to one, that the integral over the greatest of several normals is summed in: both ends are below 1e-16. */
const NORMAL_REACH = 8.5;
const STEPS_TO_ONE = 16;

/**
 * Probability that the range of `count` independent standard normals exceeds q: the studentised range distribution for infinitely many degrees of
 * freedom, count times the integral of phi(z) (Phi(z) - Phi(z - q))^(count - 1).
 */
export function rangeTail(q: number, count: number): number {
  if (q <= 0) return 1;
  // the integrand vanishes smoothly at both ends, where the plain sum converges faster than any power of the step
  let within = 0;
  for (let i = -NORMAL_REACH * STEPS_TO_ONE; i <= NORMAL_REACH * STEPS_TO_ONE; i++) {
    const z = i / STEPS_TO_ONE;
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    within += (density * (normalBelow(z) - normalBelow(z - q)) ** (count - 1)) / STEPS_TO_ONE;
  }
  return Math.min(1, Math.max(0, 1 - count * within));
}

/** The range that `count` independent standard normals exceed with probability alpha. */
export function rangeQuantile(alpha: number, count: number): number {
  let [low, high] = [0, 20];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (rangeTail(middle, count) > alpha) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Probability that chi-square with a whole number of degrees of freedom exceeds x: its closed forms. */
export function chiSquareTail(x: number, degrees: number): number {
  if (x <= 0) return 1;
  const half = x / 2;
  const odd = degrees % 2 === 1;
  // even: exp(-h) sum of h^i / i!; odd: erfc(sqrt(h)) + exp(-h) sum of h^(i + 1/2) / Gamma(i + 3/2)
  let term = odd ? (2 * Math.sqrt(half)) / Math.sqrt(Math.PI) : 1;
  let sum = 0;
  for (let i = 0; i < Math.floor(degrees / 2); i++) {
    sum += term;
    term *= half / (odd ? i + 1.5 : i + 1);
  }
  return (odd ? erfc(Math.sqrt(half)) : 0) + Math.exp(-half) * sum;
}

/** Ranks from 1 for the greatest (or least) value on; equal values share the mean of their ranks. */
export function ranksOf(values: readonly number[], higherIsBetter = true): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (higherIsBetter ? values[j] - values[i] : values[i] - values[j]));
  const ranks = new Array<number>(values.length);
  for (let i = 0; i < order.length; ) {
    let end = i;
    while (end < order.length && values[order[end]] === values[order[i]]) end++;
    const rank = (i + 1 + end) / 2;
    for (; i < end; i++) ranks[order[i]] = rank;
  }
  return ranks;
}

export interface RankComparison {
  /** Mean rank of each method over the tasks; 1 is best. */
  readonly ranks: readonly number[];
  /** Friedman's chi-square, corrected for ties, with methods - 1 degrees of freedom; null where all methods tie on all tasks. */
  readonly statistic: number | null;
  /** Probability of ranks so unequal if no method differed (chi-square's approximation). */
  readonly p: number | null;
  /** Nemenyi: mean ranks that differ by at least this differ at level alpha. */
  readonly criticalDifference: number;
  /** The largest sets of methods of which no two differ so, as indices, best first; sets of one are left out. */
  readonly groups: readonly (readonly number[])[];
}

/**
 * Compares methods over tasks.
 * @param scores of each task, one for each method
 * @throws RangeError if tasks have different numbers of methods, there are fewer than two tasks or methods, or a score is not finite.
 */
export function compareRanks(
  scores: readonly (readonly number[])[],
  { higherIsBetter = true, alpha = 0.05 }: { readonly higherIsBetter?: boolean; readonly alpha?: number } = {},
): RankComparison {
  const tasks = scores.length;
  const methods = scores[0]?.length ?? 0;
  if (tasks < 2 || methods < 2) {
    throw new RangeError(`compareRanks: expected at least 2 tasks and 2 methods, got ${tasks} and ${methods}`);
  }
  scores.forEach((task, i) => {
    if (task.length !== methods)
      throw new RangeError(`compareRanks: expected ${methods} scores in task ${i}, got ${task.length}`);
    const bad = task.find((score) => !Number.isFinite(score));
    if (bad !== undefined) throw new RangeError(`compareRanks: expected finite scores in task ${i}, got ${bad}`);
  });
  const byTask = scores.map((task) => ranksOf(task, higherIsBetter));
  const ranks = scores[0].map((_, m) => byTask.reduce((sum, task) => sum + task[m], 0) / tasks);
  const expected = (methods + 1) / 2;
  // between methods, over what the ranks of a task vary within it: with ties less than methods (methods + 1) / 12
  const between = tasks * ranks.reduce((sum, rank) => sum + (rank - expected) ** 2, 0);
  const within = byTask.flat().reduce((sum, rank) => sum + (rank - expected) ** 2, 0) / (tasks * (methods - 1));
  const statistic = within > 0 ? between / within : null;
  const criticalDifference = (rangeQuantile(alpha, methods) / Math.SQRT2) * Math.sqrt((methods * (methods + 1)) / (6 * tasks));
  const order = ranks.map((_, m) => m).sort((a, b) => ranks[a] - ranks[b] || a - b);
  const groups: number[][] = [];
  let reached = 0;
  order.forEach((first, i) => {
    const end = order.findLastIndex((m) => ranks[m] - ranks[first] < criticalDifference) + 1;
    // a set that ends where the one before ended is part of that one
    if (end > reached && end - i > 1) groups.push(order.slice(i, end));
    reached = Math.max(reached, end);
  });
  return { ranks, statistic, p: statistic === null ? null : chiSquareTail(statistic, methods - 1), criticalDifference, groups };
}
