/**
 * A volume of any size through a network that takes windows of one size: overlapping windows cover every voxel, and each counts most in its
 * middle, where the network sees most around (Gaussian weights, standard deviation an eighth of the side, as nnU-Net has them).
 *
 * What is kept at a time is one window's depth of planes: those that no later window reaches are handed out and forgotten.
 */
import { denseView, type TensorView } from '../../engine/backend.ts';
import { perAxis, type Zyx } from '../../geometry/volume.ts';

/** Starts of windows along one axis: every voxel is covered, neighbours share at least `overlap` of their side. */
export function windowStarts(size: number, side: number, overlap: number): number[] {
  if (size <= side) return [0 - Math.floor((side - size) / 2)];
  const count = 1 + Math.ceil((size - side) / Math.max(1, side * (1 - overlap)));
  return Array.from({ length: count }, (_, i) => Math.round((i * (size - side)) / (count - 1)));
}

/** Gaussian weights along one axis, 1 in the middle; never 0, so that a voxel that only corners of windows cover has a value. */
export function windowWeights(side: number): Float64Array {
  const [middle, deviation] = [(side - 1) / 2, side / 8];
  return Float64Array.from({ length: side }, (_, i) => Math.max(1e-3, Math.exp(-0.5 * ((i - middle) / deviation) ** 2)));
}

/** A box of voxels, both ends included; z, y, x. */
export interface VoxelBox {
  readonly from: Zyx;
  readonly to: Zyx;
}

/** Where windows stand, and over what. */
export interface WindowPlan {
  /** Voxels of the volume. */
  readonly size: Zyx;
  /** Voxels of a window. */
  readonly window: Zyx;
  /** Least share of a side that neighbouring windows have in common, 0 to below 1. */
  readonly overlap: number;
  /** The voxels whose values are wanted; by default all. Windows that hold none of them are left out. */
  readonly needed?: VoxelBox;
}

export interface SlidingWindowRequest extends WindowPlan {
  readonly channels: number;
  /** (channels, D, H, W) of the window at `start`, which lies outside the volume where that is smaller than the window. A view is read before the next call. */
  readonly predict: (start: Zyx) => Promise<Float32Array | TensorView>;
}

/** Starts of the windows along z, y and x. */
const startsOf = ({ size, window, overlap, needed }: WindowPlan): readonly [number[], number[], number[]] =>
  perAxis(size, (n, axis) =>
    windowStarts(n, window[axis], overlap).filter(
      (start) => !needed || (start <= needed.to[axis] && start + window[axis] > needed.from[axis]),
    ),
  );

/** How many windows a volume takes. */
export const windowCount = (plan: WindowPlan): number => startsOf(plan).reduce((product, starts) => product * starts.length, 1);

/** The starts of all windows, in the order in which they are run. */
export function* windowsOf(plan: WindowPlan): Generator<Zyx, void, undefined> {
  const [zs, ys, xs] = startsOf(plan);
  for (const z of zs) for (const y of ys) for (const x of xs) yield [z, y, x];
}

/** The weighted means of the windows, plane by plane from z = 0: each (channels, H, W). Voxels that no window holds are 0. */
export async function* slideWindows(request: SlidingWindowRequest): AsyncGenerator<Float32Array, void, undefined> {
  const { size, window, channels, predict } = request;
  const [depth, height, width] = size;
  const [wd, wh, ww] = window;
  const [weightZ, weightY, weightX] = window.map(windowWeights) as [Float64Array, Float64Array, Float64Array];
  const slots = Math.min(wd, depth);
  const planeVoxels = height * width;
  // all channels of a voxel side by side: they have one weight, and as a rule they come so
  const sums = Array.from({ length: slots }, () => new Float32Array(channels * planeVoxels));
  const weights = Array.from({ length: slots }, () => new Float32Array(planeVoxels));

  const rowWeights = new Float64Array(ww);
  const addWindow = (start: Zyx, { data, together, start: first, block, plane, row: rowStride }: TensorView): void => {
    const low = Math.max(0, -start[2]);
    const high = Math.min(ww, width - start[2]);
    for (let z = Math.max(0, -start[0]); z < wd && start[0] + z < depth; z++) {
      const slot = (start[0] + z) % slots;
      const [sum, weight] = [sums[slot], weights[slot]];
      for (let y = Math.max(0, -start[1]); y < wh && start[1] + y < height; y++) {
        const rowWeight = weightZ[z] * weightY[y];
        const row = (start[1] + y) * width + start[2];
        for (let x = low; x < high; x++) {
          const all = rowWeight * weightX[x];
          rowWeights[x] = all;
          weight[row + x] += all;
        }
        const to = (row + low) * channels;
        let from = first + z * plane + y * rowStride + low * together;
        for (let c = 0; c < channels; c += together, from += block) {
          if (together === 8 && channels - c >= 8) addEight(sum, to + c, channels, rowWeights, data, from, low, high);
          else addSome(sum, to + c, channels, rowWeights, data, from, together, Math.min(together, channels - c), low, high);
        }
      }
    }
  };

  let handedOut = 0;
  function* finished(until: number): Generator<Float32Array, void, undefined> {
    for (; handedOut < until; handedOut++) {
      const [sum, weight] = [sums[handedOut % slots], weights[handedOut % slots]];
      const plane = new Float32Array(sum.length);
      for (let v = 0, i = 0; v < planeVoxels; v++) {
        const all = weight[v];
        for (let c = 0, to = v; c < channels; c++, i++, to += planeVoxels) plane[to] = all > 0 ? sum[i] / all : 0;
      }
      yield plane;
      sum.fill(0);
      weight.fill(0);
    }
  }
  for (const start of windowsOf(request)) {
    // no later window reaches the planes before this one
    yield* finished(Math.min(depth, start[0]));
    const values = await predict(start);
    addWindow(start, values instanceof Float32Array ? denseView(values, window) : values);
  }
  yield* finished(depth);
}

/** Adds a row's values times their weights, for `count` channels of the `together` that lie side by side. */
function addSome(
  sum: Float32Array,
  to: number,
  channels: number,
  weights: Float64Array,
  values: Float32Array,
  from: number,
  together: number,
  count: number,
  low: number,
  high: number,
): void {
  for (let x = low, i = to, j = from; x < high; x++, i += channels, j += together) {
    const weight = weights[x];
    for (let c = 0; c < count; c++) sum[i + c] = sum[i + c] + weight * values[j + c];
  }
}

/** The same for eight of eight channels, the blocks of the CPU's engine: unrolled it takes half of the time. */
function addEight(
  sum: Float32Array,
  to: number,
  channels: number,
  weights: Float64Array,
  values: Float32Array,
  from: number,
  low: number,
  high: number,
): void {
  for (let x = low, i = to, j = from; x < high; x++, i += channels, j += 8) {
    const weight = weights[x];
    sum[i] = sum[i] + weight * values[j];
    sum[i + 1] = sum[i + 1] + weight * values[j + 1];
    sum[i + 2] = sum[i + 2] + weight * values[j + 2];
    sum[i + 3] = sum[i + 3] + weight * values[j + 3];
    sum[i + 4] = sum[i + 4] + weight * values[j + 4];
    sum[i + 5] = sum[i + 5] + weight * values[j + 5];
    sum[i + 6] = sum[i + 6] + weight * values[j + 6];
    sum[i + 7] = sum[i + 7] + weight * values[j + 7];
  }
}
