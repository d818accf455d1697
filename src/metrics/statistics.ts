/** Statistics of scores over cases: bootstrap intervals of means and of paired differences, Wilcoxon's signed-rank test, Holm's correction. */
import { randomStream } from '../common/random.ts';
import { percentileOf } from './segmentation.ts';

export interface Interval {
  readonly mean: number;
  /** The ends of the 95 % interval; null for the values of one patient, which say nothing of the spread between patients. */
  readonly low: number | null;
  readonly high: number | null;
  readonly count: number;
  /** Whose values they are, where a patient has several; absent where each has one. */
  readonly patients?: number;
}

/** Draws of more numbers than this are not kept. */
const KEPT_DRAWS = 2 ** 22;
let kept: { readonly name: string; readonly places: Uint32Array } | undefined;

/** Places 0 to count - 1, one after the other: they follow from seed and count alone. */
function drawsOf(count: number, resamples: number, seed: number): (at: number) => number {
  const stream = randomStream(seed, 'bootstrap', count);
  if (resamples * count > KEPT_DRAWS) return () => stream.integer(0, count);
  // several measures of the same cases follow one another
  const name = `${seed} ${count} ${resamples}`;
  if (kept?.name !== name)
    kept = { name, places: Uint32Array.from({ length: resamples * count }, () => stream.integer(0, count)) };
  const { places } = kept;
  return (at) => places[at];
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/**
 * The mean of `values` with its 95 % interval by the percentile bootstrap; null without values. A list among them has the values of one patient,
 * which are alike: they count one by one in the mean, but are drawn together (the cluster bootstrap). Values of one patient alone have no interval:
 * every resample is the same. The resamples follow from the seed.
 */
export function bootstrapMean(values: readonly (number | readonly number[])[], resamples = 10_000, seed = 1): Interval | null {
  const lists = values.map((value) => (typeof value === 'number' ? [value] : value)).filter(({ length }) => length > 0);
  const [sums, sizes] = [lists.map(sumOf), lists.map(({ length }) => length)];
  const [patients, count] = [lists.length, sumOf(sizes)];
  if (patients === 0) return null;
  const mean = sumOf(sums) / count;
  const drawn = patients < count ? { count, patients } : { count };
  if (patients === 1) return { mean, low: null, high: null, ...drawn };
  const place = drawsOf(patients, resamples, seed);
  const means = new Float64Array(resamples);
  for (let k = 0, at = 0; k < resamples; k++) {
    let [sum, size] = [0, 0];
    for (let i = 0; i < patients; i++, at++) {
      const one = place(at);
      sum += sums[one];
      size += sizes[one];
    }
    means[k] = sum / size;
  }
  means.sort();
  return { mean, low: percentileOf(means, 0.025), high: percentileOf(means, 0.975), ...drawn };
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
    a.map((value, i) => b[i] - value),
    resamples,
    seed,
  );
}

/** Most differences of the exact distribution, as SciPy has it; beyond, the normal approximation. */
const EXACT_MOST = 50;

/**
 * The complementary error function, to about twelve digits: below 2.5 from the power series of erf, beyond by Laplace's continued fraction,
 * which converges quickly there and keeps the relative precision of a small tail.
 */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  const square = x * x;
  if (x < 2.5) {
    // erf(x) = 2 / sqrt(pi) exp(-x^2) sum over n of 2^n x^(2n + 1) / (1 3 5 ... (2n + 1)): positive terms, no cancellation
    let [term, sum] = [x, x];
    for (let n = 1; term > 1e-17 * sum; n++) {
      term *= (2 * square) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-square) * sum;
  }
  // erfc(x) = exp(-x^2) / sqrt(pi) / (x + (1/2) / (x + (2/2) / (x + (3/2) / (x + ...))))
  let tail = x;
  for (let n = 80; n > 0; n--) tail = x + n / 2 / tail;
  return Math.exp(-square) / Math.sqrt(Math.PI) / tail;
}

/**
 * Wilcoxon's signed-rank test of paired values, two-sided: the probability of ranks so unequal if the differences were symmetric about 0.
 * Zero differences are left out (Wilcoxon's way), and differences of equal size share the mean of their ranks. Of up to 50 differences the
 * distribution is exact, that of all choices of their signs, ties or not: of few differences the normal approximation can be below every p that
 * they could have. Beyond it is normal, with the correction for ties and none for continuity.
 * @returns null if no difference is left
 */
export function wilcoxonSignedRank(
  a: readonly number[],
  b: readonly number[],
): { readonly p: number; readonly exact: boolean } | null {
  const differences = a.map((value, i) => b[i] - value).filter((difference) => difference !== 0);
  const n = differences.length;
  if (n === 0) return null;
  const order = differences.map((_, i) => i).sort((i, j) => Math.abs(differences[i]) - Math.abs(differences[j]));
  // twice the ranks, which are whole numbers also where they are shared
  const ranks: number[] = [];
  let [positive, ties] = [0, 0];
  for (let i = 0; i < n; ) {
    let end = i;
    while (end < n && Math.abs(differences[order[end]]) === Math.abs(differences[order[i]])) end++;
    const length = end - i;
    ties += length ** 3 - length;
    const rank = i + 1 + end;
    for (; i < end; i++) {
      ranks.push(rank);
      if (differences[order[i]] > 0) positive += rank;
    }
  }
  const total = n * (n + 1);
  const least = Math.min(positive, total - positive);
  if (n <= EXACT_MOST) {
    // how many of the 2^n choices of signs give each sum of ranks
    const ways = new Float64Array(total + 1);
    ways[0] = 1;
    for (const rank of ranks) for (let sum = total; sum >= rank; sum--) ways[sum] += ways[sum - rank];
    let below = 0;
    for (let sum = 0; sum <= least; sum++) below += ways[sum];
    return { p: Math.min(1, (2 * below) / 2 ** n), exact: true };
  }
  const deviation = Math.sqrt((n * (n + 1) * (2 * n + 1) - ties / 2) / 24);
  return { p: erfc(Math.abs(positive - total / 2) / 2 / deviation / Math.SQRT2), exact: false };
}

/**
 * p-values of several comparisons after Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979): the k-th smallest of m times
 * m - k + 1, never below the ones before it, at most 1. Rejecting where they are at most alpha keeps the probability of any false
 * rejection at most alpha, whatever depends on what. What is null was not tested: it stays null and does not count.
 */
export function holm(pValues: readonly (number | null)[]): (number | null)[] {
  const order = pValues.flatMap((p, i) => (p === null ? [] : [{ p, i }])).sort((a, b) => a.p - b.p);
  const adjusted: (number | null)[] = pValues.map(() => null);
  let least = 0;
  order.forEach(({ p, i }, k) => {
    least = Math.min(1, Math.max(least, (order.length - k) * p));
    adjusted[i] = least;
  });
  return adjusted;
}
