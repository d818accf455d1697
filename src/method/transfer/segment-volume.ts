/**
 * Segmenting one prepared image: it goes through the network window by window, and the probabilities are brought to the image's own grid before
 * the most probable class is taken there. Planes of probabilities are taken as they are finished, so memory holds a window's depth of them,
 * whatever the length of the scan.
 */
import type { Session } from '../../engine/backend.ts';
import { composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { cropPad } from '../../geometry/crop.ts';
import { resampleNearest } from '../../geometry/resample.ts';
import { type Geometry, toXyz, toZyx, type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import type { NetworkImage } from '../../preparation/network-image.ts';
import { slideWindows } from './sliding-window.ts';

/** The smallest integers that hold every code. */
function codeArray(codes: readonly number[], length: number): Uint8Array | Int16Array | Uint16Array | Int32Array {
  const [low, high] = [Math.min(...codes), Math.max(...codes)];
  if (low >= 0 && high < 2 ** 8) return new Uint8Array(length);
  if (low >= 0 && high < 2 ** 16) return new Uint16Array(length);
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

/** Takes planes of class probabilities (classes, voxels of the plane) on the target grid, in the order of z. */
type PlaneSink = (z: number, probabilities: Float32Array) => void;

/**
 * Brings planes of a source grid to a target grid with parallel axes, trilinear; outside the source the background has all probability.
 */
async function resamplePlanes(
  planes: AsyncGenerator<Float32Array>,
  source: Geometry,
  target: Geometry,
  [alongX, alongY, alongZ]: readonly [AxisSamples, AxisSamples, AxisSamples],
  classes: number,
  sink: PlaneSink,
): Promise<void> {
  const [width, height] = source.size;
  const [outWidth, outHeight, outDepth] = target.size;
  const sourceVoxels = width * height;
  const outVoxels = outWidth * outHeight;
  const blended = new Float32Array(classes * sourceVoxels);
  const out = new Float32Array(classes * outVoxels);
  const held = new Map<number, Float32Array>();
  let read = 0;
  const planeAt = async (z: number): Promise<Float32Array> => {
    for (; read <= z; read++) held.set(read, (await planes.next()).value as Float32Array);
    return held.get(z)!;
  };
  // the source's z runs as the target's: both are RAS
  for (let z = 0; z < outDepth; z++) {
    out.fill(0);
    const low = alongZ.low[z]!;
    if (low < 0) {
      out.fill(1, 0, outVoxels);
      sink(z, out);
      continue;
    }
    const share = alongZ.share[z]!;
    const first = await planeAt(low);
    const second = share > 0 ? await planeAt(low + 1) : first;
    for (const key of held.keys()) if (key < low) held.delete(key);
    for (let i = 0; i < blended.length; i++) blended[i] = first[i]! + share * (second[i]! - first[i]!);
    for (let y = 0, at = 0; y < outHeight; y++) {
      const row = alongY.low[y]!;
      for (let x = 0; x < outWidth; x++, at++) {
        const column = alongX.low[x]!;
        if (row < 0 || column < 0) {
          out[at] = 1;
          continue;
        }
        const [shareX, shareY] = [alongX.share[x]!, alongY.share[y]!];
        const a = row * width + column;
        const right = shareX > 0 ? 1 : 0;
        const below = shareY > 0 ? width : 0;
        for (let c = 0; c < classes; c++) {
          const k = c * sourceVoxels + a;
          const upper = blended[k]! + shareX * (blended[k + right]! - blended[k]!);
          const lower = blended[k + below]! + shareX * (blended[k + below + right]! - blended[k + below]!);
          out[c * outVoxels + at] = upper + shareY * (lower - upper);
        }
      }
    }
    sink(z, out);
  }
}

/** How an image is segmented. */
export interface SegmentationPlan {
  /** A session of `predictionProgram` at the window's size, with its parameters. */
  readonly session: Session;
  readonly image: NetworkImage;
  /** Code of each class in label maps, the background's first. */
  readonly codes: readonly number[];
  readonly window: Zyx;
  /** Least share of a side that neighbouring windows have in common. */
  readonly overlap: number;
  readonly wantProbabilities: boolean;
  readonly onWindow: () => void;
}

/** A segmented image, on its file's own grid. */
export interface Segmentation {
  readonly labels: Volume;
  readonly probabilities: Volume<Float32Array>[] | null;
  readonly remarks: string[];
}

/** Segments one prepared image: codes on the image's own grid, and the classes' probabilities if they are wanted. */
export async function segmentVolume({
  session,
  image,
  codes,
  window,
  overlap,
  wantProbabilities,
  onWindow,
}: SegmentationPlan): Promise<Segmentation> {
  const { cropped, prepared, volume } = image;
  const classes = codes.length;
  const size = toZyx(cropped.geometry.size);
  const predict = async (start: Zyx): Promise<Float32Array> => {
    const part = cropPad(cropped, toXyz(start), toXyz(window), 0).data;
    const { probabilities } = await session.run('predict', { image: part });
    onWindow();
    return probabilities!;
  };
  const planes = slideWindows({ size, window, overlap, channels: classes, predict });
  const samples = axisSamples(cropped.geometry, prepared.image);
  // a sheared image was prepared on perpendicular axes: there classes are decided on the prepared grid, and the nearest voxel's is taken
  const grid = samples ? prepared.image : cropped.geometry;
  const [columns, rows] = grid.size;
  const planeVoxels = columns * rows;
  const data = codeArray(codes, voxelCount(grid.size));
  const kept = wantProbabilities ? codes.map(() => new Float32Array(voxelCount(grid.size))) : null;
  const sink: PlaneSink = (z, probabilities) => {
    for (let v = 0; v < planeVoxels; v++) {
      let best = 0;
      for (let c = 1; c < classes; c++)
        if (probabilities[c * planeVoxels + v]! > probabilities[best * planeVoxels + v]!) best = c;
      data[z * planeVoxels + v] = codes[best]!;
    }
    kept?.forEach((whole, c) => {
      whole.set(probabilities.subarray(c * planeVoxels, (c + 1) * planeVoxels), z * planeVoxels);
    });
  };
  if (samples) {
    await resamplePlanes(planes, cropped.geometry, grid, samples, classes, sink);
    // planes behind the last that was needed are still computed, so that the count of windows is the plan's
    for await (const _ of planes);
  } else {
    let z = 0;
    for await (const plane of planes) sink(z++, plane);
  }
  /** The same voxels in the file's own order of axes. */
  const onOwnGrid = <Data extends Volume['data']>(values: Data, outside: number): Volume<Data> =>
    resampleNearest({ geometry: grid, data: values }, volume.geometry, outside) as Volume<Data>;
  return {
    labels: onOwnGrid(data, 0),
    probabilities: kept?.map((values, c) => onOwnGrid(values, c === 0 ? 1 : 0)) ?? null,
    remarks: samples ? [] : ['its axes are sheared: classes were decided on perpendicular axes and brought back voxel by voxel'],
  };
}
