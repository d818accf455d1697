/**
 * Teaching a network structures by a few voxels: multinomial logistic regression on what its frozen backbone knows of a voxel: the features of every
 * level at its place, and the image's values around it. That is a multi-level segmentation head (model/heads.ts): what is fitted here is that head,
 * and the network with it is a model like any other.
 */
import { applyAffine, composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { type Geometry, type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import { fitLinearProbe } from '../../metrics/probe/linear-probe.ts';
import { type Architecture, IMAGE_KERNEL, inputChannelsOf, LEVELS, type LevelName } from '../../model/architecture.ts';
import { multiLevelParameters } from '../../model/parameters.ts';
import type { NamedTensor } from '../../model/safetensors.ts';
import { levelShapes, paddingOf } from '../../model/unet.ts';

/** What the backbone knows of a window. */
export interface WindowFeatures {
  /** (channels, D, H, W) */
  readonly image: Float32Array;
  /** Of each level, (C, D, H, W) of the window, padded to multiples of 16, at the level's size. */
  readonly levels: Readonly<Record<LevelName, Float32Array>>;
  /** (D, H, W) of the window. */
  readonly size: Zyx;
}

/** What is known of some voxels of one image. */
export interface TaughtVoxels extends WindowFeatures {
  /** Indices of voxels, x fastest. */
  readonly voxels: ArrayLike<number>;
  /** The class of each of them, from 0, the background. */
  readonly classes: ArrayLike<number>;
}

/** The parameters of a multi-level head by their names, `out_levels.*`. */
export interface SegmentationHead {
  readonly classes: number;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
}

export interface TeachOptions {
  /** Weight of the penalty on squared weights, of features with deviation 1. Default: a twelfth of the voxels that count, at most 30. */
  readonly l2?: number;
  /** Of more voxels of a class, as many are taken at even distances: so long strokes take no longer, and no class counts much more than another. Default 300. */
  readonly maxPerClass?: number;
}

export const DEFAULT_TEACHING = { maxPerClass: 300 } as const satisfies TeachOptions;
/** A few dots would count for nothing beside the penalty that many voxels need. */
const usualPenalty = (voxels: number): number => Math.min(30, voxels / 12);

const KERNEL = IMAGE_KERNEL ** 3;
/** On the gradient for each point: labels change no more long before. */
const TOLERANCE = 1e-4;

/** Which coarse values make a fine one, and how much each counts. */
type Mix = readonly (readonly [index: number, weight: number])[];

/**
 * What up-sampling by 2 (engine/ops/resize), so many times, makes each of the fine values of an axis of, from `coarse` values. Done twice it is not
 * one interpolation by 4: the second one is between values of the first.
 */
function mixesOf(coarse: number, times: number): readonly Mix[] {
  let mixes: readonly Mix[] = Array.from({ length: coarse }, (_, i) => [[i, 1]]);
  for (let time = 0; time < times; time++) {
    const n = mixes.length;
    const before = mixes;
    mixes = Array.from({ length: 2 * n }, (_, j) => {
      const at = n === 1 ? 0 : (j * (n - 1)) / (2 * n - 1);
      const low = Math.min(Math.floor(at), n - 1);
      const high = Math.min(low + 1, n - 1);
      const sums = new Map<number, number>();
      for (const [from, share] of [
        [low, 1 - (at - low)],
        [high, at - low],
      ])
        for (const [index, weight] of before[from]) sums.set(index, (sums.get(index) ?? 0) + share * weight);
      return [...sums].filter(([, weight]) => weight !== 0);
    });
  }
  return mixes;
}

/** Reads what a head is given of a voxel: the image's values around it, then the features of the levels, in their order. */
class VoxelReader {
  /** Values of a voxel. */
  readonly dimensions: number;
  private readonly size: Zyx;
  private readonly channels: number;
  private readonly levels: readonly {
    readonly name: LevelName;
    readonly channels: number;
    readonly size: Zyx;
    readonly mixes: readonly (readonly Mix[])[];
  }[];
  private readonly before: readonly number[];

  constructor(architecture: Architecture, size: Zyx) {
    this.size = size;
    this.channels = inputChannelsOf(architecture);
    this.before = paddingOf(size).before;
    this.levels = levelShapes(architecture, size).map(({ name, shape: [channels, ...own] }, k) => ({
      name,
      channels,
      size: own as [number, number, number],
      mixes: own.map((coarse) => mixesOf(coarse, LEVELS[k].halvings)),
    }));
    this.dimensions = this.channels * KERNEL + this.levels.reduce((sum, { channels }) => sum + channels, 0);
  }

  /** @throws RangeError for features of another size */
  check({ image, levels }: WindowFeatures): void {
    const wrong = this.levels.find(({ name, channels, size }) => levels[name].length !== channels * voxelCount(size));
    if (wrong || image.length !== this.channels * voxelCount(this.size))
      throw new RangeError(
        `fitSegmentationHead: expected the features of a window of ${this.size.join(' x ')}, got ${wrong ? `${levels[wrong.name].length} values of ${wrong.name}` : `an image of ${image.length} values`}`,
      );
  }

  /** Writes a voxel's values to `out` from `at` on. */
  read({ image, levels }: WindowFeatures, voxel: number, out: Float64Array, at: number): void {
    const [depth, height, width] = this.size;
    const [z, y, x] = [Math.floor(voxel / (width * height)), Math.floor(voxel / width) % height, voxel % width];
    let next = at;
    for (let c = 0; c < this.channels; c++)
      for (let tap = 0; tap < KERNEL; tap++, next++) {
        const [u, v, w] = [x + (tap % 3) - 1, y + (Math.floor(tap / 3) % 3) - 1, z + Math.floor(tap / 9) - 1];
        // beyond the image the convolution sees 0
        if (u < 0 || v < 0 || w < 0 || u >= width || v >= height || w >= depth) continue;
        out[next] = image[((c * depth + w) * height + v) * width + u];
      }
    const place = [z, y, x].map((i, axis) => i + this.before[axis]);
    for (const { name, channels, size, mixes } of this.levels) {
      const data = levels[name];
      const voxels = voxelCount(size);
      const [planes, rows, columns] = mixes.map((of, axis) => of[place[axis]]);
      for (const [k, ofPlane] of planes)
        for (const [j, ofRow] of rows)
          for (const [i, ofColumn] of columns) {
            const weight = ofPlane * ofRow * ofColumn;
            const from = (k * size[1] + j) * size[2] + i;
            for (let c = 0; c < channels; c++) out[next + c] += weight * data[c * voxels + from];
          }
      next += channels;
    }
  }
}

/**
 * Fits the head.
 * @param architecture of the network that the features are of
 * @param classes how many there are, the background among them; of each some voxel is known
 * @throws RangeError for features of another network, a class without a voxel, voxels or classes that are none
 */
export function fitSegmentationHead(
  architecture: Architecture,
  images: readonly TaughtVoxels[],
  classes: number,
  options: TeachOptions = {},
): SegmentationHead {
  const maxPerClass = options.maxPerClass ?? DEFAULT_TEACHING.maxPerClass;
  const readers = images.map(({ size }) => new VoxelReader(architecture, size));
  const known: { image: number; voxel: number }[][] = Array.from({ length: classes }, () => []);
  for (const [number, image] of images.entries()) {
    readers[number].check(image);
    for (let i = 0; i < image.voxels.length; i++) {
      const [voxel, one] = [image.voxels[i], image.classes[i]];
      if (!(Number.isInteger(voxel) && voxel >= 0 && voxel < voxelCount(image.size)) || !known[one])
        throw new RangeError(
          `fitSegmentationHead: voxel ${voxel} of class ${one}: expected one of the image and of ${classes} classes`,
        );
      known[one].push({ image: number, voxel });
    }
  }
  const unknown = known.findIndex((voxels) => voxels.length === 0);
  if (unknown >= 0 || classes < 2)
    throw new RangeError(
      `fitSegmentationHead: expected voxels of every of at least 2 classes, got none of class ${Math.max(0, unknown)}`,
    );

  const [{ dimensions }] = readers;
  const chosen = known.flatMap((voxels, one) => {
    const count = Math.min(voxels.length, maxPerClass);
    return Array.from({ length: count }, (_, i) => ({ ...voxels[Math.floor((i * voxels.length) / count)], one }));
  });
  const values = new Float64Array(chosen.length * dimensions);
  chosen.forEach(({ image, voxel }, i) => {
    readers[image].read(images[image], voxel, values, i * dimensions);
  });
  const probe = fitLinearProbe(
    { points: { count: chosen.length, dimensions, values }, classes: chosen.map(({ one }) => one) },
    { l2: options.l2 ?? usualPenalty(chosen.length), tolerance: TOLERANCE },
    classes,
  );
  // w ((x - mean) / deviation) + b, as weights of x: those of a class lie behind one another, as the reader has the values
  const weights = new Float32Array(classes * dimensions);
  const bias = Float32Array.from({ length: classes }, (_, one) => {
    let sum = probe.biases[one];
    for (let j = one * dimensions; j < (one + 1) * dimensions; j++) {
      const scaled = probe.weights[j] / probe.deviation[j % dimensions];
      weights[j] = scaled;
      sum -= scaled * probe.mean[j % dimensions];
    }
    return sum;
  });
  let first = 0;
  const parameters = multiLevelParameters(architecture, classes).map(({ name, shape }): NamedTensor => {
    if (shape.length === 1) return { name, shape, data: bias };
    const each = shape.slice(1).reduce((product, n) => product * n);
    const data = new Float32Array(classes * each);
    for (let one = 0; one < classes; one++) {
      const from = one * dimensions + first;
      data.set(weights.subarray(from, from + each), one * each);
    }
    first += each;
    return { name, shape, data };
  });
  return { classes, parameters: new Map(parameters.map((tensor) => [tensor.name, tensor])) };
}

/**
 * The voxels of a grid on which strokes lie that were drawn on another, as a viewer's drawing on the image itself. Where strokes of several classes
 * lie in one voxel the more frequent counts, of equals the lower.
 * @param strokes 0 where nothing is drawn
 * @param codes the value of each class in `strokes`, the background's first; other values are left out
 */
export function voxelsOfStrokes(
  strokes: Volume,
  grid: Geometry,
  codes: readonly number[],
): { readonly voxels: number[]; readonly classes: number[] } {
  const toGrid = composeAffine(physicalToVoxel(grid), voxelToPhysical(strokes.geometry));
  const [nx, ny] = strokes.geometry.size;
  const found = new Map<number, number[]>();
  for (let i = 0; i < strokes.data.length; i++) {
    if (strokes.data[i] === 0) continue;
    const one = codes.indexOf(strokes.data[i]);
    if (one < 0) continue;
    const place = applyAffine(toGrid, [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))]).map(Math.round);
    if (place.some((at, k) => at < 0 || at >= grid.size[k])) continue;
    const voxel = (place[2] * grid.size[1] + place[1]) * grid.size[0] + place[0];
    let votes = found.get(voxel);
    if (!votes) {
      votes = codes.map(() => 0);
      found.set(voxel, votes);
    }
    votes[one]++;
  }
  const voxels = [...found.keys()].sort((a, b) => a - b);
  const classes = voxels.map((voxel) => {
    const votes = found.get(voxel)!;
    return votes.indexOf(Math.max(...votes));
  });
  return { voxels, classes };
}
