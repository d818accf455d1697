/**
 * Segmenting one prepared image: it goes through the network window by window, and the probabilities are brought to the image's own grid before
 * the most probable class is taken there. Planes of probabilities are taken as they are finished, so memory holds a window's depth of them,
 * whatever the length of the scan.
 */
import type { Session } from '../../engine/backend.ts';
import { composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { cropPad } from '../../geometry/crop.ts';
import { rasOrder, rasStore } from '../../geometry/orientation.ts';
import { nearestPlanes, resampleNearest } from '../../geometry/resample.ts';
import { type Geometry, toXyz, toZyx, type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import { slideWindows, type VoxelBox, type WindowPlan } from './sliding-window.ts';

/** The smallest integers that hold every code. */
function codeArray(codes: readonly number[], length: number): Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array {
  const [low, high] = [Math.min(...codes), Math.max(...codes)];
  if (low >= 0 && high < 2 ** 8) return new Uint8Array(length);
  if (low >= 0 && high < 2 ** 16) return new Uint16Array(length);
  if (high >= 2 ** 31) return new Uint32Array(length);
  return low >= -(2 ** 15) && high < 2 ** 15 ? new Int16Array(length) : new Int32Array(length);
}

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
    [0, 1, 2].some((column) => row !== column && Math.abs(matrix[row * 3 + column]!) * target.size[column]! > 1e-2),
  );
  if (turned) return undefined;
  return [0, 1, 2].map((axis): AxisSamples => {
    const n = source.size[axis]!;
    const low = new Int32Array(target.size[axis]!);
    const share = new Float32Array(low.length);
    for (let k = 0; k < low.length; k++) {
      const position = matrix[axis * 4]! * k + offset[axis]!;
      if (position < -0.5 || position > n - 0.5) {
        low[k] = -1;
        continue;
      }
      const inside = Math.min(n - 1, Math.max(0, position));
      low[k] = Math.min(Math.max(0, n - 2), Math.floor(inside));
      share[k] = inside - low[k]!;
    }
    return { low, share };
  }) as unknown as readonly [AxisSamples, AxisSamples, AxisSamples];
}

/** Which of the prepared voxels the image's grid reads: those that were padded are no part of it. */
function neededBox(samples: readonly AxisSamples[]): VoxelBox {
  const ranges = samples.map(({ low, share }) => {
    let [from, to] = [Number.POSITIVE_INFINITY, -1];
    for (let k = 0; k < low.length; k++) {
      if (low[k]! < 0) continue;
      from = Math.min(from, low[k]!);
      to = Math.max(to, low[k]! + (share[k]! > 0 ? 1 : 0));
    }
    return [from, to] as const;
  });
  const ends = (which: 0 | 1): Zyx => [ranges[2]![which], ranges[1]![which], ranges[0]![which]];
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
      const value = probabilities[from + v]!;
      const lead = best[v]!;
      if (value > lead) {
        best[v] = value;
        second[v] = lead;
        out[v] = c;
      } else if (value > second[v]!) second[v] = value;
    }
  }
  // not `<=`: what is no number leads nowhere
  for (let v = 0; v < voxels; v++) if (!(best[v]! - second[v]! > SURE_LEAD)) out[v] = UNSURE;
}

/**
 * Brings planes of class probabilities from a source grid to a target grid with parallel axes, trilinear, and takes the most probable class
 * of each voxel, the first of equal ones; outside the source that is the background. Between four voxels at which one class leads it leads
 * everywhere, so that only where classes meet all of them are interpolated.
 * @param take is given the classes' indices, in the order of z; the array is used again for the next plane
 */
