/**
 * How well the images agree at each stage of a registration: as the files stand, with their centres on one another, after the affine, after
 * the deformable part as well. Correlation, label overlap, landmark error; folds are judged apart, for the whole map alone.
 */

import { applyAffine, composeAffine, physicalToVoxel, voxelToPhysical } from '../geometry/affine.ts';
import { statisticsOf } from '../geometry/statistics.ts';
import { type Geometry, toZyx, type Volume } from '../geometry/volume.ts';
import { labelOverlap } from '../method/evaluation/label-overlap.ts';
import { ncc } from '../method/evaluation/ncc.ts';
import { mapPoint } from '../method/registration/physical-map.ts';
import type { Stage, StageName } from '../method/registration/stages.ts';
import { coveredShare, warpImage, warpLabelMap } from '../method/registration/warp.ts';
import type { NetworkImage } from '../preparation/network-image.ts';
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

export interface Truth {
  /** On the grids of their images. */
  readonly labels: { readonly moving: Volume; readonly fixed: Volume } | null;
  readonly landmarks: readonly LandmarkPair[];
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Everything that can be measured of one stage. */
export function measureStage(
  [stage, map]: Stage,
  moving: NetworkImage,
  fixed: NetworkImage,
  { labels, landmarks }: Truth,
): StageMeasures {
  const grid = fixed.cropped.geometry;
  const warped = warpImage(moving.prepared.whole, map, grid, 0);
  const measures: StageMeasures = {
    stage,
    ncc: ncc(warped.data, fixed.cropped.data, toZyx(grid.size)),
    coveredShare: coveredShare(moving.volume.geometry, map, fixed.volume.geometry),
  };
  const overlap =
    labels && labelOverlap(warpLabelMap(labels.moving, map, fixed.volume.geometry).data, labels.fixed.data, codesOf(labels));
  const errors = landmarks.map(({ name, fixedMm, movingMm }) => {
    const [x, y, z] = mapPoint(map, fixedMm);
    return { name, errorMm: Math.hypot(x - movingMm[0], y - movingMm[1], z - movingMm[2]) };
  });
  return {
    ...measures,
    ...(overlap ? { dice: overlap.labels, meanDice: overlap.labels.length > 0 ? overlap.meanDice : null } : {}),
    ...(errors.length > 0 ? { landmarkErrorsMm: errors, meanLandmarkErrorMm: mean(errors.map(({ errorMm }) => errorMm)) } : {}),
  };
}

/** The codes of both maps, so that a label counts at every stage even where it was moved out of sight. */
const codesOf = ({ moving, fixed }: { readonly moving: Volume; readonly fixed: Volume }): number[] => [
  ...new Set([...new Set(moving.data), ...new Set(fixed.data)]),
];

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

/** Sums up the determinants on `grid`; the foreground is what lies inside the box that the network saw. */
export function measureJacobian(determinants: Float32Array, grid: Geometry, seen: Geometry): JacobianMeasures {
  const toSeen = composeAffine(physicalToVoxel(seen), voxelToPhysical(grid));
  const [nx, ny] = grid.size;
  const within = new Float32Array(determinants.length);
  let [count, folded, foldedWithin] = [0, 0, 0];
  for (let voxel = 0; voxel < determinants.length; voxel++) {
    const isFold = !(determinants[voxel] > 0);
    if (isFold) folded++;
    const at = applyAffine(toSeen, [voxel % nx, Math.floor(voxel / nx) % ny, Math.floor(voxel / (nx * ny))]);
    if (at.some((position, k) => position < -0.5 || position > seen.size[k] - 0.5)) continue;
    within[count++] = determinants[voxel];
    if (isFold) foldedWithin++;
  }
  const statistics = statisticsOf(within.subarray(0, count));
  return {
    foldedShare: count > 0 ? foldedWithin / count : 0,
    foldedShareOfGrid: folded / determinants.length,
    determinant: {
      min: statistics.min,
      percentile1: statistics.percentile(0.01),
      median: statistics.percentile(0.5),
      percentile99: statistics.percentile(0.99),
      max: statistics.max,
    },
  };
}
