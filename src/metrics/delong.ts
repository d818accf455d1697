/**
 * The test of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988) for areas under ROC curves of the same cases, and its intervals; where
 * patients have several cases, Obuchowski's for clustered data (Biometrics 53, 1997), which is the same where each has one.
 *
 * An area is the mean over pairs (a positive, a negative) of 1, 1/2 or 0: the positive scores higher, equal, lower. A case's placement is
 * its own mean of them: over negatives for a positive, over positives for a negative. The variance of placements among positives over their
 * number, and the same among negatives, add up to the area's variance; for a difference of areas, placements are subtracted first.
 *
 * A score of several areas (one for each class against the others, and for each of several seeds) is their mean, so a case's share in it is
 * the mean of its shares in them. With two classes and one seed this is the published test.
 */
import { erfc, type Interval } from './statistics.ts';

/** What one model says of a case, and what is true. */
export interface ClassifiedCase {
  readonly id: string;
  /** Whose case it is; a case whose patient is not known is one by itself. */
  readonly patient?: string | undefined;
  /** The true class's index. */
  readonly truth: number;
  /** Of each output: one (the second of two classes), or one for each class. */
  readonly probabilities: readonly number[];
}

/** 97.5 % of the standard normal distribution. */
const NORMAL_975 = 1.959963984540054;

/** Placements: for each of `values` the share of `others` that are below it, ties counting half. */
function placements(values: readonly number[], others: readonly number[]): number[] {
  const sorted = Float64Array.from(others).sort();
  /** How many of the others are below (or, with `equal`, at most) the value. */
  const below = (value: number, equal: boolean): number => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value || (equal && sorted[middle] === value)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return values.map((value) => (below(value, false) + below(value, true)) / 2 / others.length);
}

/** An area's value, and each case's share in it: they add up to the area once as positives and once as negatives. */
interface Area {
  readonly value: number;
  /** By case, in their order. */
  readonly shares: readonly number[];
}

/** The mean area of one model's outputs; null if a class has no case. */
function areaOf(cases: readonly ClassifiedCase[]): Area | null {
  const outputs = cases[0]?.probabilities.length ?? 0;
  const shares = new Float64Array(cases.length);
  let value = 0;
  for (let output = 0; output < outputs; output++) {
    const wanted = outputs === 1 ? 1 : output;
    const all = cases.map((_, i) => i);
    const index = [all.filter((i) => cases[i].truth === wanted), all.filter((i) => cases[i].truth !== wanted)] as const;
    if (index.some((part) => part.length === 0)) return null;
    const scores = index.map((part) => part.map((i) => cases[i].probabilities[output])) as [number[], number[]];
    const above = placements(scores[0], scores[1]);
    index[0].forEach((i, k) => {
      shares[i] += above[k] / index[0].length / outputs;
      value += above[k] / index[0].length / outputs;
    });
    placements(scores[1], scores[0]).forEach((share, k) => {
      shares[index[1][k]] += (1 - share) / index[1].length / outputs;
    });
  }
  return outputs === 0 ? null : { value, shares: [...shares] };
}

/** The mean of several models' areas on the same cases in the same order. */
function meanArea(models: readonly (readonly ClassifiedCase[])[]): Area | null {
  const areas = models.map(areaOf);
  if (areas.length === 0 || areas.some((area) => area === null)) return null;
  const known = areas as Area[];
  const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
  return {
    value: mean(known.map(({ value }) => value)),
    shares: known[0].shares.map((_, i) => mean(known.map(({ shares }) => shares[i]))),
  };
}

