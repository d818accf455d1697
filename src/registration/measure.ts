/**
 * How well the images agree at each stage of a registration: as the files stand, with their centres on one another, after the affine, after
 * the deformable part as well. Correlation, label overlap, landmark error; folds are judged apart, for the whole map alone.
 */

import { composeAffine, physicalToVoxel, voxelToPhysical } from '../geometry/affine.ts';
import { Histogram, ValueRange } from '../geometry/statistics.ts';
import { type Geometry, toZyx, type Volume, voxelCount } from '../geometry/volume.ts';
import { emptyLike } from '../method/empty-like.ts';
import { OverlapCount } from '../method/evaluation/label-overlap.ts';
import { ncc } from '../method/evaluation/ncc.ts';
import { mapPoint, mappedPlanes } from '../method/registration/physical-map.ts';
import type { Stage, StageName } from '../method/registration/stages.ts';
import { countInside, sampleNearest, warpImage } from '../method/registration/warp.ts';
import type { LandmarkPair } from './inputs.ts';

export interface StageMeasures {
  readonly stage: StageName;
  /** Local correlation in [0, 1] of the images as the network sees them, over the fixed image's foreground. */
  readonly ncc: number;
  /** Share of the fixed image's grid that lies inside the moving image. */
  readonly coveredShare: number;
  /** Dice of each label, on the fixed image's grid. */
  readonly dice?: readonly { readonly label: number; readonly dice: number }[];
  readonly meanDice?: number | null;
  /** Distance of each landmark to where it should be. */
  readonly landmarkErrorsMm?: readonly { readonly name: string; readonly errorMm: number }[];
  readonly meanLandmarkErrorMm?: number;
}

/** Of the moving image: as its file stores it, and as the network sees it, whole. */
export interface MovingImage {
  readonly volume: Volume;
  readonly prepared: Volume<Float32Array>;
}

/** Of the fixed image: its file's grid, and what the network saw of it. */
export interface FixedImage {
  readonly grid: Geometry;
  readonly cropped: Volume<Float32Array>;
}

