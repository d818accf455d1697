/** Statistics of scores over cases: bootstrap intervals of means and of paired differences, and Wilcoxon's signed-rank test. */
import { randomStream } from '../random/random.ts';
import { percentileOf } from './segmentation.ts';

export interface Interval {
  readonly mean: number;
  /** Percentile bootstrap, 95 %. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** The mean of `values` with its 95 % interval by the percentile bootstrap; null without values. The resamples follow from the seed. */
export function bootstrapMean(values: readonly number[], resamples = 10_000, seed = 1): Interval | null {
  const count = values.length;
  if (count === 0) return null;
  const stream = randomStream(seed, 'bootstrap', count);
  const means = new Float64Array(resamples);
  for (let k = 0; k < resamples; k++) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += values[stream.integer(0, count)]!;
    means[k] = sum / count;
  }
  means.sort();
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  return { mean, low: percentileOf(means, 0.025), high: percentileOf(means, 0.975), count };
}

/** The mean of the differences b - a of paired values, with its interval. @throws RangeError if they are not pairs */
export function bootstrapDifference(
  a: readonly number[],
  b: readonly number[],
  resamples?: number,
  seed?: number,
): Interval | null {
  if (a.length !== b.length) throw new RangeError(`paired values: ${a.length} and ${b.length}`);
  return bootstrapMean(
    a.map((value, i) => b[i]! - value),
    resamples,
    seed,
  );
}

/** Most differences of the exact distribution; beyond, and with ties, the normal approximation. */
const EXACT_MOST = 25;

/** The complementary error function (Numerical Recipes' rational Chebyshev approximation, relative error below 1.2e-7). */
function erfc(x: number): number {
  const z = Math.abs(x);
  const t = 2 / (2 + z);
  const ty = 4 * t - 2;
  const coefficients = [
    -1.3026537197817094, 0.6419697923564902, 1.9476473204185836e-2, -9.561514786808631e-3, -9.46595344482036e-4,
    3.66839497852761e-4, 4.2523324806907e-5, -2.0278578112534e-5, -1.624290004647e-6, 1.30365583558e-6, 1.5626441722e-8,
    -8.5238095915e-8, 6.529054439e-9, 5.059343495e-9, -9.91364156e-10, -2.27365122e-10, 9.6467911e-11, 2.394038e-12,
    -6.886027e-12, 8.94487e-13, 3.13092e-13, -1.12708e-13, 3.81e-16, 7.106e-15,
  ];
  let [d, dd] = [0, 0];
  for (let j = coefficients.length - 1; j > 0; j--) [d, dd] = [ty * d - dd + coefficients[j]!, d];
  const value = t * Math.exp(-z * z + 0.5 * (coefficients[0]! + ty * d) - dd);
  return x >= 0 ? value : 2 - value;
}

/**
 * Wilcoxon's signed-rank test of paired values, two-sided: the probability of ranks so unequal if the differences were symmetric about 0.
 * Zero differences are left out (Wilcoxon's way). Up to 25 differences of distinct size the distribution is exact, else normal with the
 * correction for ties and none for continuity: SciPy's rules.
 * @returns null if no difference is left
 */
export function wilcoxonSignedRank(
  a: readonly number[],
  b: readonly number[],
): { readonly p: number; readonly exact: boolean } | null {
  const differences = a.map((value, i) => b[i]! - value).filter((difference) => difference !== 0);
  const n = differences.length;
  if (n === 0) return null;
  const zeros = n < a.length;
  const order = differences.map((_, i) => i).sort((i, j) => Math.abs(differences[i]!) - Math.abs(differences[j]!));
  let [positive, ties, tied] = [0, 0, false];
  for (let i = 0; i < n; ) {
    let end = i;
    while (end < n && Math.abs(differences[order[end]!]!) === Math.abs(differences[order[i]!]!)) end++;
    const length = end - i;
    if (length > 1) tied = true;
    ties += length ** 3 - length;
    const rank = (i + 1 + end) / 2;
    for (; i < end; i++) if (differences[order[i]!]! > 0) positive += rank;
  }
  const total = (n * (n + 1)) / 2;
  const least = Math.min(positive, total - positive);
  if (n <= EXACT_MOST && !tied && !zeros) {
    // how many of the 2^n choices of signs give each sum of ranks
    const ways = new Float64Array(total + 1);
    ways[0] = 1;
    for (let rank = 1; rank <= n; rank++) for (let sum = total; sum >= rank; sum--) ways[sum]! += ways[sum - rank]!;
    let below = 0;
    for (let sum = 0; sum <= least; sum++) below += ways[sum]!;
    return { p: Math.min(1, (2 * below) / 2 ** n), exact: true };
  }
  const deviation = Math.sqrt((n * (n + 1) * (2 * n + 1) - ties / 2) / 24);
  return { p: erfc(Math.abs(positive - total / 2) / deviation / Math.SQRT2), exact: false };
}