/** Numbers of the patients, from 0 on, by case. */
function patientsOf(cases: readonly ClassifiedCase[]): number[] {
  const numbers = new Map<string | ClassifiedCase, number>();
  return cases.map((one) => {
    const key = one.patient ?? one;
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
}

/**
 * The variance of a sum of shares. Deviations from the mean of their true class are summed by patient, and squared within each class and between
 * classes, each times patients / (patients - 1). Where each patient has one case, it is the number of cases times the variance of a share (n - 1)
 * within each class. Null where a class is of fewer than two patients.
 */
function varianceOf(shares: readonly number[], cases: readonly ClassifiedCase[]): number | null {
  const patients = patientsOf(cases);
  /** By true class, the patients' deviations. */
  const deviations: ReadonlyMap<number, number>[] = [];
  for (const truth of new Set(cases.map((one) => one.truth))) {
    const own = cases.flatMap((one, i) => (one.truth === truth ? [i] : []));
    const mean = own.reduce((sum, i) => sum + shares[i], 0) / own.length;
    const byPatient = new Map<number, number>();
    for (const i of own) byPatient.set(patients[i], (byPatient.get(patients[i]) ?? 0) + shares[i] - mean);
    if (byPatient.size < 2) return null;
    deviations.push(byPatient);
  }
  const all = new Set(patients).size;
  let variance = 0;
  deviations.forEach((own, k) => {
    variance += (own.size * [...own.values()].reduce((sum, x) => sum + x ** 2, 0)) / (own.size - 1);
    for (const other of deviations.slice(0, k)) {
      const shared = [...own].reduce((sum, [patient, x]) => sum + x * (other.get(patient) ?? 0), 0);
      variance += (2 * all * shared) / (all - 1);
    }
  });
  return variance;
}

type Ends = { readonly low: number; readonly high: number };

const intervalOf = (mean: number, variance: number, cases: readonly ClassifiedCase[]): Interval & Ends => {
  const half = NORMAL_975 * Math.sqrt(variance);
  const [count, patients] = [cases.length, new Set(patientsOf(cases)).size];
  return { mean, low: mean - half, high: mean + half, count, ...(patients < count && { patients }) };
};

/** The cases of several models, in one order. @throws RangeError if they are not the same cases with the same truths */
function aligned(models: readonly (readonly ClassifiedCase[])[]): (readonly ClassifiedCase[])[] {
  const first = models[0] ?? [];
  return models.map((cases) => {
    const byId = new Map(cases.map((one) => [one.id, one]));
    if (byId.size !== first.length) throw new RangeError(`cases of two models: ${first.length} and ${byId.size}`);
    return first.map(({ id, truth }) => {
      const found = byId.get(id);
      if (found?.truth !== truth) throw new RangeError(`case ${id}: ${found ? 'its true class differs' : 'missing'}`);
      return found;
    });
  });
}

/**
 * The area under the ROC curve, averaged over models (seeds) and outputs, with DeLong's 95 % interval.
 * @returns null if a class is of fewer than two patients
 */
export function delongArea(models: readonly (readonly ClassifiedCase[])[]): (Interval & Ends) | null {
  const area = meanArea(aligned(models));
  const [cases = []] = models;
  const variance = area && varianceOf(area.shares, cases);
  return area && variance !== null ? intervalOf(area.value, variance, cases) : null;
}

/**
 * The difference b - a of the areas of two sets of models on the same cases, with its 95 % interval, and the two-sided p that it is 0.
 * @returns null if a class is of fewer than two patients; p is null where the placements do not vary, so that nothing can be tested
 */
export function delongTest(
  a: readonly (readonly ClassifiedCase[])[],
  b: readonly (readonly ClassifiedCase[])[],
): { readonly difference: Interval & Ends; readonly p: number | null } | null {
  const all = aligned([...a, ...b]);
  const [before, after] = [meanArea(all.slice(0, a.length)), meanArea(all.slice(a.length))];
  if (!before || !after) return null;
  const [cases] = all;
  const variance = varianceOf(
    after.shares.map((share, i) => share - before.shares[i]),
    cases,
  );
  if (variance === null) return null;
  const difference = after.value - before.value;
  const p = variance > 1e-18 ? erfc(Math.abs(difference) / Math.sqrt(2 * variance)) : null;
  return { difference: intervalOf(difference, variance, cases), p };
}
