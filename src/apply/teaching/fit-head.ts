/**
 * Teaching a network a structure by a few voxels: multinomial logistic regression on its frozen local features, each voxel's with those of its
 * neighbours. That is what one 3x3x3 convolution and a softmax compute, the network's own segmentation head: what is fitted here is that head, and
 * the network with it is a model like any other.
 */
import { applyAffine, composeAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { type Geometry, type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import { fitLinearProbe } from '../../metrics/probe/linear-probe.ts';

/** What is known of some voxels of one image. */
export interface TaughtVoxels {
  /** Local features (channels, D, H, W): `local` of `Model.embed`. */
  readonly features: Float32Array;
  /** (D, H, W) */
  readonly size: Zyx;
  /** Indices of voxels, x fastest. */
  readonly voxels: ArrayLike<number>;
  /** The class of each of them, from 0, the background. */
  readonly classes: ArrayLike<number>;
}

/** The convolution `out_conv`: logits of classes from local features. */
export interface SegmentationHead {
  readonly channels: number;
  readonly classes: number;
  /** (classes, channels, 3, 3, 3) */
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

export interface TeachOptions {
  /** Whose features count: those of the voxel alone (1), or of the 27 around it (3). Default 3. */
  readonly neighbourhood?: 1 | 3;
  /** Weight of the penalty on squared weights, of features with deviation 1. Default 10. */
  readonly l2?: number;
  /** Of more voxels of a class, as many are taken at even distances: so long strokes take no longer, and no class counts much more than another. Default 500. */
  readonly maxPerClass?: number;
}

export const DEFAULT_TEACHING = { neighbourhood: 3, l2: 10, maxPerClass: 500 } as const satisfies Required<TeachOptions>;

const KERNEL = 27;
const CENTRE = 13;
/** On the gradient for each point: labels change no more long before. */
const TOLERANCE = 1e-4;

/**
 * Fits the head.
 * @param classes how many there are, the background among them; of each some voxel is known
 * @throws RangeError for images of different channels, a class without a voxel, voxels or classes that are none
 */
export function fitSegmentationHead(
  images: readonly TaughtVoxels[],
  classes: number,
  options: TeachOptions = {},
): SegmentationHead {
  const { neighbourhood, l2, maxPerClass } = { ...DEFAULT_TEACHING, ...options };
  const channels = images.length === 0 ? 0 : images[0].features.length / voxelCount(images[0].size);
  const known: { image: TaughtVoxels; voxel: number }[][] = Array.from({ length: classes }, () => []);
  for (const image of images) {
    if (image.features.length !== channels * voxelCount(image.size))
      throw new RangeError(
        `fitSegmentationHead: expected features of ${channels} channels, got ${image.features.length} values for ${voxelCount(image.size)} voxels`,
      );
    for (let i = 0; i < image.voxels.length; i++) {
      const [voxel, one] = [image.voxels[i], image.classes[i]];
      if (!(Number.isInteger(voxel) && voxel >= 0 && voxel < voxelCount(image.size)) || !known[one])
        throw new RangeError(
          `fitSegmentationHead: voxel ${voxel} of class ${one}: expected one of the image and of ${classes} classes`,
        );
      known[one].push({ image, voxel });
    }
  }
  const unknown = known.findIndex((voxels) => voxels.length === 0);
  if (unknown >= 0 || classes < 2)
    throw new RangeError(
      `fitSegmentationHead: expected voxels of every of at least 2 classes, got none of class ${Math.max(0, unknown)}`,
    );

  const taps = neighbourhood === 3 ? Array.from({ length: KERNEL }, (_, k) => k) : [CENTRE];
  const dimensions = channels * taps.length;
  const chosen = known.flatMap((voxels, one) => {
    const count = Math.min(voxels.length, maxPerClass);
    return Array.from({ length: count }, (_, i) => ({ ...voxels[Math.floor((i * voxels.length) / count)], one }));
  });
  const values = new Float64Array(chosen.length * dimensions);
  chosen.forEach(({ image, voxel }, i) => {
    const { features, size } = image;
    const [depth, height, width] = size;
    const voxels = voxelCount(size);
    const [x, y, z] = [voxel % width, Math.floor(voxel / width) % height, Math.floor(voxel / (width * height))];
    taps.forEach((tap, t) => {
      const [u, v, w] = [x + (tap % 3) - 1, y + (Math.floor(tap / 3) % 3) - 1, z + Math.floor(tap / 9) - 1];
      // beyond the image the convolution sees 0
      if (u < 0 || v < 0 || w < 0 || u >= width || v >= height || w >= depth) return;
      const at = (w * height + v) * width + u;
      for (let c = 0; c < channels; c++) values[i * dimensions + c * taps.length + t] = features[c * voxels + at];
    });
  });
  const probe = fitLinearProbe(
    { points: { count: chosen.length, dimensions, values }, classes: chosen.map(({ one }) => one) },
    { l2, tolerance: TOLERANCE },
    classes,
  );
  // w ((x - mean) / deviation) + b, as weights of x
  const weight = new Float32Array(classes * channels * KERNEL);
  const bias = Float32Array.from({ length: classes }, (_, one) => {
    let sum = probe.biases[one];
    for (let j = 0; j < dimensions; j++) {
      const scaled = probe.weights[one * dimensions + j] / probe.deviation[j];
      weight[(one * channels + Math.floor(j / taps.length)) * KERNEL + taps[j % taps.length]] = scaled;
      sum -= scaled * probe.mean[j];
    }
    return sum;
  });
  return { channels, classes, weight, bias };
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
