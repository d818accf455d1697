/**
 * k-means: Lloyd's iterations from a k-means++ start (Arthur and Vassilvitskii, SODA 2007). The same bits for the same stream and points.
 *
 * Ties are settled: a point at the same distance from two centres belongs to the one of lower number. No cluster is empty: one that lost all its
 * points splits the largest. It takes the point of the largest that is furthest from that one's mean, and all of it that are nearer to this
 * point than to the mean.
 */
import type { RandomStream } from '../../common/random.ts';
import { checkPoints, type Points } from '../points.ts';

export interface KMeansOptions {
  readonly clusters: number;
  /** The most iterations; fewer where the assignment no longer changes. */
  readonly iterations: number;
}

/** Far fewer clusters than DeepCluster has for photographs: cohorts are small. */
export const DEFAULT_K_MEANS: KMeansOptions = { clusters: 16, iterations: 20 };

export interface Clusters {
  /** The cluster of each point; every cluster has at least one. */
  readonly assignment: Int32Array;
  /** The mean of each cluster's points. */
  readonly centres: Points & { readonly values: Float64Array };
  /** Points in each cluster. */
  readonly sizes: Int32Array;
  /** Sum over points of the squared distance to their centre. */
  readonly inertia: number;
  readonly iterations: number;
  /** Whether the assignment was the same twice. */
  readonly converged: boolean;
}

/** Squared distance of row i of one to row j of the other. */
function squaredDistance(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, dimensions: number): number {
  let sum = 0;
  for (let k = 0, at = i * dimensions, to = j * dimensions; k < dimensions; k++, at++, to++) {
    const difference = a[at] - b[to];
    sum += difference * difference;
  }
  return sum;
}

function checkClusters(caller: string, points: Points, clusters: number): void {
  checkPoints(caller, points);
  if (!(Number.isInteger(clusters) && clusters >= 1 && clusters <= points.count)) {
    throw new RangeError(`${caller}: expected 1 to ${points.count} clusters of ${points.count} points, got ${clusters}`);
  }
}

/**
 * Draws points to start from (k-means++): the first uniformly, each further one with a probability proportional to its squared distance from the
 * nearest drawn before. Where all points lie on drawn ones, the first that was not drawn is taken.
 * @returns indices of the points
 * @throws RangeError if the points' values do not fit, or there are fewer points than clusters.
 */
export function sampleStartPoints(stream: RandomStream, points: Points, clusters: number): number[] {
  checkClusters('sampleStartPoints', points, clusters);
  const { count, dimensions, values } = points;
  const drawn = [stream.integer(0, count)];
  const nearest = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
  while (drawn.length < clusters) {
    const last = drawn[drawn.length - 1];
    let total = 0;
    for (let i = 0; i < count; i++) {
      nearest[i] = Math.min(nearest[i], squaredDistance(values, i, values, last, dimensions));
      total += nearest[i];
    }
    // rounding may leave a little of the draw behind the last point: that one is then taken
    let left = stream.uniform() * total;
    let chosen = -1;
    for (let i = 0; i < count && left >= 0; i++) {
      if (nearest[i] === 0) continue;
      chosen = i;
      left -= nearest[i];
    }
    drawn.push(chosen >= 0 ? chosen : nearest.findIndex((_, i) => !drawn.includes(i)));
  }
  return drawn;
}

/**
 * The nearest centre of each point; of equally near ones that of lower number.
 * @throws RangeError if dimensions or values do not fit.
 */
export function nearestCentres(points: Points, centres: Points): Int32Array<ArrayBuffer> {
  checkPoints('nearestCentres', points);
  if (points.dimensions !== centres.dimensions) {
    throw new RangeError(`nearestCentres: expected points of ${centres.dimensions} dimensions, got ${points.dimensions}`);
  }
  const out = new Int32Array(points.count);
  for (let i = 0; i < points.count; i++) {
    let best = Number.POSITIVE_INFINITY;
    for (let c = 0; c < centres.count; c++) {
      const distance = squaredDistance(points.values, i, centres.values, c, points.dimensions);
      if (distance < best) [best, out[i]] = [distance, c];
    }
  }
  return out;
}

/** Means of the clusters' points. */
function meansOf({ count, dimensions, values }: Points, assignment: Int32Array, sizes: Int32Array): Float64Array {
  const means = new Float64Array(sizes.length * dimensions);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < dimensions; k++) means[assignment[i] * dimensions + k] += values[i * dimensions + k];
  }
  return means.map((sum, at) => sum / Math.max(1, sizes[Math.floor(at / dimensions)]));
}