export interface Truth {
  /** On the grids of their images, and every code that either holds: a label counts at every stage, even where it was moved out of sight. */
  readonly labels: { readonly moving: Volume; readonly fixed: Volume; readonly codes: readonly number[] } | null;
  readonly landmarks: readonly LandmarkPair[];
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Everything that can be measured of one stage. */
export function measureStage(
  [stage, map]: Stage,
  moving: MovingImage,
  fixed: FixedImage,
  { labels, landmarks }: Truth,
): StageMeasures {
  const seen = fixed.cropped;
  const warped = warpImage(moving.prepared, map, seen.geometry, 0);
  const similarity = ncc(warped.data, seen.data, toZyx(seen.geometry.size));
  const { grid } = fixed;
  const mapped = mappedPlanes(map, grid, physicalToVoxel(moving.volume.geometry));
  const inPlane = grid.size[0] * grid.size[1];
  const warpedLabels = labels && emptyLike(labels.moving.data, inPlane);
  const overlapping = new OverlapCount();
  let covered = 0;
  for (let k = 0; k < grid.size[2]; k++) {
    const places = mapped(k);
    covered += countInside(moving.volume.geometry.size, places);
    if (!labels || !warpedLabels) continue;
    // its label map has been brought to the moving image's own grid
    sampleNearest(labels.moving, places, warpedLabels);
    overlapping.add(warpedLabels, labels.fixed.data.subarray(k * inPlane, (k + 1) * inPlane));
  }
  const overlap = labels && overlapping.result(labels.codes);
  const errors = landmarks.map(({ name, fixedMm, movingMm }) => {
    const [x, y, z] = mapPoint(map, fixedMm);
    return { name, errorMm: Math.hypot(x - movingMm[0], y - movingMm[1], z - movingMm[2]) };
  });
  return {
    stage,
    ncc: similarity,
    coveredShare: covered / voxelCount(grid.size),
    ...(overlap ? { dice: overlap.labels, meanDice: overlap.labels.length > 0 ? overlap.meanDice : null } : {}),
    ...(errors.length > 0 ? { landmarkErrorsMm: errors, meanLandmarkErrorMm: mean(errors.map(({ errorMm }) => errorMm)) } : {}),
  };
}

export interface JacobianMeasures {
  /** Share of voxels with a determinant that is not positive: within the fixed image's foreground, where the network matched. */
  readonly foldedShare: number;
  /** The same over the whole of the fixed image's grid. */
  readonly foldedShareOfGrid: number;
  /** Lowest, first percentile, median, 99th percentile and highest determinant within the foreground. */
  readonly determinant: {
    readonly min: number;
    readonly percentile1: number;
    readonly median: number;
    readonly percentile99: number;
    readonly max: number;
  };
}

/**
 * Sums up the determinants on `grid`; the foreground is what lies inside the box that the network saw. All planes are computed once to know
 * their range; the percentiles are counted while they are taken a second time, to be written.
 * @param determinants gives the planes of the grid
 */
export function measureJacobian(
  determinants: (k: number) => Float32Array,
  grid: Geometry,
  seen: Geometry,
): { readonly plane: (k: number) => Float32Array; readonly measures: () => JacobianMeasures } {
  const within = foregroundOf(grid, seen);
  const range = new ValueRange();
  let [foldedOfGrid, foldedWithin] = [0, 0];
  for (let k = 0; k < grid.size[2]; k++) {
    const plane = determinants(k);
    const inside = within(plane, k);
    foldedOfGrid += countFolds(plane);
    foldedWithin += countFolds(inside);
    range.add(inside);
  }
  const voxels = range.finite + range.nonFinite;
  const histogram = new Histogram(range, false);
  let counted = 0;
  return {
    plane: (k) => {
      const plane = determinants(k);
      if (k === counted) {
        histogram.add(within(plane, k));
        counted++;
      }
      return plane;
    },
    measures: () => {
      if (counted < grid.size[2]) throw new Error(`${counted} of ${grid.size[2]} planes of determinants were taken`);
      const percentile = (share: number): number => (range.finite > 0 ? histogram.percentile(share) : 0);
      return {
        foldedShare: voxels > 0 ? foldedWithin / voxels : 0,
        foldedShareOfGrid: foldedOfGrid / voxelCount(grid.size),
        determinant: {
          min: range.min,
          percentile1: percentile(0.01),
          median: percentile(0.5),
          percentile99: percentile(0.99),
          max: range.max,
        },
      };
    },
  };
}

function countFolds(determinants: Float32Array): number {
  let folds = 0;
  // not `<= 0`: what is not a number is no match either
  for (const determinant of determinants) if (!(determinant > 0)) folds++;
  return folds;
}

/** Picks from a plane of `grid` the values that lie in the box `seen`. */
function foregroundOf(grid: Geometry, seen: Geometry): (plane: Float32Array, k: number) => Float32Array {
  const { matrix: m, offset } = composeAffine(physicalToVoxel(seen), voxelToPhysical(grid));
  const [nx, ny] = grid.size;
  const picked = new Float32Array(nx * ny);
  const outside = (position: number, size: number): boolean => position < -0.5 || position > size - 0.5;
  return (plane, k) => {
    let count = 0;
    for (let j = 0, at = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++, at++) {
        if (outside(m[0] * i + m[1] * j + m[2] * k + offset[0], seen.size[0])) continue;
        if (outside(m[3] * i + m[4] * j + m[5] * k + offset[1], seen.size[1])) continue;
        if (outside(m[6] * i + m[7] * j + m[8] * k + offset[2], seen.size[2])) continue;
        picked[count++] = plane[at];
      }
    }
    return picked.subarray(0, count);
  };
}
