/**
 * How well the images agree at each stage of a registration: as the files stand, with their centres on one another, after the affine, after
 * the deformable part as well. Correlation, label overlap, landmark error; folds are judged apart, for the whole map alone.
 */

import { composeAffine, physicalToVoxel, voxelToPhysical } from '../../../geometry/affine.ts';
import { emptyLike } from '../../../geometry/empty-like.ts';
import { Histogram, ValueRange } from '../../../geometry/statistics.ts';
import { type Geometry, type Volume, type VoxelArray, voxelCount, type Xyz } from '../../../geometry/volume.ts';
import { bytesOf } from '../../../images/stored-image.ts';
import { type LabelOverlap, OverlapCount } from '../../../metrics/label-overlap.ts';
import { readAt, withScratch } from '../../../platform/node/files.ts';
import { type MappedRow, mapPoint, type PhysicalMap } from '../../registration/physical-map.ts';
import type { Stage, StageName } from '../../registration/stages.ts';
import { countInside, coveredShare, forEachRow, rowsWithin, sampleNearest } from '../../registration/warp.ts';
import type { LandmarkPair } from './inputs.ts';

export interface StageMeasures {
  readonly stage: StageName;
  /** Local correlation in [0, 1] of the prepared images, over the fixed image's foreground or the box of its mask. */
  readonly ncc: number;
  /** Whether it is part of the result: not, if it made the images less alike. */
  readonly kept: boolean;
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

/** What a stage shows on the fixed image's own grid. */
interface GridMeasures {
  readonly coveredShare: number;
  readonly overlap: LabelOverlap | null;
}

/** Counts what a stage shows on the fixed image's own grid, while its map is gone through for whatever purpose. */
export class GridCount {
  readonly #size: Xyz;
  readonly #grid: Geometry;
  readonly #labels: Truth['labels'];
  readonly #overlap = new OverlapCount();
  #covered = 0;

  constructor({ volume }: MovingImage, { grid }: FixedImage, { labels }: Truth) {
    this.#size = volume.geometry.size;
    this.#grid = grid;
    this.#labels = labels;
  }

  /** @param row places in voxels of the moving image */
  addRow(row: MappedRow): void {
    this.#covered += countInside(this.#size, row);
  }

  /** @param warped the moving image's labels on the plane k of the grid */
  addLabels(warped: VoxelArray, k: number): void {
    if (this.#labels) this.#overlap.add(warped, this.#labels.fixed.data.subarray(k * warped.length, (k + 1) * warped.length));
  }

  result(): GridMeasures {
    return {
      coveredShare: this.#covered / voxelCount(this.#grid.size),
      overlap: this.#labels && this.#overlap.result(this.#labels.codes),
    };
  }
}

/** The same for a map that is gone through for this alone. */
export function measureGrid(map: PhysicalMap, moving: MovingImage, fixed: FixedImage, truth: Truth): GridMeasures {
  const { geometry } = moving.volume;
  const { labels } = truth;
  if (!labels) return { coveredShare: coveredShare(geometry, map, fixed.grid), overlap: null };
  const count = new GridCount(moving, fixed, truth);
  const inPlane = fixed.grid.size[0] * fixed.grid.size[1];
  const warped = emptyLike(labels.moving.data, inPlane);
  // its label map has been brought to the moving image's own grid
  forEachRow(map, fixed.grid, physicalToVoxel(geometry), (row, at) => {
    count.addRow(row);
    sampleNearest(labels.moving, row, warped, at % inPlane);
    if ((at + row.x.length) % inPlane === 0) count.addLabels(warped, Math.floor(at / inPlane));
  });
  return count.result();
}

/** Everything that can be measured of one stage. */
export function measureStage(
  { stage, map, ncc, kept }: Stage,
  { landmarks }: Truth,
  { coveredShare: covered, overlap }: GridMeasures,
): StageMeasures {
  const errors = landmarks.map(({ name, fixedMm, movingMm }) => {
    const [x, y, z] = mapPoint(map, fixedMm);
    return { name, errorMm: Math.hypot(x - movingMm[0], y - movingMm[1], z - movingMm[2]) };
  });
  return {
    stage,
    ncc,
    kept,
    coveredShare: covered,
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
 * Sums up the determinants on `grid` that `work` gives, a plane after the other; the foreground is what lies inside the box that the network saw.
 * Its determinants lie beside `path` until all are there: only then their range is known, in which the percentiles are counted.
 */
export function measuringJacobian(
  path: string,
  grid: Geometry,
  seen: Geometry,
  work: (add: (plane: Float32Array) => Promise<void>) => Promise<void>,
): Promise<JacobianMeasures> {
  return withScratch(path, async (scratch) => {
    const pick = foregroundOf(grid, seen);
    const range = new ValueRange();
    let [k, foldedOfGrid, foldedWithin] = [0, 0, 0];
    await work(async (plane) => {
      const inside = pick(plane, k++);
      foldedOfGrid += countFolds(plane);
      foldedWithin += countFolds(inside);
      range.add(inside);
      await scratch.writeFile(bytesOf(inside));
    });
    const voxels = range.finite + range.nonFinite;
    const histogram = new Histogram(range);
    const part = new Float32Array(Math.min(voxels, PART_VALUES));
    for (let first = 0; first < voxels; first += part.length) {
      const some = part.subarray(0, Math.min(part.length, voxels - first));
      await readAt(scratch, bytesOf(some), first * part.BYTES_PER_ELEMENT);
      histogram.add(some);
    }
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
  });
}

/** Determinants that are read at a time. */
const PART_VALUES = 2 ** 20;

function countFolds(determinants: Float32Array): number {
  let folds = 0;
  // not `<= 0`: what is not a number is no match either
  for (let i = 0; i < determinants.length; i++) if (!(determinants[i] > 0)) folds++;
  return folds;
}

/** Picks from a plane of `grid` the values that lie in the box `seen`; the array is used again for the next plane. */
function foregroundOf(grid: Geometry, seen: Geometry): (plane: Float32Array, k: number) => Float32Array {
  const within = rowsWithin(composeAffine(physicalToVoxel(seen), voxelToPhysical(grid)), seen.size, 0.5, grid);
  const [nx, ny] = grid.size;
  const picked = new Float32Array(nx * ny);
  return (plane, k) => {
    let count = 0;
    for (let j = 0; j < ny; j++) {
      const { from, to } = within(j, k);
      picked.set(plane.subarray(j * nx + from, j * nx + to), count);
      count += to - from;
    }
    return picked.subarray(0, count);
  };
}