async function mostProbable(
  planes: AsyncGenerator<Float32Array>,
  source: Geometry,
  target: Geometry,
  [alongX, alongY, alongZ]: readonly [AxisSamples, AxisSamples, AxisSamples],
  classes: number,
  take: (z: number, indices: Uint16Array) => void,
): Promise<void> {
  const [width, height] = source.size;
  const [outWidth, outHeight, outDepth] = target.size;
  const sourceVoxels = width * height;
  const blended = new Float32Array(classes * sourceVoxels);
  const [best, second] = [new Float32Array(sourceVoxels), new Float32Array(sourceVoxels)];
  const leading = new Int32Array(sourceVoxels);
  /** For each voxel of two neighbouring rows, or of one: the class that leads there and at the voxels to the right. */
  const between = new Int32Array(width);
  const [lowX, shareX] = [alongX.low, alongX.share];
  const indices = new Uint16Array(outWidth * outHeight);

  const joinRows = (upper: number, lower: number): void => {
    for (let x = 0; x < width; x++) {
      const c = leading[upper + x]!;
      between[x] = c === leading[lower + x]! ? c : UNSURE;
    }
    for (let x = 0; x + 1 < width; x++) if (between[x]! !== between[x + 1]!) between[x] = UNSURE;
  };
  /** The most probable class at a place between voxel `k` and its neighbours `right` and `below` it. */
  const decide = (k: number, right: number, share: number, below: number, shareY: number): number => {
    let [found, most] = [0, 0];
    for (let c = 0, i = k; c < classes; c++, i += sourceVoxels) {
      const j = i + below;
      const upper = blended[i]! + share * (blended[i + right]! - blended[i]!);
      const lower = blended[j]! + share * (blended[j + right]! - blended[j]!);
      const value = Math.fround(upper + shareY * (lower - upper));
      if (c === 0 || value > most) {
        most = value;
        found = c;
      }
    }
    return found;
  };
  const decideRow = (at: number, row: number, below: number, shareY: number): void => {
    for (let x = 0; x < outWidth; x++) {
      const low = lowX[x]!;
      if (low < 0) continue;
      const c = between[low]!;
      const share = shareX[x]!;
      indices[at + x] = c >= 0 ? c : decide(row + low, share > 0 ? 1 : 0, share, below, shareY);
    }
  };

  const held = new Map<number, Float32Array>();
  let read = 0;
  const planeAt = async (z: number): Promise<Float32Array> => {
    for (; read <= z; read++) held.set(read, (await planes.next()).value as Float32Array);
    return held.get(z)!;
  };
  // the source's z runs as the target's: both are RAS
  for (let z = 0; z < outDepth; z++) {
    indices.fill(0);
    const low = alongZ.low[z]!;
    if (low >= 0) {
      const share = alongZ.share[z]!;
      const first = await planeAt(low);
      const next = share > 0 ? await planeAt(low + 1) : first;
      for (const key of held.keys()) if (key < low) held.delete(key);
      for (let i = 0; i < blended.length; i++) blended[i] = first[i]! + share * (next[i]! - first[i]!);
      leaders(blended, classes, best, second, leading);
      let [joined, joinedBelow] = [-1, -1];
      for (let y = 0; y < outHeight; y++) {
        const row = alongY.low[y]!;
        if (row < 0) continue;
        const shareY = alongY.share[y]!;
        const below = shareY > 0 ? width : 0;
        if (row !== joined || below !== joinedBelow) joinRows(row * width, row * width + below);
        [joined, joinedBelow] = [row, below];
        decideRow(y * outWidth, row * width, below, shareY);
      }
    }
    take(z, indices);
  }
}

/** An image as segmenting needs it. */
export interface ImageToSegment {
  /** What the network sees of it. */
  readonly cropped: Volume<Float32Array>;
  /** The file's own grid. */
  readonly grid: Geometry;
}

/** How an image is segmented. */
export interface SegmentationPlan {
  /** A session of `predictionProgram` at the window's size, with its parameters. */
  readonly session: Session;
  readonly image: ImageToSegment;
  /** Code of each class in label maps, the background's first. */
  readonly codes: readonly number[];
  readonly window: Zyx;
  /** Least share of a side that neighbouring windows have in common. */
  readonly overlap: number;
  /** Takes the planes of probabilities (classes, H, W) on the grid of `image.cropped`, in the order of z: see `probabilityPlanes`. */
  readonly onPlane?: (probabilities: Float32Array) => void | Promise<void>;
  readonly onWindow: () => void;
}

