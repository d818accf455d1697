/**
 * Linear operators along one axis of a volume: interpolation, Gaussian smoothing and both in one, as a short row of weights for every
 * output position. A separable operation is three of them, which is what makes resampling between parallel grids quick: the work per
 * voxel is a few multiplications along contiguous memory.
 */
import { AXIS_KERNELS } from './axis-kernels.ts';
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

/** The sums of axis-operator.as.ts; numbers that are not said to be anything else are addresses. */
interface Kernels {
  alongX(
    input: number,
    out: number,
    width: number,
    height: number,
    outputs: number,
    taps: number,
    starts: number,
    weights: number,
    strip: number,
  ): void;
  weightedSum(out: number, length: number, count: number, inputs: number, weights: number): void;
}

let compiled: WebAssembly.Module | undefined;

/** Memory for the kernels: first every place is said, then all of it is taken at once. */
class Arena {
  #bytes = 0;
  #memory: WebAssembly.Memory | undefined;

  /** @returns its address; kernels may write up to 28 bytes more */
  place(bytes: number): number {
    const address = this.#bytes;
    this.#bytes += 32 * Math.ceil(bytes / 32) + 32;
    return address;
  }

  take(): Kernels {
    compiled ??= new WebAssembly.Module(Uint8Array.from(AXIS_KERNELS.match(/../g)!, (digits) => Number.parseInt(digits, 16)));
    this.#memory = new WebAssembly.Memory({ initial: Math.ceil(this.#bytes / 65536) });
    return new WebAssembly.Instance(compiled, { env: { memory: this.#memory } }).exports as unknown as Kernels;
  }

  /** Once it is taken. */
  get buffer(): ArrayBuffer {
    return this.#memory!.buffer as ArrayBuffer;
  }
  floats = (address: number, length: number): Float32Array<ArrayBuffer> => new Float32Array(this.buffer, address, length);
}

/** One operator along x (axis 0) or y (axis 1) of a plane. */
interface Stage {
  readonly op: AxisOperator;
  readonly axis: 0 | 1;
  /** The plane that it is applied to. */
  readonly width: number;
  readonly height: number;
  readonly out: number;
}

/** Some operators along x and y, one after the other, on planes of one size. */
function stagesOf(
  steps: readonly { op: AxisOperator; axis: 0 | 1 }[],
  size: [number, number],
  arena: Arena,
): { readonly stages: readonly Stage[]; readonly voxels: number } {
  const stages = steps
    .filter(({ op }) => !isIdentity(op))
    .map(({ op, axis }): Stage => {
      const [width, height] = size;
      size[axis] = op.outputs;
      return { op, axis, width, height, out: arena.place(4 * size[0] * size[1]) };
    });
  return { stages, voxels: size[0] * size[1] };
}

/**
 * Applies one operator along each axis of a volume, the ones that shrink it most first. The volume is read plane by plane: of what it
 * becomes on the way only as many planes are held as the operator along z has taps. Sums along x are rounded to single precision once, sums along
 * y and z after each of their terms; weights of 0 are left out there.
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
  const [alongX, , alongZ] = operators;
  const { taps, outputs, starts, weights } = alongZ;

  const arena = new Arena();
  const stored = arena.place(4 * size[0] * size[1]);
  const inputVoxels = size[0] * size[1];
  const before = stagesOf(inPlane(order.slice(0, order.indexOf(2))), size, arena);
  const sum = arena.place(4 * before.voxels);
  const held = Array.from({ length: taps }, () => ({ z: -1, plane: arena.place(4 * before.voxels) }));
  const after = stagesOf(inPlane(order.slice(order.indexOf(2))), size, arena);
  const startsX = arena.place(4 * alongX.outputs);
  const weightsX = arena.place(8 * alongX.weights.length);
  const strip = arena.place(8 * 8 * alongX.inputs);
  const most = Math.max(...operators.map((op) => op.taps));
  const [terms, termWeights] = [arena.place(4 * most), arena.place(8 * most)];
  const kernels = arena.take();
  new Int32Array(arena.buffer, startsX, alongX.outputs).set(alongX.starts);
  new Float64Array(arena.buffer, weightsX, alongX.weights.length).set(alongX.weights);
  const termList = new Uint32Array(arena.buffer, terms, most);
  const weightList = new Float64Array(arena.buffer, termWeights, most);

  /** Output k of an operator on whole rows or planes, of which `addressOf` tells where they lie. */
  const weighted = (op: AxisOperator, k: number, out: number, length: number, addressOf: (input: number) => number): void => {
    let count = 0;
    for (let t = 0; t < op.taps; t++) {
      const weight = op.weights[k * op.taps + t];
      if (weight === 0) continue;
      termList[count] = addressOf(op.starts[k] + t);
      weightList[count++] = weight;
    }
    kernels.weightedSum(out, length, count, terms, termWeights);
  };
  const run = (stages: readonly Stage[], plane: number): number => {
    for (const { op, axis, width, height, out } of stages) {
      const input = plane;
      if (axis === 0) kernels.alongX(input, out, width, height, op.outputs, op.taps, startsX, weightsX, strip);
      else for (let k = 0; k < op.outputs; k++) weighted(op, k, out + 4 * k * width, width, (row) => input + 4 * row * width);
      plane = out;
    }
    return plane;
  };

  const storedPlane = arena.floats(stored, inputVoxels);
  const copies = isIdentity(alongZ);
  const result = new Float32Array(after.voxels * outputs);
  for (let k = 0; k < outputs; k++) {
    for (let t = 0; t < taps; t++) {
      const z = starts[k] + t;
      const place = held[z % taps];
      if (weights[k * taps + t] === 0 || place.z === z) continue;
      yield z;
      read(z, storedPlane);
      arena.floats(place.plane, before.voxels).set(arena.floats(run(before.stages, stored), before.voxels));
      place.z = z;
    }
    if (!copies) weighted(alongZ, k, sum, before.voxels, (z) => held[z % taps].plane);
    result.set(arena.floats(run(after.stages, copies ? held[k % taps].plane : sum), after.voxels), k * after.voxels);
  }
  return result;
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