function sizesOf(assignment: Int32Array, clusters: number): Int32Array {
  const sizes = new Int32Array(clusters);
  for (const cluster of assignment) sizes[cluster]++;
  return sizes;
}

/** Lets every empty cluster, in order, split the largest (of equals that of lower number); changes `assignment`. */
function fillEmpty(points: Points, assignment: Int32Array, clusters: number): void {
  const { count, dimensions, values } = points;
  for (let empty = 0; empty < clusters; empty++) {
    const sizes = sizesOf(assignment, clusters);
    if (sizes[empty] > 0) continue;
    const largest = sizes.indexOf(Math.max(...sizes));
    const means = meansOf(points, assignment, sizes);
    let [furthest, distance] = [-1, -1];
    for (let i = 0; i < count; i++) {
      if (assignment[i] !== largest) continue;
      const fromMean = squaredDistance(values, i, means, largest, dimensions);
      if (fromMean > distance) [furthest, distance] = [i, fromMean];
    }
    for (let i = 0; i < count; i++) {
      if (assignment[i] !== largest) continue;
      // not all go: the mean of those that are left out of it lies on its own side
      const nearer =
        squaredDistance(values, i, values, furthest, dimensions) < squaredDistance(values, i, means, largest, dimensions);
      if (i === furthest || nearer) assignment[i] = empty;
    }
  }
}

/**
 * Lloyd's iterations from given centres: each point to its nearest centre, empty clusters filled, each centre to the mean of its points.
 * @throws RangeError if dimensions or values do not fit, or there are fewer points than centres.
 */
export function kMeansFrom(points: Points, start: Points, iterations = DEFAULT_K_MEANS.iterations): Clusters {
  checkClusters('kMeansFrom', points, start.count);
  if (!(iterations >= 1)) throw new RangeError(`kMeansFrom: expected at least 1 iteration, got ${iterations}`);
  const { dimensions } = points;
  if (start.dimensions !== dimensions) {
    throw new RangeError(`kMeansFrom: expected centres of ${dimensions} dimensions, got ${start.dimensions}`);
  }
  let centres: Clusters['centres'] = { count: start.count, dimensions, values: Float64Array.from(start.values) };
  let assignment = new Int32Array(points.count).fill(-1);
  let [done, converged] = [0, false];
  while (done < iterations && !converged) {
    const next = nearestCentres(points, centres);
    fillEmpty(points, next, start.count);
    done++;
    converged = next.every((cluster, i) => cluster === assignment[i]);
    if (!converged) centres = { ...centres, values: meansOf(points, next, sizesOf(next, start.count)) };
    assignment = next;
  }
  let inertia = 0;
  for (let i = 0; i < points.count; i++) inertia += squaredDistance(points.values, i, centres.values, assignment[i], dimensions);
  return { assignment, centres, sizes: sizesOf(assignment, start.count), inertia, iterations: done, converged };
}

/**
 * A point drawn so that every cluster is drawn equally often, however many points it has: DeepCluster's examples.
 * @throws RangeError if a cluster has no point.
 */
export function samplePoint(stream: RandomStream, { assignment, sizes }: Pick<Clusters, 'assignment' | 'sizes'>): number {
  const cluster = stream.integer(0, sizes.length);
  if (sizes[cluster] === 0) throw new RangeError(`samplePoint: expected points in cluster ${cluster}, got none`);
  let place = stream.integer(0, sizes[cluster]);
  return assignment.findIndex((one) => one === cluster && place-- === 0);
}

/**
 * k-means from a k-means++ start. Options left out are the specification's.
 * @throws RangeError if the points' values do not fit, or there are fewer points than clusters.
 */
export function kMeans(stream: RandomStream, points: Points, options: Partial<KMeansOptions> = {}): Clusters {
  const { clusters, iterations } = { ...DEFAULT_K_MEANS, ...options };
  const { dimensions, values } = points;
  const start = new Float64Array(clusters * dimensions);
  sampleStartPoints(stream, points, clusters).forEach((point, c) => {
    start.set(values.subarray(point * dimensions, (point + 1) * dimensions), c * dimensions);
  });
  return kMeansFrom(points, { count: clusters, dimensions, values: start }, iterations);
}
