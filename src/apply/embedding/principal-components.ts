/** Principal components of features, for pictures: the directions in which a volume's features differ most. */

export interface PrincipalComponents {
  readonly mean: Float64Array;
  /** Unit vectors, the first explains most; each with its greatest entry positive, so that the sign is settled. */
  readonly directions: readonly Float64Array[];
  /** Share of the variance that each explains. */
  readonly explained: readonly number[];
}

/** Eigenvectors of a symmetric matrix by Jacobi's rotations, the greatest eigenvalue first. */
function eigenvectors(matrix: Float64Array, n: number): { values: number[]; vectors: Float64Array[] } {
  const a = matrix.slice();
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p * n + q]! ** 2;
    if (off < 1e-22) break;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const apq = a[p * n + q]!;
        if (apq === 0) continue;
        const theta = (a[q * n + q]! - a[p * n + p]!) / (2 * apq);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        const s = t * c;
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k * n + p]!, a[k * n + q]!];
          a[k * n + p] = c * x - s * y;
          a[k * n + q] = s * x + c * y;
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p * n + k]!, a[q * n + k]!];
          a[p * n + k] = c * x - s * y;
          a[q * n + k] = s * x + c * y;
          const [vx, vy] = [v[k * n + p]!, v[k * n + q]!];
          v[k * n + p] = c * vx - s * vy;
          v[k * n + q] = s * vx + c * vy;
        }
      }
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j]! - a[i * n + i]!);
  return {
    values: order.map((i) => Math.max(0, a[i * n + i]!)),
    vectors: order.map((i) => Float64Array.from({ length: n }, (_, k) => v[k * n + i]!)),
  };
}

/**
 * The first components of features (channels, voxels).
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
  for (const v of list) for (let c = 0; c < channels; c++) mean[c]! += features[c * voxels + v]! / list.length;
  const covariance = new Float64Array(channels * channels);
  const centred = new Float64Array(channels);
  for (const v of list) {
    for (let c = 0; c < channels; c++) centred[c] = features[c * voxels + v]! - mean[c]!;
    for (let i = 0; i < channels; i++)
      for (let j = 0; j <= i; j++) covariance[i * channels + j]! += (centred[i]! * centred[j]!) / list.length;
  }
  for (let i = 0; i < channels; i++) for (let j = 0; j < i; j++) covariance[j * channels + i] = covariance[i * channels + j]!;
  const { values, vectors } = eigenvectors(covariance, channels);
  const total = values.reduce((sum, value) => sum + value, 0) || 1;
  const directions = vectors.slice(0, count).map((direction) => {
    const greatest = direction.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    return greatest < 0 ? direction.map((value) => -value) : direction;
  });
  return { mean, directions, explained: values.slice(0, count).map((value) => value / total) };
}

/** The features along one component, voxel by voxel. */
export function project(features: Float32Array, { mean, directions }: PrincipalComponents, component: number): Float32Array {
  const direction = directions[component]!;
  const channels = direction.length;
  const voxels = features.length / channels;
  const out = new Float32Array(voxels);
  for (let c = 0; c < channels; c++) {
    const [weight, centre] = [direction[c]!, mean[c]!];
    for (let v = 0; v < voxels; v++) out[v]! += weight * (features[c * voxels + v]! - centre);
  }
  return out;
}
