/**
 * A smooth random displacement: uniform noise in [-1, 1] at every voxel, smoothed by a Gaussian, times alpha (docs/method.md, section 7). With sigma 10 to 13 voxels the smoothed noise has a standard deviation of 0.002 to 0.003, so that alpha up to
 * 512 moves voxels by up to about one and a half (one standard deviation).
 *
 * What is drawn here is that field's distribution, not that computation. Smoothing white noise of variance 1/3 a voxel gives
 * a (by the central limit theorem) Gaussian field with covariance (1/3) (g * g)(p - p'), g the Gaussian kernel. The same
 * covariance comes from noise of variance h^3 / 3 on a grid of h voxels convolved with the same continuous g, as long as the
 * sum over grid nodes stands for the integral; at h = sigma it does to 1e-4 (Poisson's formula: 2 exp(-pi^2) for g squared).
 * So the grid has one node a sigma, about 16^3 of them for a patch of 96^3 instead of 884,736 draws a component, and the field
 * is a separable sum of eight taps an axis (those within 4 sigma). Nodes reach beyond the volume: there is no border effect,
 * and none of the dependence on the padding rule that smoothing an array has.
 *
 * Rows are made on demand: the field is never stored whole.
 */

import { randomStream } from '../../../common/random.ts';
import type { Zyx } from '../../../geometry/volume.ts';

export interface ElasticPlan {
  /** Factor on the smoothed noise. */
  readonly alphaVoxels: number;
  readonly sigmaVoxels: number;
  /** Names the noise. */
  readonly seed: number;
}

/** One row, along x, of a vector field: its z, y and x components, in voxels. */
export type VectorRow = readonly [Float64Array, Float64Array, Float64Array];

/** Nodes within four sigma of any position, at one node a sigma. */
const TAPS = 8;
/** Nodes below a position among its eight. */
const TAPS_BELOW = 3;

interface AxisKernel {
  readonly nodes: number;
  /** Weights of the eight nodes from floor(position / sigma) on, `TAPS` for each position. */
  readonly weights: Float64Array;
  readonly firstNode: Int32Array;
}

function axisKernel(size: number, sigma: number): AxisKernel {
  const weights = new Float64Array(size * TAPS);
  const firstNode = new Int32Array(size);
  // sqrt(h) = sqrt(sigma) is this axis' share of the noise's standard deviation.
  const peak = Math.sqrt(sigma) / (Math.sqrt(2 * Math.PI) * sigma);
  for (let position = 0; position < size; position++) {
    const first = Math.floor(position / sigma);
    firstNode[position] = first;
    for (let tap = 0; tap < TAPS; tap++) {
      const distance = position / sigma - (first + tap - TAPS_BELOW);
      weights[position * TAPS + tap] = peak * Math.exp((-distance * distance) / 2);
    }
  }
  return { nodes: Math.floor((size - 1) / sigma) + TAPS, weights, firstNode };
}

/** out[i] = sum over taps of weight x source[(first + tap) * stride + i]: collapses the leading axis at one position. */
function collapse(source: Float64Array, stride: number, kernel: AxisKernel, position: number, out: Float64Array): void {
  out.fill(0);
  for (let tap = 0; tap < TAPS; tap++) {
    const weight = kernel.weights[position * TAPS + tap];
    const from = (kernel.firstNode[position] + tap) * stride;
    for (let i = 0; i < stride; i++) out[i] += weight * source[from + i];
  }
}

/** out[x] = sum over taps of weight x row[first + tap]. Neighbours have the same eight nodes, about sigma of them: those are read once. */
function expandRow(row: Float64Array, { weights, firstNode }: AxisKernel, out: Float64Array): void {
  for (let x = 0; x < out.length; ) {
    const first = firstNode[x];
    const r0 = row[first];
    const r1 = row[first + 1];
    const r2 = row[first + 2];
    const r3 = row[first + 3];
    const r4 = row[first + 4];
    const r5 = row[first + 5];
    const r6 = row[first + 6];
    const r7 = row[first + 7];
    for (; x < out.length && firstNode[x] === first; x++) {
      const w = x * TAPS;
      const low = weights[w] * r0 + weights[w + 1] * r1 + weights[w + 2] * r2 + weights[w + 3] * r3;
      out[x] = low + weights[w + 4] * r4 + weights[w + 5] * r5 + weights[w + 6] * r6 + weights[w + 7] * r7;
    }
  }
}

/**
 * The field as a function that writes row (z, y) into `out`. Rows may be asked for in any order; the one after the last is
 * the cheapest.
 */
export function elasticRows(sizeZyx: Zyx, plan: ElasticPlan): (z: number, y: number, out: VectorRow) => void {
  const [alongZ, alongY, alongX] = sizeZyx.map((size) => axisKernel(size, plan.sigmaVoxels));
  const stream = randomStream(plan.seed, 'elastic');
  const planeNodes = alongY.nodes * alongX.nodes;
  const components = [0, 1, 2].map(() => ({
    noise: Float64Array.from({ length: alongZ.nodes * planeNodes }, () => plan.alphaVoxels * stream.uniform(-1, 1)),
    plane: new Float64Array(planeNodes),
    row: new Float64Array(alongX.nodes),
  }));
  let planeZ = -1;
  return (z, y, out) => {
    for (let c = 0; c < 3; c++) {
      const { noise, plane, row } = components[c];
      if (z !== planeZ) collapse(noise, planeNodes, alongZ, z, plane);
      collapse(plane, alongX.nodes, alongY, y, row);
      expandRow(row, alongX, out[c]);
    }
    planeZ = z;
  };
}
