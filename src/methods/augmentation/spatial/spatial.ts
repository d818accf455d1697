/**
 * The spatial augmentation of pre-training (docs/method.md, section 7): one random affine and elastic transformation, applied alike to as many
 * images as are given (clean A, damaged A and B, or one of them if a caller samples two plans).
 *
 * The new image at p is the old one at Affine(p + elastic(p)), the same composition as the matching head's fused field, read
 * by one trilinear interpolation, zero outside. Affines act in voxels about the volume's centre, (size - 1) / 2. The plan is
 * plain data that JSON can hold: logged, it replays to the same bits; the identity plan returns the images bit by bit.
 */

import { childSeed } from '../../../common/child-seed.ts';
import type { RandomStream } from '../../../common/random.ts';
import { type AffineParameters, affineMatrix } from '../../../geometry/affine-matrix.ts';
import { checkVoxels } from '../../../geometry/check-voxels.ts';
import { emptyLike } from '../../../geometry/empty-like.ts';
import type { VoxelArray, Xyz, Zyx } from '../../../geometry/volume.ts';
import { type ElasticPlan, elasticRows, type VectorRow } from './elastic-field.ts';
import { readRow, readRowNearest, samplingRow } from './sampling-row.ts';

/** The ranges that a transformation is drawn from, uniformly. A range of zero width at the identity switches its part off. */
export interface SpatialOptions {
  /** Largest rotation about each axis, either way. */
  readonly rotationRadians: number;
  /** Least and largest scale of each axis. */
  readonly scale: readonly [number, number];
  /** Largest angle of each of the six shears, either way. */
  readonly shearRadians: number;
  /** Largest translation along each axis, either way, as a share of that axis' size. */
  readonly translationShare: number;
  /** Factor on the elastic field's smoothed noise; [0, 0] is no elastic field. */
  readonly elasticAlphaVoxels: readonly [number, number];
  /** Standard deviation of the Gaussian that smooths it. */
  readonly elasticSigmaVoxels: readonly [number, number];
}

/** The paper's protocol as docs/method.md, section 7 completes it. */
export const DEFAULT_SPATIAL: SpatialOptions = {
  rotationRadians: Math.PI / 9,
  scale: [0.75, 1.25],
  shearRadians: Math.PI / 18,
  translationShare: 0.1,
  elasticAlphaVoxels: [0, 512],
  elasticSigmaVoxels: [10, 13],
};

/** One transformation; `elastic` null is an affine alone. */
export interface SpatialPlan extends AffineParameters {
  readonly elastic: ElasticPlan | null;
}

/** Changes nothing. */
export const IDENTITY_SPATIAL: SpatialPlan = {
  rotationRadians: [0, 0, 0],
  scale: [1, 1, 1],
  shearRadians: [0, 0, 0, 0, 0, 0],
  translationVoxels: [0, 0, 0],
  elastic: null,
};

/** Draws a transformation for patches of `sizeZyx` voxels. Options left out are the paper's. */
export function sampleSpatial(stream: RandomStream, sizeZyx: Zyx, options: Partial<SpatialOptions> = {}): SpatialPlan {
  const chosen = { ...DEFAULT_SPATIAL, ...options };
  const either = (limit: number): number => stream.uniform(-limit, limit);
  const three = (draw: () => number): Xyz => [draw(), draw(), draw()];
  const shear = (): number => either(chosen.shearRadians);
  const rotationRadians = three(() => either(chosen.rotationRadians));
  const scale = three(() => stream.uniform(...chosen.scale));
  const shearRadians = [shear(), shear(), shear(), shear(), shear(), shear()] as const;
  const [depth, height, width] = sizeZyx;
  const share = chosen.translationShare;
  const translationVoxels: Xyz = [either(share * width), either(share * height), either(share * depth)];
  const alphaVoxels = stream.uniform(...chosen.elasticAlphaVoxels);
  const sigmaVoxels = stream.uniform(...chosen.elasticSigmaVoxels);
  const elastic = alphaVoxels > 0 ? { alphaVoxels, sigmaVoxels, seed: childSeed(stream) } : null;
  return { rotationRadians, scale, shearRadians, translationVoxels, elastic };
}

/** Images, and label maps if any came, after one transformation, in the order they came. */
export interface SpatialResult<Labels extends VoxelArray = VoxelArray> {
  readonly images: Float32Array[];
  readonly labels: Labels[];
}

/**
 * Applies one transformation alike to all images (trilinear) and label maps (nearest), each D * H * W, zero outside.
 * @throws RangeError if one of them does not have that size.
 */
export function applySpatial<Labels extends VoxelArray>(
  images: readonly Float32Array[],
  sizeZyx: Zyx,
  plan: SpatialPlan,
  options: { readonly labels?: readonly Labels[] } = {},
): SpatialResult<Labels> {
  const labels = options.labels ?? [];
  for (const given of [...images, ...labels]) checkVoxels('applySpatial', given, sizeZyx);
  const [depth, height, width] = sizeZyx;
  const matrix = affineMatrix(plan);
  const [xx, xy, xz, xt, yx, yy, yz, yt, zx, zy, zz, zt] = matrix;
  const [centreZ, centreY, centreX] = sizeZyx.map((size) => (size - 1) / 2);
  const result: SpatialResult<Labels> = {
    images: images.map((image) => new Float32Array(image.length)),
    labels: labels.map((map) => emptyLike(map)),
  };
  const elasticRow = plan.elastic ? elasticRows(sizeZyx, plan.elastic) : undefined;
  const shift: VectorRow = [new Float64Array(width), new Float64Array(width), new Float64Array(width)];
  const [shiftZ, shiftY, shiftX] = shift;
  const row = samplingRow(sizeZyx);
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      elasticRow?.(z, y, shift);
      for (let x = 0; x < width; x++) {
        const fromX = x + shiftX[x] - centreX;
        const fromY = y + shiftY[x] - centreY;
        const fromZ = z + shiftZ[x] - centreZ;
        row.z[x] = zx * fromX + zy * fromY + zz * fromZ + zt + centreZ;
        row.y[x] = yx * fromX + yy * fromY + yz * fromZ + yt + centreY;
        row.x[x] = xx * fromX + xy * fromY + xz * fromZ + xt + centreX;
      }
      const start = (z * height + y) * width;
      row.locate();
      for (let i = 0; i < images.length; i++) readRow(images[i], row, result.images[i], start);
      for (let i = 0; i < labels.length; i++) readRowNearest(labels[i], row, result.labels[i], start);
    }
  }
  return result;
}
