/**
 * Eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to a tridiagonal one, then QL with implicit shifts (Martin, Reinsch
 * and Wilkinson 1968; Dubrulle, Martin and Wilkinson 1968; Golub and Van Loan, Matrix Computations, 8.3). About 5 n^3 operations: under a second
 * for the 512 channels of the paper's bottleneck.
 *
 * Vectors are held as rows, so that every rotation and reflection runs along memory.
 */

/** More than any eigenvalue has ever needed; three are usual. */
const MAX_STEPS = 60;

export interface Eigen {
  /** The greatest first. */
  readonly values: Float64Array;
  /** Unit vectors, in the order of the values. Their signs are arbitrary. */
  readonly vectors: readonly Float64Array[];
}

/**
 * Makes A = Q T Q^T: `a` (n x n, overwritten) becomes its reflections, the tridiagonal T comes back as its diagonal and the one below it, and Q^T
 * row by row.
 */
function tridiagonalise(a: Float64Array, n: number): { diagonal: Float64Array; below: Float64Array; rows: Float64Array[] } {
  const diagonal = new Float64Array(n);
  const below = new Float64Array(n);
  const rows = Array.from({ length: n }, (_, i) => {
    const row = new Float64Array(n);
    row[i] = 1;
    return row;
  });
  const v = new Float64Array(n);
  const p = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    // the reflection I - beta v v^T that takes column k below the diagonal to (alpha, 0, 0, ...)
    let square = 0;
    for (let i = k + 1; i < n; i++) {
      v[i] = a[i * n + k];
      square += v[i] * v[i];
    }
    const norm = Math.sqrt(square);
    const alpha = v[k + 1] > 0 ? -norm : norm;
    diagonal[k] = a[k * n + k];
    below[k] = alpha;
    if (norm === 0) continue;
    const beta = 1 / (square - alpha * v[k + 1]);
    v[k + 1] -= alpha;
    // A - v w^T - w v^T with p = beta A v, w = p - (beta / 2) (p . v) v
    let along = 0;
    for (let i = k + 1; i < n; i++) {
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += a[i * n + j] * v[j];
      p[i] = beta * sum;
      along += p[i] * v[i];
    }
    for (let i = k + 1; i < n; i++) p[i] -= (beta / 2) * along * v[i];
    for (let i = k + 1; i < n; i++) for (let j = k + 1; j < n; j++) a[i * n + j] -= v[i] * p[j] + p[i] * v[j];
    // Q^T = ... H_1 H_0
    const projected = new Float64Array(n);
    for (let i = k + 1; i < n; i++) for (let j = 0; j < n; j++) projected[j] += v[i] * rows[i][j];
    for (let i = k + 1; i < n; i++) for (let j = 0; j < n; j++) rows[i][j] -= beta * v[i] * projected[j];
  }
  if (n > 0) diagonal[n - 1] = a[n * n - 1];
  return { diagonal, below, rows };
}

/**
 * @param matrix n x n, row by row, symmetric; not changed.
 * @throws RangeError if there are not n * n finite values.
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  if (matrix.length !== n * n) throw new RangeError(`symmetricEigen: expected ${n * n} values, got ${matrix.length}`);
  if (!matrix.every(Number.isFinite)) throw new RangeError('symmetricEigen: expected finite values');
  const { diagonal: d, below: e, rows } = tridiagonalise(matrix.slice(), n);
  // relative to the whole matrix: next to eigenvalues that are rounding themselves nothing is small relative to its neighbours
  const negligible = Number.EPSILON * d.reduce((most, value, i) => Math.max(most, Math.abs(value) + Math.abs(e[i])), 0);
  for (let first = 0; first < n; first++) {
    for (let step = 0; ; step++) {
      // the block from `first` to `last` hangs together
      let last = first;
      while (last < n - 1 && Math.abs(e[last]) > negligible) last++;
      if (last === first) break;
      if (step === MAX_STEPS) throw new RangeError(`symmetricEigen: no convergence after ${MAX_STEPS} steps`);
      // Wilkinson's shift
      const slope = (d[first + 1] - d[first]) / (2 * e[first]);
      const root = Math.sqrt(slope * slope + 1);
      let g = d[last] - d[first] + e[first] / (slope + (slope < 0 ? -root : root));
      let [sine, cosine, shift] = [1, 1, 0];
      let at = last - 1;
      for (; at >= first; at--) {
        const f = sine * e[at];
        const b = cosine * e[at];
        const r = Math.sqrt(f * f + g * g);
        e[at + 1] = r;
        if (r === 0) {
          d[at + 1] -= shift;
          e[last] = 0;
          break;
        }
        sine = f / r;
        cosine = g / r;
        g = d[at + 1] - shift;
        const rest = (d[at] - g) * sine + 2 * cosine * b;
        shift = sine * rest;
        d[at + 1] = g + shift;
        g = cosine * rest - b;
        const [low, high] = [rows[at], rows[at + 1]];
        for (let k = 0; k < n; k++) {
          const held = high[k];
          high[k] = sine * low[k] + cosine * held;
          low[k] = cosine * low[k] - sine * held;
        }
      }
      if (at >= first) continue;
      d[first] -= shift;
      e[first] = g;
      e[last] = 0;
    }
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => d[j] - d[i] || i - j);
  return { values: Float64Array.from(order, (i) => d[i]), vectors: order.map((i) => rows[i]) };
}