/** A segmented image, on its file's own grid. */
export interface Segmentation {
  readonly labels: Volume;
  readonly remarks: string[];
}

/** Segments one prepared image: codes on the image's own grid. */
export async function segmentVolume({
  session,
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
  const predict = async (start: Zyx): Promise<Float32Array> => {
    const part = cropPad(cropped, toXyz(start), toXyz(window), 0).data;
    const isNothing = part.every((value) => value === 0);
    const probabilities = (isNothing && ofNothing) || (await session.run('predict', { image: part })).probabilities!;
    if (isNothing) ofNothing = probabilities;
    onWindow();
    return probabilities;
  };
  async function* planesOf(): AsyncGenerator<Float32Array, void, undefined> {
    for await (const plane of slideWindows({ ...segmentationWindows(image, window, overlap), channels: classes, predict })) {
      await onPlane?.(plane);
      yield plane;
    }
  }
  const planes = planesOf();
  const { geometry: ras } = rasOrder(grid);
  const samples = axisSamples(cropped.geometry, ras);
  if (samples) {
    const data = codeArray(codes, voxelCount(grid.size));
    const store = rasStore(grid, data);
    const ofClass = Float64Array.from(codes);
    const plane = new Float64Array(ras.size[0] * ras.size[1]);
    await mostProbable(planes, cropped.geometry, ras, samples, classes, (z, indices) => {
      for (let v = 0; v < plane.length; v++) plane[v] = ofClass[indices[v]!]!;
      store(z, plane);
    });
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
      for (let c = 1; c < classes; c++) if (plane[c * planeVoxels + v]! > plane[best * planeVoxels + v]!) best = c;
      data[at++] = codes[best]!;
    }
  }
  return {
    labels: resampleNearest({ geometry: cropped.geometry, data }, grid, 0),
    remarks: ['its axes are sheared: classes were decided on perpendicular axes and brought back voxel by voxel'],
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
  const along = samples.map(({ low, share }, k) => ({
    file: axes[k]!,
    low: step[k]! < 0 ? low.slice().reverse() : low,
    share: step[k]! < 0 ? share.slice().reverse() : share,
  })) as unknown as readonly [FileAxis, FileAxis, FileAxis];
  const [alongX, alongY, alongZ] = along;
  const at = [0, 0, 0];
  return (z) => {
    at[2] = z;
    for (let y = 0, v = 0; y < grid.size[1]; y++) {
      at[1] = y;
      for (let x = 0; x < grid.size[0]; x++, v++) {
        at[0] = x;
        const [ix, iy, iz] = [at[alongX.file]!, at[alongY.file]!, at[alongZ.file]!];
        const [column, row, slice] = [alongX.low[ix]!, alongY.low[iy]!, alongZ.low[iz]!];
        if (column < 0 || row < 0 || slice < 0) {
          out[v] = outside;
          continue;
        }
        const [shareX, shareY, shareZ] = [alongX.share[ix]!, alongY.share[iy]!, alongZ.share[iz]!];
        const right = shareX > 0 ? 1 : 0;
        const below = shareY > 0 ? width : 0;
        const behind = shareZ > 0 ? width * height : 0;
        const i = (slice * height + row) * width + column;
        // z first and in single precision, then x and y: what `mostProbable` computes
        const a = Math.fround(data[i]! + shareZ * (data[i + behind]! - data[i]!));
        const b = Math.fround(data[i + right]! + shareZ * (data[i + right + behind]! - data[i + right]!));
        const j = i + below;
        const c = Math.fround(data[j]! + shareZ * (data[j + behind]! - data[j]!));
        const d = Math.fround(data[j + right]! + shareZ * (data[j + right + behind]! - data[j + right]!));
        const upper = a + shareX * (b - a);
        const lower = c + shareX * (d - c);
        out[v] = upper + shareY * (lower - upper);
      }
    }
    return out;
  };
}

interface FileAxis extends AxisSamples {
  readonly file: number;
}
