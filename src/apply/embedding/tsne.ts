/**
 * t-SNE (van der Maaten & Hinton 2008), exact: points of many dimensions laid out in two so that neighbours stay neighbours. For some thousand points;
 * the layout follows from the seed.
 */
import { randomStream } from '../../common/random.ts';

export interface TsneOptions {
  /** Effective number of neighbours. Default 30, less for few points. */
  readonly perplexity?: number;
  readonly iterations?: number;
  readonly seed?: number;
}

/** Early exaggeration: its factor, and for how many iterations. */
const EXAGGERATION = 12;
const EXAGGERATED_ITERATIONS = 250;

/** Squared distances between all pairs. */
function pairDistances(points: readonly ArrayLike<number>[]): Float64Array {
  const n = points.length;
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const [a, b] = [points[i], points[j]];
      let sum = 0;
      for (let k = 0; k < a.length; k++) sum += (a[k] - b[k]) ** 2;
      out[i * n + j] = sum;
      out[j * n + i] = sum;
    }
  return out;
}

/** Joint probabilities: Gaussian about each point, its width found so that the entropy is that of the perplexity; then made symmetric. */
function jointProbabilities(distances: Float64Array, n: number, perplexity: number): Float64Array {
  const conditional = new Float64Array(n * n);
  const wanted = Math.log(perplexity);
  for (let i = 0; i < n; i++) {
    let [beta, low, high] = [1, 0, Number.POSITIVE_INFINITY];
    // distances from the nearest on, so that the exponentials do not all vanish
    let nearest = Number.POSITIVE_INFINITY;
    for (let j = 0; j < n; j++) if (j !== i) nearest = Math.min(nearest, distances[i * n + j]);
    for (let attempt = 0; attempt < 64; attempt++) {
      let [sum, weighted] = [0, 0];
      for (let j = 0; j < n; j++) {
        if (j === i) continue;
        const d = distances[i * n + j] - nearest;
        const p = Math.exp(-beta * d);
        conditional[i * n + j] = p;
        sum += p;
        weighted += p * d;
      }
      const entropy = Math.log(sum) + (beta * weighted) / sum;
      for (let j = 0; j < n; j++) conditional[i * n + j] /= sum;
      if (Math.abs(entropy - wanted) < 1e-5) break;
      if (entropy > wanted) {
        low = beta;
        beta = high === Number.POSITIVE_INFINITY ? beta * 2 : (beta + high) / 2;
      } else {
        high = beta;
        beta = (beta + low) / 2;
      }
    }
  }
  const joint = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) joint[i * n + j] = Math.max(1e-12, (conditional[i * n + j] + conditional[j * n + i]) / (2 * n));
  return joint;
}

/**
 * Lays points out in the plane.
 * @throws RangeError for fewer than 4 points
 */
export function tsne(points: readonly ArrayLike<number>[], options: TsneOptions = {}): [x: number, y: number][] {
  const n = points.length;
  if (n < 4) throw new RangeError(`t-SNE needs at least 4 points, got ${n}`);
  const { perplexity = Math.min(30, (n - 1) / 3), iterations = 500, seed = 1 } = options;
  const joint = jointProbabilities(pairDistances(points), n, perplexity);
  const stream = randomStream(seed, 'tsne', n);
  const y = Float64Array.from({ length: 2 * n }, () => stream.normal(0, 1e-4));
  const step = new Float64Array(2 * n);
  const gains = new Float64Array(2 * n).fill(1);
  const gradient = new Float64Array(2 * n);
  const kernel = new Float64Array(n * n);
  const rate = Math.max(50, n / EXAGGERATION);
  for (let iteration = 0; iteration < iterations; iteration++) {
    const exaggeration = iteration < EXAGGERATED_ITERATIONS ? EXAGGERATION : 1;
    let total = 0;
    for (let i = 0; i < n; i++)
      for (let j = 0; j < i; j++) {
        const value = 1 / (1 + (y[2 * i] - y[2 * j]) ** 2 + (y[2 * i + 1] - y[2 * j + 1]) ** 2);
        kernel[i * n + j] = value;
        kernel[j * n + i] = value;
        total += 2 * value;
      }
    gradient.fill(0);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        if (j === i) continue;
        const k = kernel[i * n + j];
        const force = 4 * (exaggeration * joint[i * n + j] - k / total) * k;
        gradient[2 * i] += force * (y[2 * i] - y[2 * j]);
        gradient[2 * i + 1] += force * (y[2 * i + 1] - y[2 * j + 1]);
      }
    const momentum = iteration < EXAGGERATED_ITERATIONS ? 0.5 : 0.8;
    for (let k = 0; k < 2 * n; k++) {
      gains[k] = Math.max(0.01, Math.sign(gradient[k]) === Math.sign(step[k]) ? gains[k] * 0.8 : gains[k] + 0.2);
      step[k] = momentum * step[k] - rate * gains[k] * gradient[k];
      y[k] += step[k];
    }
  }
  return Array.from({ length: n }, (_, i) => [y[2 * i], y[2 * i + 1]]);
}
