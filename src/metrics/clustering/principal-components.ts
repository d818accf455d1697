/**
 * Principal components: the directions in which feature vectors differ most. Of a volume's features, for pictures; of points, whitened, for
 * clustering.
 */
import { checkPoints, type Points, rowOf, unitPoints } from '../points.ts';
import { symmetricEigen } from './symmetric-eigen.ts';

export interface PrincipalComponents {
  readonly mean: Float64Array;
  /** Unit vectors, the first explains most; each with its greatest entry positive, so that the sign is settled. */
  readonly directions: readonly Float64Array[];
  /** Variance along each (divided by the number of vectors less one). */
  readonly variances: readonly number[];
  /** Share of the variance that each explains. */
  readonly explained: readonly number[];
}

/** A variance below this share of the greatest one is rounding. */
const ROUNDING = 1e-12;

/** The direction or its opposite, whichever has its greatest entry (the first of equals) positive. */
function settleSign(direction: Float64Array): Float64Array {
  const greatest = direction.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
  return greatest < 0 ? direction.map((value) => -value) : direction;
}

function componentsFrom(
  mean: Float64Array,
  variances: Float64Array,
  directionOf: (component: number) => Float64Array,
  count: number,
): PrincipalComponents {
  const kept = variances.subarray(0, count).map((value) => Math.max(0, value));
  const total = variances.reduce((sum, value) => sum + Math.max(0, value), 0) || 1;
  return {
    mean,
    directions: Array.from(kept, (_, i) => settleSign(directionOf(i))),
    variances: [...kept],
    explained: Array.from(kept, (value) => value / total),
  };
}

/**
 * The first components of features (channels, voxels).
 * @param count at most as many as channels
 * @param chosen which voxels count; all if left out
 */
export function principalComponents(
  features: Float32Array,
  channels: number,
  count: number,
  chosen: (voxel: number) => boolean = () => true,
): PrincipalComponents {
  const voxels = features.length / channels;
  const mean = new Float64Array(channels);
  const list: number[] = [];
  for (let v = 0; v < voxels; v++) if (chosen(v)) list.push(v);
  for (const v of list) for (let c = 0; c < channels; c++) mean[c] += features[c * voxels + v] / list.length;
  const covariance = new Float64Array(channels * channels);
  const centred = new Float64Array(channels);
  for (const v of list) {
    for (let c = 0; c < channels; c++) centred[c] = features[c * voxels + v] - mean[c];
    addProduct(covariance, centred);
  }
  const { values, vectors } = symmetricEigen(symmetric(covariance, channels, list.length - 1), channels);
  return componentsFrom(mean, values, (i) => vectors[i], count);
}

/** Adds the lower half of x x^T. */
function addProduct(sum: Float64Array, x: Float64Array): void {
  const n = x.length;
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) sum[i * n + j] += x[i] * x[j];
}

/** The lower half made whole, divided. */
function symmetric(lower: Float64Array, n: number, divisor: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) out[i * n + j] = out[j * n + i] = lower[i * n + j] / Math.max(1, divisor);
  }
  return out;
}

/** The features along one component, voxel by voxel. */
export function project(features: Float32Array, { mean, directions }: PrincipalComponents, component: number): Float32Array {
  const direction = directions[component];
  const channels = direction.length;
  const voxels = features.length / channels;
  const out = new Float32Array(voxels);
  for (let c = 0; c < channels; c++) {
    const [weight, centre] = [direction[c], mean[c]];
    for (let v = 0; v < voxels; v++) out[v] += weight * (features[c * voxels + v] - centre);
  }
  return out;
}

/** Components of so many points that k-means works with: min(64, points / 4), at least one, and no more than there are dimensions. */
export const clusteringDimensions = ({ count, dimensions }: Pick<Points, 'count' | 'dimensions'>): number =>
  Math.max(1, Math.min(64, Math.floor(count / 4), dimensions));

/**
 * The first components of points: eigenvectors of their covariance or, where there are fewer points than dimensions, of the matrix of their
 * products (Gram matrix), which has the same eigenvalues and is smaller. Components whose variance is rounding (below 1e-12 of the greatest)
 * are left out, so there may be fewer than `count`.
 * @throws RangeError if the points' values do not fit their numbers, are not finite, or there are fewer than two points.
 */
export function componentsOfPoints(points: Points, count: number): PrincipalComponents {
  checkPoints('componentsOfPoints', points);
  const { count: n, dimensions } = points;
  if (n < 2) throw new RangeError(`componentsOfPoints: expected at least 2 points, got ${n}`);
  const mean = new Float64Array(dimensions);
  for (let i = 0; i < n; i++) for (let j = 0; j < dimensions; j++) mean[j] += points.values[i * dimensions + j] / n;
  const centred = Array.from({ length: n }, (_, i) => Float64Array.from(rowOf(points, i), (value, j) => value - mean[j]));
  const byPoint = n < dimensions;
  const side = byPoint ? n : dimensions;
  const lower = new Float64Array(side * side);
  if (byPoint) {
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) lower[i * n + j] = dot(centred[i], centred[j]);
  } else for (const row of centred) addProduct(lower, row);
  const { values, vectors } = symmetricEigen(symmetric(lower, side, n - 1), side);
  const real = values.filter((value) => value > ROUNDING * values[0]).length;
  const directionOf = (component: number): Float64Array => {
    if (!byPoint) return vectors[component];
    // X^T u / |X^T u|
    const direction = new Float64Array(dimensions);
    vectors[component].forEach((weight, i) => {
      for (let j = 0; j < dimensions; j++) direction[j] += weight * centred[i][j];
    });
    const length = Math.sqrt(dot(direction, direction));
    return direction.map((value) => value / length);
  };
  return componentsFrom(mean, values, directionOf, Math.min(count, real));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * Points in coordinates of unit variance along the components, before `clusteringPoints` brings them to unit length. Points that the
 * components were not made of (held-out ones) are brought into the same coordinates.
 * @throws RangeError if the points' values do not fit, or their dimensions are not the components'.
 */
export function whiten(
  points: Points,
  { mean, directions, variances }: PrincipalComponents,
): Points & { readonly values: Float64Array } {
  checkPoints('whiten', points);
  const { count, dimensions } = points;
  if (dimensions !== mean.length) throw new RangeError(`whiten: expected points of ${mean.length} dimensions, got ${dimensions}`);
  const values = new Float64Array(count * directions.length);
  for (let i = 0; i < count; i++) {
    const centred = Float64Array.from(rowOf(points, i), (value, j) => value - mean[j]);
    directions.forEach((direction, k) => {
      values[i * directions.length + k] = dot(centred, direction) / Math.sqrt(variances[k]);
    });
  }
  return { count, dimensions: directions.length, values };
}

/** Whitened points brought to unit length: what k-means of DeepCluster works with (Caron et al., ECCV 2018). */
export const clusteringPoints = (points: Points, components: PrincipalComponents): Points & { readonly values: Float64Array } =>
  unitPoints(whiten(points, components));
