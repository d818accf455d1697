/**
 * Linear operators along one axis of a volume: interpolation, Gaussian smoothing and both in one, as a short row of weights for every
 * output position. A separable operation is three of them, which is what makes resampling between parallel grids quick: the work per
 * voxel is a few multiplications along contiguous memory.
 */
import { type PlaneReader, planeReader, type Xyz } from './volume.ts';

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
const isIdentity = (op: AxisOperator): boolean =>
  op.inputs === op.outputs && op.starts.every((start, k) => op.taps === 1 && start === k && op.weights[k] === 1);

/**
 * Applies an operator along x (axis 0) or y (axis 1) of a plane of `size` (x, y); the result, of `size` with that axis replaced by
 * `op.outputs`, goes into `out`.
 */
function applyInPlane(
  op: AxisOperator,
  axis: 0 | 1,
  input: Float32Array,
  [nx, ny]: readonly [number, number],
  out: Float32Array,
): void {
  const { taps, starts, weights, outputs } = op;
  if (axis === 0) {
    let y = 0;
    // four rows side by side: one sum alone would wait for each of its additions
    for (; y + 4 <= ny; y += 4) {
      const [row0, row1, row2, row3] = [y * nx, (y + 1) * nx, (y + 2) * nx, (y + 3) * nx];
      for (let k = 0, at = y * outputs; k < outputs; k++, at++) {
        const start = starts[k];
        const first = k * taps;
        let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
        for (let t = 0; t < taps; t++) {
          const weight = weights[first + t];
          const from = start + t;
          sum0 += weight * input[row0 + from];
          sum1 += weight * input[row1 + from];
          sum2 += weight * input[row2 + from];
          sum3 += weight * input[row3 + from];
        }
        out[at] = sum0;
        out[at + outputs] = sum1;
        out[at + 2 * outputs] = sum2;
        out[at + 3 * outputs] = sum3;
      }
    }
    for (; y < ny; y++) {
      for (let k = 0; k < outputs; k++) {
        const from = y * nx + starts[k];
        let sum = 0;
        for (let t = 0; t < taps; t++) sum += weights[k * taps + t] * input[from + t];
        out[y * outputs + k] = sum;
      }
    }
    return;
  }
  for (let k = 0; k < outputs; k++) {
    const row = out.subarray(k * nx, (k + 1) * nx).fill(0);
    addTaps(op, k, row, (place) => ({ input, from: place * nx }));
  }
}

/** Values that begin somewhere in an array. */
interface Place {
  readonly input: Float32Array;
  readonly from: number;
}
interface WeightedPlace {
  readonly place: Place;
  readonly weight: number;
}

/** Adds to `sum` the inputs of output `k` times their weights, one after the other, each rounded to single precision; weights of 0 are left out. */
function addTaps({ taps, starts, weights }: AxisOperator, k: number, sum: Float32Array, placeOf: (input: number) => Place): void {
  const used: WeightedPlace[] = [];
  for (let t = 0; t < taps; t++) {
    const weight = weights[k * taps + t];
    if (weight !== 0) used.push({ place: placeOf(starts[k] + t), weight });
  }
  let t = 0;
  // four at a time, so that sums are loaded and stored once for all of them
  for (; t + 4 <= used.length; t += 4) addFour(sum, used[t], used[t + 1], used[t + 2], used[t + 3]);
  for (; t < used.length; t++) {
    const { place, weight } = used[t];
    const { input, from } = place;
    for (let i = 0; i < sum.length; i++) sum[i] += weight * input[from + i];
  }
}

function addFour(sum: Float32Array, a: WeightedPlace, b: WeightedPlace, c: WeightedPlace, d: WeightedPlace): void {
  const [inputA, inputB, inputC, inputD] = [a.place.input, b.place.input, c.place.input, d.place.input];
  const [fromA, fromB, fromC, fromD] = [a.place.from, b.place.from, c.place.from, d.place.from];
  const [weightA, weightB, weightC, weightD] = [a.weight, b.weight, c.weight, d.weight];
  for (let i = 0; i < sum.length; i++) {
    const withA = Math.fround(sum[i] + weightA * inputA[fromA + i]);
    const withB = Math.fround(withA + weightB * inputB[fromB + i]);
    const withC = Math.fround(withB + weightC * inputC[fromC + i]);
    sum[i] = withC + weightD * inputD[fromD + i];
  }
}

