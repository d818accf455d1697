/**
 * Segmenting one prepared image: it goes through the network window by window, and the probabilities are brought to the image's own grid before
 * the most probable class is taken there. Planes of probabilities are taken as they are finished, so memory holds a window's depth of them,
 * whatever the length of the scan.
 */
import { channelsOf } from '../../cohort/network-image.ts';
import { denseValues, type TensorView } from '../../engine/backend.ts';
import { composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { rasOrder } from '../../geometry/orientation.ts';
import { nearestPlanes, resampleNearest } from '../../geometry/resample.ts';
import { type Geometry, perAxis, toZyx, type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import type { Predictor } from '../prediction.ts';
import { slideWindows, type VoxelBox, type WindowPlan } from './sliding-window.ts';

type CodeArray = Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

/** The smallest integers that hold every code. */
function codeArray(codes: readonly number[], length: number): CodeArray {
  const [low, high] = [Math.min(...codes), Math.max(...codes)];
  if (low >= 0 && high < 2 ** 8) return new Uint8Array(length);
  if (low >= 0 && high < 2 ** 16) return new Uint16Array(length);
  if (high >= 2 ** 31) return new Uint32Array(length);
  return low >= -(2 ** 15) && high < 2 ** 15 ? new Int16Array(length) : new Int32Array(length);
}

/** So far, in voxels from the centre of the outermost one, an image may reach beyond a grid that was made for it: see `gridWithSpacing`. */
const ROUNDED_AWAY = 0.75 + 1e-4;

/** Position and weights of linear interpolation along one axis for each voxel of the target; index -1: outside by more than half a voxel. */
interface AxisSamples {
  readonly low: Int32Array;
  readonly share: Float32Array;
}

/**
 * Where the target's voxels lie along each axis of the source, x, y, z; undefined if the grids' axes are not parallel.
 */
function axisSamples(source: Geometry, target: Geometry): readonly [AxisSamples, AxisSamples, AxisSamples] | undefined {
  const { matrix, offset } = composeAffine(physicalToVoxel(source), voxelToPhysical(target));
  const turned = [0, 1, 2].some((row) =>
    [0, 1, 2].some((column) => row !== column && Math.abs(matrix[row * 3 + column]) * target.size[column] > 1e-2),
  );
  if (turned) return undefined;
  return perAxis([0, 1, 2], (axis): AxisSamples => {
    const n = source.size[axis];
    const low = new Int32Array(target.size[axis]);
    const share = new Float32Array(low.length);
    const place = (k: number): number => matrix[axis * 4] * k + offset[axis];
    // a grid of whole voxels ends up to a quarter of one before the image does; where it was cropped, the image goes on further
    const from = place(0) < -ROUNDED_AWAY ? -0.5 : -ROUNDED_AWAY;
    const to = n - 1 + (place(low.length - 1) > n - 1 + ROUNDED_AWAY ? 0.5 : ROUNDED_AWAY);
    for (let k = 0; k < low.length; k++) {
      const position = place(k);
      if (position < from || position > to) {
        low[k] = -1;
        continue;
      }
      const inside = Math.min(n - 1, Math.max(0, position));
      low[k] = Math.min(Math.max(0, n - 2), Math.floor(inside));
      share[k] = inside - low[k];
    }
    return { low, share };
  });
}

/** Which of the prepared voxels the image's grid reads: those that were padded are no part of it. */
function neededBox(samples: readonly AxisSamples[]): VoxelBox {
  const ranges = samples.map(({ low, share }) => {
    let [from, to] = [Number.POSITIVE_INFINITY, -1];
    for (let k = 0; k < low.length; k++) {
      if (low[k] < 0) continue;
      from = Math.min(from, low[k]);
      to = Math.max(to, low[k] + (share[k] > 0 ? 1 : 0));
    }
    return [from, to] as const;
  });
  const ends = (which: 0 | 1): Zyx => [ranges[2][which], ranges[1][which], ranges[0][which]];
  return { from: ends(0), to: ends(1) };
}

/** The windows that segmenting a prepared image takes. */
export function segmentationWindows({ cropped, grid }: ImageToSegment, window: Zyx, overlap: number): WindowPlan {
  const samples = axisSamples(cropped.geometry, rasOrder(grid).geometry);
  return { size: toZyx(cropped.geometry.size), window, overlap, ...(samples ? { needed: neededBox(samples) } : {}) };
}

/** By so much a class must lead to win wherever it is interpolated: much more than rounding in single precision can take from numbers up to 1. */
const SURE_LEAD = 1e-6;
const UNSURE = -1;

/**
 * The class that leads at each voxel of a plane of probabilities, or UNSURE where it leads by little.
 * @param best and `second` are room for the two highest probabilities of each voxel
 */
function leaders(probabilities: Float32Array, classes: number, best: Float32Array, second: Float32Array, out: Int32Array): void {
  const voxels = out.length;
  best.set(probabilities.subarray(0, voxels));
  second.fill(Number.NEGATIVE_INFINITY);
  out.fill(0);
  for (let c = 1, from = voxels; c < classes; c++, from += voxels) {
    for (let v = 0; v < voxels; v++) {
      const value = probabilities[from + v];
      const lead = best[v];
      if (value > lead) {
        best[v] = value;
        second[v] = lead;
        out[v] = c;
      } else if (value > second[v]) second[v] = value;
    }
  }
  // not `<=`: what is no number leads nowhere
  for (let v = 0; v < voxels; v++) if (!(best[v] - second[v] > SURE_LEAD)) out[v] = UNSURE;
}

/** A plane of probabilities, and which class leads at each of its voxels. */
interface LedPlane {
  readonly probabilities: Float32Array;
  readonly leading: Int32Array;
}

/** The samples of an axis that is walked the other way. */
const reversed = ({ low, share }: AxisSamples): AxisSamples => ({ low: low.toReversed(), share: share.toReversed() });

/**
 * Brings planes of class probabilities from a source grid in RAS to the grid of a file with parallel axes, trilinear, and stores the code of the
 * most probable class of each voxel, the first of equal ones; outside the source that is the background. Between eight voxels at which one class
 * leads it leads everywhere, so that only where classes meet they are interpolated.
 * @param data has the file's voxels
 */
async function storeMostProbable(
  planes: AsyncGenerator<Float32Array>,
  source: Geometry,
  grid: Geometry,
  samples: readonly [AxisSamples, AxisSamples, AxisSamples],
  codes: readonly number[],
  data: CodeArray,
): Promise<void> {
  const { geometry: target, first, step } = rasOrder(grid);
  const [width, height] = source.size;
  const [outWidth, outHeight, outDepth] = target.size;
  const sourceVoxels = width * height;
  const classes = codes.length;
  // a row that lies backwards in the file is made backwards
  const backwards = step[0] === -1;
  const [alongX, alongY, alongZ] = [backwards ? reversed(samples[0]) : samples[0], samples[1], samples[2]];
  const inOnePiece = Math.abs(step[0]) === 1;
  const storeRow = (row: CodeArray, y: number, z: number): void => {
    let to = first + z * step[2] + y * step[1];
    if (inOnePiece) data.set(row, backwards ? to - outWidth + 1 : to);
    else for (let x = 0; x < outWidth; x++, to += step[0]) data[to] = row[x];
  };

  const [best, second] = [new Float32Array(sourceVoxels), new Float32Array(sourceVoxels)];
  const held = new Map<number, LedPlane>();
  let read = 0;
  const planeAt = async (z: number): Promise<LedPlane> => {
    for (; read <= z; read++) {
      const probabilities = (await planes.next()).value as Float32Array;
      const leading = new Int32Array(sourceVoxels);
      leaders(probabilities, classes, best, second, leading);
      held.set(read, { probabilities, leading });
    }
    return held.get(z)!;
  };

  /** For each voxel of a row: the class that leads between it and all its neighbours to the right, below and behind. */
  const between = new Int32Array(width);
  const joinRows = (a: Int32Array, b: Int32Array, upper: number, below: number): void => {
    for (let x = 0, i = upper; x < width; x++, i++) {
      const c = a[i];
      between[x] = c === a[i + below] && c === b[i] && c === b[i + below] ? c : UNSURE;
    }
    for (let x = 0; x + 1 < width; x++) if (between[x] !== between[x + 1]) between[x] = UNSURE;
  };
  const row = codeArray(codes, outWidth);
  /** The places in a row where no class leads between the voxels around them. */
  const unsure = new Int32Array(outWidth);
  const { low: lowX, share: shareX } = alongX;
  /** For each class at those places: interpolated along z and x in the upper row and the lower one, for all rows between them. */
  const [upper, lower] = [new Float64Array(outWidth * classes), new Float64Array(outWidth * classes)];
  /** Fills the row where one class leads; gives how many places it leaves. */
  const sureRow = (): number => {
    let left = 0;
    for (let x = 0; x < outWidth; x++) {
      const low = lowX[x];
      if (low < 0) continue;
      const c = between[low];
      if (c >= 0) row[x] = codes[c];
      else unsure[left++] = x;
    }
    return left;
  };

  // what was never touched takes no memory
  if (codes[0] !== 0) data.fill(codes[0]);
  row.fill(codes[0]);
  // the source's z runs as the target's: both are RAS
  for (let z = 0; z < outDepth; z++) {
    const low = alongZ.low[z];
    if (low < 0) continue;
    const shareZ = alongZ.share[z];
    const a = await planeAt(low);
    const b = shareZ > 0 ? await planeAt(low + 1) : a;
    for (const key of held.keys()) if (key < low) held.delete(key);
    let [joined, joinedBelow, left] = [-1, -1, 0];
    for (let y = 0; y < outHeight; y++) {
      const from = alongY.low[y];
      if (from < 0) continue;
      const shareY = alongY.share[y];
      const below = shareY > 0 ? width : 0;
      if (from !== joined || below !== joinedBelow) {
        joinRows(a.leading, b.leading, from * width, below);
        left = sureRow();
        for (let k = 0; k < left; k++) {
          const x = unsure[k];
          const i = from * width + lowX[x];
          const right = shareX[x] > 0 ? 1 : 0;
          const at = k * classes;
          interpolate(a.probabilities, b.probabilities, shareZ, i, right, shareX[x], sourceVoxels, upper, at, classes);
          interpolate(a.probabilities, b.probabilities, shareZ, i + below, right, shareX[x], sourceVoxels, lower, at, classes);
        }
        [joined, joinedBelow] = [from, below];
      }
      for (let k = 0; k < left; k++) row[unsure[k]] = codes[mostProbable(upper, lower, shareY, k * classes, classes)];
      storeRow(row, y, z);
    }
  }
}

/**
 * The probabilities of all classes between voxel `i` of plane `a`, the one to the `right` of it, and the same of plane `b`, to `out` from `at` on: along z
 * in single precision, then along x. With `mostProbable`, what `probabilityPlanes` computes.
 */
function interpolate(
  a: Float32Array,
  b: Float32Array,
  shareZ: number,
  i: number,
  right: number,
  shareX: number,
  stride: number,
  out: Float64Array,
  at: number,
  classes: number,
): void {
  for (let c = 0, k = i; c < classes; c++, k += stride) {
    const p = Math.fround(a[k] + shareZ * (b[k] - a[k]));
    const q = Math.fround(a[k + right] + shareZ * (b[k + right] - a[k + right]));
    out[at + c] = p + shareX * (q - p);
  }
}

/** The most probable class between two rows of which the probabilities of all classes stand from `at` on; the first of equal ones. */
function mostProbable(upper: Float64Array, lower: Float64Array, shareY: number, at: number, classes: number): number {
  let [found, most] = [0, 0];
  for (let c = 0; c < classes; c++) {
    const value = Math.fround(upper[at + c] + shareY * (lower[at + c] - upper[at + c]));
    if (c === 0 || value > most) {
      most = value;
      found = c;
    }
  }
  return found;
}

/** An image as segmenting needs it. */
export interface ImageToSegment {
  /** What the network sees of it. */
  readonly cropped: Volume<Float32Array>;
  /** Its further channels, on the grid of `cropped`. */
  readonly others?: readonly Volume<Float32Array>[];
  /** The file's own grid. */
  readonly grid: Geometry;
}

/** How an image is segmented. */
export interface SegmentationPlan {
  /** Of windows of this size. */
  readonly predictor: Predictor;
  readonly image: ImageToSegment;
  /** Code of each class in label maps, the background's first. */
  readonly codes: readonly number[];
  readonly window: Zyx;
  /** Minimum overlap of neighbouring windows, as a fraction of the side. */
  readonly overlap: number;
  /** Takes the planes of what is predicted (channels, H, W) on the grid of `image.cropped`, in the order of z: see `probabilityPlanes`. */
  readonly onPlane?: (probabilities: Float32Array) => void | Promise<void>;
  readonly onWindow: () => void;
}

/** A segmented image, on its file's own grid. */
export interface Segmentation {
  readonly labels: Volume;
  readonly remarks: string[];
}

/** Cuts out the window at `start`, 0 beyond the image; tells whether it holds anything but 0. */
function cutWindow(
  { geometry, data }: Volume<Float32Array>,
  start: Zyx,
  [depth, height, width]: Zyx,
  out: Float32Array,
): boolean {
  const [nx, ny, nz] = geometry.size;
  const low = Math.max(0, -start[2]);
  const high = Math.min(width, nx - start[2]);
  out.fill(0);
  for (let z = Math.max(0, -start[0]); z < depth && z + start[0] < nz; z++)
    for (let y = Math.max(0, -start[1]); y < height && y + start[1] < ny; y++) {
      const from = ((z + start[0]) * ny + y + start[1]) * nx + start[2];
      out.set(data.subarray(from + low, from + high), (z * height + y) * width + low);
    }
  return out.some((value) => value !== 0);
}

/** The same of every channel, behind one another. */
export function cutWindows(channels: readonly Volume<Float32Array>[], start: Zyx, window: Zyx, out: Float32Array): boolean {
  const voxels = voxelCount(window);
  let something = false;
  for (const [c, channel] of channels.entries())
    if (cutWindow(channel, start, window, out.subarray(c * voxels, (c + 1) * voxels))) something = true;
  return something;
}

/** Segments one prepared image: codes on the image's own grid. */
export async function segmentVolume({
  predictor,
  image,
  codes,
  window,
  overlap,
  onPlane,
  onWindow,
}: SegmentationPlan): Promise<Segmentation> {
  const { cropped, grid } = image;
  const classes = codes.length;
  /** What the network says of a window of nothing but 0, once it was asked. */
  let ofNothing: Float32Array | undefined;
  const channels = channelsOf(image);
  const voxels = voxelCount(window);
  const part = new Float32Array(channels.length * voxels);
  const predict = async (start: Zyx): Promise<Float32Array | TensorView> => {
    const isNothing = !cutWindows(channels, start, window, part);
    const values = (isNothing && ofNothing) || (await predictor.predict(part, start));
    // what is kept is copied: a view is overwritten by the next window
    if (isNothing) ofNothing ??= values instanceof Float32Array ? values : denseValues(values, predictor.channels, window);
    onWindow();
    return values;
  };
  async function* planesOf(): AsyncGenerator<Float32Array, void, undefined> {
    for await (const plane of slideWindows({
      ...segmentationWindows(image, window, overlap),
      channels: predictor.channels,
      predict,
    })) {
      await onPlane?.(plane);
      yield plane;
    }
  }
  const planes = planesOf();
  const samples = axisSamples(cropped.geometry, rasOrder(grid).geometry);
  if (samples) {
    const data = codeArray(codes, voxelCount(grid.size));
    await storeMostProbable(planes, cropped.geometry, grid, samples, codes, data);
    // windows are run for planes that are needed only; the planes behind the last of them come for `onPlane` alone
    for await (const _ of planes);
    return { labels: { geometry: grid, data }, remarks: [] };
  }
  // a sheared image was prepared on perpendicular axes: there classes are decided on the prepared grid, and the nearest voxel's is taken
  const data = codeArray(codes, voxelCount(cropped.geometry.size));
  const planeVoxels = cropped.geometry.size[0] * cropped.geometry.size[1];
  let at = 0;
  for await (const plane of planes) {
    for (let v = 0; v < planeVoxels; v++) {
      let best = 0;
      for (let c = 1; c < classes; c++) if (plane[c * planeVoxels + v] > plane[best * planeVoxels + v]) best = c;
      data[at++] = codes[best];
    }
  }
  return {
    labels: resampleNearest({ geometry: cropped.geometry, data }, grid, 0),
    remarks: ['its axes are sheared: it was segmented on perpendicular axes and the labels were mapped back voxel by voxel'],
  };
}

/**
 * One class's probabilities on the image's own grid, as `segmentVolume` sees them there.
 * @param outside value of voxels outside of what the network saw: 1 for the background, else 0
 * @returns gives a plane of `grid`; the array is used again for the next plane
 */
export function probabilityPlanes(
  { geometry: source, data }: Volume<Float32Array>,
  grid: Geometry,
  outside: number,
): (z: number) => Float32Array {
  const { geometry: ras, axes, step } = rasOrder(grid);
  const samples = axisSamples(source, ras);
  const out = new Float32Array(grid.size[0] * grid.size[1]);
  if (!samples) {
    const read = nearestPlanes({ geometry: source, data }, grid, outside);
    return (z) => {
      read(z, out);
      return out;
    };
  }
  const [width, height] = source.size;
  /** Along x, y and z of RAS: which axis of the file it is, and at each of the file's voxels the place in the source and its share. */
  const along = perAxis(samples, ({ low, share }, k) => ({
    file: axes[k],
    low: step[k] < 0 ? low.slice().reverse() : low,
    share: step[k] < 0 ? share.slice().reverse() : share,
  }));
  const [alongX, alongY, alongZ] = along;
  const at = [0, 0, 0];
  return (z) => {
    at[2] = z;
    for (let y = 0, v = 0; y < grid.size[1]; y++) {
      at[1] = y;
      for (let x = 0; x < grid.size[0]; x++, v++) {
        at[0] = x;
        const [ix, iy, iz] = [at[alongX.file], at[alongY.file], at[alongZ.file]];
        const [column, row, slice] = [alongX.low[ix], alongY.low[iy], alongZ.low[iz]];
        if (column < 0 || row < 0 || slice < 0) {
          out[v] = outside;
          continue;
        }
        const [shareX, shareY, shareZ] = [alongX.share[ix], alongY.share[iy], alongZ.share[iz]];
        const right = shareX > 0 ? 1 : 0;
        const below = shareY > 0 ? width : 0;
        const behind = shareZ > 0 ? width * height : 0;
        const i = (slice * height + row) * width + column;
        // z first and in single precision, then x and y: what `mostProbable` computes
        const a = Math.fround(data[i] + shareZ * (data[i + behind] - data[i]));
        const b = Math.fround(data[i + right] + shareZ * (data[i + right + behind] - data[i + right]));
        const j = i + below;
        const c = Math.fround(data[j] + shareZ * (data[j + behind] - data[j]));
        const d = Math.fround(data[j + right] + shareZ * (data[j + right + behind] - data[j + right]));
        const upper = a + shareX * (b - a);
        const lower = c + shareX * (d - c);
        out[v] = upper + shareY * (lower - upper);
      }
    }
    return out;
  };
}
