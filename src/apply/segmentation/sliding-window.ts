/**
 * A volume of any size through a network that takes windows of one size: overlapping windows cover every voxel, and each counts most in its
 * middle, where the network sees most around (Gaussian weights, standard deviation an eighth of the side, as nnU-Net has them).
 *
 * What is kept at a time is one window's depth of planes: those that no later window reaches are handed out and forgotten.
 */
import type { Zyx } from '../../geometry/volume.ts';

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
  /** (channels, D, H, W) of the window at `start`, which lies outside the volume where that is smaller than the window. */
  readonly predict: (start: Zyx) => Promise<Float32Array>;
}

/** Starts of the windows along z, y and x. */
const startsOf = ({ size, window, overlap, needed }: WindowPlan): readonly [number[], number[], number[]] =>
  size.map((n, axis) =>
    windowStarts(n, window[axis]!, overlap).filter(
      (start) => !needed || (start <= needed.to[axis]! && start + window[axis]! > needed.from[axis]!),
    ),
  ) as unknown as readonly [number[], number[], number[]];

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
  const sums = Array.from({ length: slots }, () => new Float32Array(channels * planeVoxels));
  const weights = Array.from({ length: slots }, () => new Float32Array(planeVoxels));

  const rowWeights = new Float64Array(ww);
  const addWindow = (start: Zyx, values: Float32Array): void => {
    const low = Math.max(0, -start[2]);
    const high = Math.min(ww, width - start[2]);
    for (let z = Math.max(0, -start[0]); z < wd && start[0] + z < depth; z++) {
      const slot = (start[0] + z) % slots;
      const [sum, weight] = [sums[slot]!, weights[slot]!];
      for (let y = Math.max(0, -start[1]); y < wh && start[1] + y < height; y++) {
        const rowWeight = weightZ[z]! * weightY[y]!;
        const row = (start[1] + y) * width + start[2];
        for (let x = low; x < high; x++) {
          const all = rowWeight * weightX[x]!;
          rowWeights[x] = all;
          weight[row + x]! += all;
        }
        for (let c = 0; c < channels; c++)
          addRow(sum, c * planeVoxels + row, rowWeights, values, ((c * wd + z) * wh + y) * ww, low, high);
      }
    }
  };

  let handedOut = 0;
  function* finished(until: number): Generator<Float32Array, void, undefined> {
    for (; handedOut < until; handedOut++) {
      const [sum, weight] = [sums[handedOut % slots]!, weights[handedOut % slots]!];
      const plane = new Float32Array(sum.length);
      for (let c = 0; c < channels; c++)
        for (let v = 0; v < planeVoxels; v++)
          plane[c * planeVoxels + v] = weight[v]! > 0 ? sum[c * planeVoxels + v]! / weight[v]! : 0;
      yield plane;
      sum.fill(0);
      weight.fill(0);
    }
  }
  for (const start of windowsOf(request)) {
    // no later window reaches the planes before this one
    yield* finished(Math.min(depth, start[0]));
    addWindow(start, await predict(start));
  }
  yield* finished(depth);
}

/** Adds a row's values times their weights. */
function addRow(
  sum: Float32Array,
  to: number,
  weights: Float64Array,
  values: Float32Array,
  from: number,
  low: number,
  high: number,
): void {
  for (let x = low; x < high; x++) sum[to + x] = sum[to + x]! + weights[x]! * values[from + x]!;
}