/** Some operators along x and y, one after the other, on planes of one size. */
function planeOperation(steps: readonly { op: AxisOperator; axis: 0 | 1 }[], size: [number, number]) {
  const stages = steps
    .filter(({ op }) => !isIdentity(op))
    .map(({ op, axis }) => {
      const from: readonly [number, number] = [...size];
      size[axis] = op.outputs;
      return { op, axis, from, out: new Float32Array(size[0] * size[1]) };
    });
  return {
    /** The result for a plane; the plane itself if there is nothing to do, else an array that is used again. */
    run: (plane: Float32Array): Float32Array => {
      for (const { op, axis, from, out } of stages) {
        applyInPlane(op, axis, plane, from, out);
        plane = out;
      }
      return plane;
    },
    voxels: size[0] * size[1],
  };
}

/**
 * Applies one operator along each axis of a volume, the ones that shrink it most first. The volume is read plane by plane: of what it
 * becomes on the way only as many planes are held as the operator along z has taps.
 * @returns says before each reading which plane comes next, so that one can wait until it is there
 */
export function* separableSteps(
  operators: readonly [AxisOperator, AxisOperator, AxisOperator],
  read: PlaneReader,
): Generator<number, Float32Array<ArrayBuffer>, void> {
  const ratio = (axis: number): number => operators[axis].outputs / operators[axis].inputs;
  const order = ([0, 1, 2] as const).toSorted((a, b) => ratio(a) - ratio(b));
  const inPlane = (axes: readonly number[]) =>
    axes.flatMap((axis) => (axis === 2 ? [] : [{ op: operators[axis], axis: axis as 0 | 1 }]));
  const size: [number, number] = [operators[0].inputs, operators[1].inputs];
  const stored = new Float32Array(size[0] * size[1]);
  const before = planeOperation(inPlane(order.slice(0, order.indexOf(2))), size);
  const after = planeOperation(inPlane(order.slice(order.indexOf(2))), size);

  const { taps, outputs, starts, weights } = operators[2];
  const held = Array.from({ length: taps }, () => ({ z: -1, plane: new Float32Array(before.voxels) }));
  const planeAt = (z: number): Float32Array => held[z % taps].plane;
  const copies = isIdentity(operators[2]);
  const sum = new Float32Array(before.voxels);
  const out = new Float32Array(after.voxels * outputs);
  for (let k = 0; k < outputs; k++) {
    for (let t = 0; t < taps; t++) {
      const z = starts[k] + t;
      const place = held[z % taps];
      if (weights[k * taps + t] === 0 || place.z === z) continue;
      yield z;
      read(z, stored);
      place.plane.set(before.run(stored));
      place.z = z;
    }
    if (!copies) {
      sum.fill(0);
      addTaps(operators[2], k, sum, (z) => ({ input: planeAt(z), from: 0 }));
    }
    out.set(after.run(copies ? planeAt(k) : sum), k * after.voxels);
  }
  return out;
}

/** What steps come to that need not wait. */
export function resultOf<Result>(steps: Generator<unknown, Result, void>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** All steps at once. */
export const applySeparable = (
  operators: readonly [AxisOperator, AxisOperator, AxisOperator],
  read: PlaneReader,
): Float32Array<ArrayBuffer> => resultOf(separableSteps(operators, read));

/** Applies an operator along `axis` (0 = x, 1 = y, 2 = z) of voxels of `size`: new voxels, with that axis replaced by `op.outputs`. */
export function applyAlong(op: AxisOperator, axis: 0 | 1 | 2, input: Float32Array, size: Xyz): Float32Array<ArrayBuffer> {
  const operators = size.map((n, k) => (k === axis ? op : interpolationOperator(n, [...Array(n).keys()], 0)));
  return applySeparable(operators as [AxisOperator, AxisOperator, AxisOperator], planeReader({ data: input }));
}
