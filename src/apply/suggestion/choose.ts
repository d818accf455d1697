/**
 * Which subjects to label next, from one feature vector each. Features are standardised over the cohort, so that none counts more for its scale, and
 * subjects are chosen one after another; those that are labelled already count as chosen.
 *
 * `coverage`: the subject that brings the whole cohort nearest to chosen ones (it lowers the sum of distances to the nearest most: greedy k-median,
 * within 1 - 1/e of the best set in what it lowers; Nemhauser, Wolsey and Fisher 1978). What is chosen is typical of many that were far from all chosen
 * ones, so diverse too; an odd scan by itself is not chosen early. `k-centre`: the subject that is farthest from all chosen ones (Gonzalez 1985; Sener
 * and Savarese 2018), the first the most central one. It covers the extremes, odd scans first.
 */
import { componentsOfPoints } from '../../metrics/clustering/principal-components.ts';
import { type Points, pointsOf, rowOf } from '../../metrics/points.ts';
import type { Strategy } from './strategies.ts';

/** Mean 0 and variance 1 in every dimension that differs at all; distances are then divided by the root of the dimensions. */
export function standardised(rows: readonly ArrayLike<number>[]): Points & { readonly values: Float64Array } {
  const points = pointsOf(rows);
  const { count, dimensions, values } = points;
  const scale = 1 / Math.sqrt(Math.max(1, dimensions));
  for (let d = 0; d < dimensions; d++) {
    let [mean, squares] = [0, 0];
    for (let i = 0; i < count; i++) mean += values[i * dimensions + d] / count;
    for (let i = 0; i < count; i++) squares += (values[i * dimensions + d] - mean) ** 2 / count;
    const deviation = Math.sqrt(squares);
    // what is equal but for rounding tells nobody apart
    const factor = deviation > 1e-6 * Math.abs(mean) && deviation > 0 ? scale / deviation : 0;
    for (let i = 0; i < count; i++) values[i * dimensions + d] = (values[i * dimensions + d] - mean) * factor;
  }
  return points;
}

/** A subject that was chosen. */
export interface Choice {
  /** Its index. */
  readonly point: number;
  /** How far it was from the nearest one chosen before or labelled; null for the first of all. */
  readonly distance: number | null;
  /** Of how many subjects it is the nearest labelled or chosen one in the end, itself included. */
  readonly standsFor: number;
}

export interface Choices {
  readonly chosen: readonly Choice[];
  /** Mean distance of all subjects to the nearest labelled or chosen one: before (null where nobody was labelled), and after. */
  readonly meanDistance: { readonly before: number | null; readonly after: number };
}

/**
 * Chooses subjects.
 * @param labelled indices of those that count as chosen
 * @param candidates indices of those that may be chosen; none of them labelled
 * @throws RangeError for more than there are candidates
 */
export function chooseNext(
  points: Points,
  labelled: readonly number[],
  candidates: readonly number[],
  n: number,
  strategy: Strategy,
): Choices {
  if (n > candidates.length) throw new RangeError(`chooseNext: ${n} of ${candidates.length} candidates`);
  const { count } = points;
  const distancesFrom = (point: number): Float64Array => {
    const row = rowOf(points, point);
    return Float64Array.from({ length: count }, (_, i) => {
      const other = rowOf(points, i);
      let sum = 0;
      for (let d = 0; d < row.length; d++) sum += (row[d] - other[d]) ** 2;
      return Math.sqrt(sum);
    });
  };
  const nearest = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
  const nearestOf = new Int32Array(count).fill(-1);
  const add = (point: number, distances: Float64Array): void => {
    for (let i = 0; i < count; i++)
      if (distances[i] < nearest[i]) {
        nearest[i] = distances[i];
        nearestOf[i] = point;
      }
  };
  for (const point of labelled) add(point, distancesFrom(point));
  const mean = (): number => nearest.reduce((sum, distance) => sum + distance, 0) / count;
  const before = labelled.length > 0 ? mean() : null;
  const open = new Set(candidates);
  const picked: { point: number; distance: number | null }[] = [];
  const rows = new Map<number, Float64Array>();
  const rowsOf = (point: number): Float64Array => {
    const known = rows.get(point) ?? distancesFrom(point);
    // what all pairs of a few thousand need; more are computed anew
    if (count * rows.size < 2 ** 24) rows.set(point, known);
    return known;
  };
  /** The sum of distances to the nearest chosen one, were this one chosen. */
  const sumWith = (point: number): number => {
    const distances = rowsOf(point);
    let sum = 0;
    for (let i = 0; i < count; i++) sum += Math.min(nearest[i], distances[i]);
    return sum;
  };
  for (let k = 0; k < n; k++) {
    const isFirst = labelled.length + k === 0;
    let [best, least] = [-1, Number.POSITIVE_INFINITY];
    for (const point of open) {
      const value = strategy === 'coverage' || isFirst ? sumWith(point) : -nearest[point];
      // the first of equal ones, in the cohort's order
      if (value < least) [best, least] = [point, value];
    }
    picked.push({ point: best, distance: isFirst ? null : nearest[best] });
    open.delete(best);
    add(best, rowsOf(best));
  }
  return {
    chosen: picked.map((choice) => ({
      ...choice,
      standsFor: nearestOf.reduce((sum, of) => sum + (of === choice.point ? 1 : 0), 0),
    })),
    meanDistance: { before, after: mean() },
  };
}

/** The points in the plane of their first two principal components. */
export function inPlane(points: Points): readonly (readonly [x: number, y: number])[] {
  const { mean, directions } = componentsOfPoints(points, 2);
  return Array.from({ length: points.count }, (_, i): [number, number] => {
    const row = rowOf(points, i);
    const along = (direction: Float64Array | undefined): number =>
      direction ? direction.reduce((sum, value, d) => sum + value * (row[d] - mean[d]), 0) : 0;
    return [along(directions[0]), along(directions[1])];
  });
}
