/**
 * Linear operators along one axis of a volume: interpolation, Gaussian smoothing and both in one, as a short row of weights for every
 * output position. A separable operation is three of them, which is what makes resampling between parallel grids quick: the work per
 * voxel is a few multiplications along contiguous memory.
 */
import type { Xyz } from './volume.ts';

/** Output k is the sum over t of `weights[k * taps + t] * input[starts[k] + t]`. */
export interface AxisOperator {
  readonly inputs: number;
  readonly outputs: number;
  readonly taps: number;
  readonly starts: Int32Array;
  readonly weights: Float32Array;
}

/** The operator whose output k is `terms(k)`: pairs of input index (already inside 0..inputs-1) and weight. */
function fromTerms(inputs: number, outputs: number, terms: (k: number) => ReadonlyMap<number, number>): AxisOperator {
  const rows = Array.from({ length: outputs }, (_, k) => terms(k));
  const spans = rows.map((row) => [Math.min(...row.keys()), Math.max(...row.keys())]);
  const taps = Math.min(inputs, Math.max(...spans.map(([low, high]) => high - low + 1)));
  const starts = new Int32Array(outputs);
  const weights = new Float32Array(outputs * taps);
  rows.forEach((row, k) => {
    starts[k] = Math.max(0, Math.min(spans[k][0], inputs - taps));
    for (const [index, weight] of row) weights[k * taps + index - starts[k]] += weight;
  });
  return { inputs, outputs, taps, starts, weights };
}

/** Weights of a Gaussian of `sigma` (in voxels) out to 4 sigma, summing to 1; [1] for sigma 0. */
function gaussianWeights(sigma: number): number[] {
  const radius = Math.ceil(4 * sigma);
  const raw = Array.from({ length: 2 * radius + 1 }, (_, i) => (sigma > 0 ? Math.exp(-(((i - radius) / sigma) ** 2) / 2) : 1));
  const sum = raw.reduce((a, b) => a + b, 0);
  return raw.map((w) => w / sum);
}

/**
 * Reads the input at `positions` (in input voxels) by linear interpolation of the input smoothed with a Gaussian of `sigma` voxels.
 * Beyond its ends the input continues with its border value.
 */
export function interpolationOperator(inputs: number, positions: ArrayLike<number>, sigma: number): AxisOperator {
  const gaussian = gaussianWeights(sigma);
  const radius = (gaussian.length - 1) / 2;
  const inside = (i: number): number => Math.max(0, Math.min(inputs - 1, i));
  return fromTerms(inputs, positions.length, (k) => {
    const position = inside(positions[k]);
    const low = Math.floor(position);
    const fraction = position - low;
    const row = new Map<number, number>();
    const add = (index: number, weight: number): void => {
      if (weight === 0) return;
      gaussian.forEach((g, t) => {
        const at = inside(index + t - radius);
        row.set(at, (row.get(at) ?? 0) + weight * g);
      });
    };
    add(low, 1 - fraction);
    add(low + 1, fraction);
    return row;
  });
}

/** True if the operator copies its input. */
export const isIdentity = (op: AxisOperator): boolean =>
  op.inputs === op.outputs && op.starts.every((start, k) => op.taps === 1 && start === k && op.weights[k] === 1);

/**
 * Applies an operator along `axis` (0 = x, 1 = y, 2 = z) of voxels of `size` (x, y, z).
 * @returns new voxels, of `size` with that axis replaced by `op.outputs`; the input itself if the operator is the identity.
 */
export function applyAlong(op: AxisOperator, axis: 0 | 1 | 2, input: Float32Array, size: Xyz): Float32Array {
  if (isIdentity(op)) return input;
  const { taps, starts, weights, outputs } = op;
  const outer = axis === 0 ? size[1] * size[2] : axis === 1 ? size[2] : 1;
  // how many contiguous values stand at one position of the axis
  const inner = axis === 0 ? 1 : axis === 1 ? size[0] : size[0] * size[1];
  const out = new Float32Array(outer * outputs * inner);
  for (let o = 0; o < outer; o++) {
    const inBase = o * op.inputs * inner;
    for (let k = 0; k < outputs; k++) {
      const outAt = (o * outputs + k) * inner;
      const inAt = inBase + starts[k] * inner;
      if (inner === 1) {
        let sum = 0;
        for (let t = 0; t < taps; t++) sum += weights[k * taps + t] * input[inAt + t];
        out[outAt] = sum;
        continue;
      }
      for (let t = 0; t < taps; t++) {
        const weight = weights[k * taps + t];
        if (weight === 0) continue;
        const from = inAt + t * inner;
        for (let i = 0; i < inner; i++) out[outAt + i] += weight * input[from + i];
      }
    }
  }
  return out;
}

/** Applies one operator along each axis, the ones that shrink the volume most first. */
export function applySeparable(
  operators: readonly [AxisOperator, AxisOperator, AxisOperator],
  input: Float32Array,
): Float32Array {
  const ratio = (axis: number): number => operators[axis].outputs / operators[axis].inputs;
  const order = ([0, 1, 2] as const).toSorted((a, b) => ratio(a) - ratio(b));
  const size = operators.map((op) => op.inputs) as [number, number, number];
  let data = input;
  for (const axis of order) {
    data = applyAlong(operators[axis], axis, data, size);
    size[axis] = operators[axis].outputs;
  }
  return data;
}
