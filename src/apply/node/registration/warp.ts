/**
 * Applying transforms to files: images (trilinear), label maps (nearest voxel) and points of the moving image, brought into the space of the fixed one;
 * or, inverted, the other way.
 *
 * Transforms map *points* of the fixed image to the moving one (ITK, ANTs). An image is brought to the fixed grid by asking where each of its voxels
 * goes; the moving image's points take the inverse, which is found point by point. Everything given here goes the same way, whichever that needs.
 */
import { basename, join } from 'node:path';
import { airOf } from '../../../cohort/network-image.ts';
import { RunError, UsageError } from '../../../common/errors.ts';
import type { ProgressListener } from '../../../common/progress.ts';
import { toProgress } from '../../../common/progress.ts';
import { type Affine, invertAffine, physicalToVoxel } from '../../../geometry/affine.ts';
import { emptyLike } from '../../../geometry/empty-like.ts';
import { statisticsOf } from '../../../geometry/statistics.ts';
import { type Geometry, type Volume, voxelCount, type Xyz } from '../../../geometry/volume.ts';
import type { LoadedImage } from '../../../images/loaded-image.ts';
import { imageStem } from '../../../images/node/find.ts';
import { readImage } from '../../../images/node/read.ts';
import { writeImage, writeVectorImage } from '../../../images/node/write.ts';
import { writeFileAtomic } from '../../../platform/node/files.ts';
import { guardInputs } from '../../../platform/node/guard.ts';
import { inResults } from '../../../platform/node/results.ts';
import type { MappedRow } from '../../registration/physical-map.ts';
import { modalityOf } from '../../registration/prepare.ts';
import {
  affineOf,
  fieldOnGrid,
  forEachRowMm,
  inverseMover,
  pointMover,
  type Transform,
} from '../../registration/transforms/transform.ts';
import { countInside, rowWarper, sampleNearest } from '../../registration/warp.ts';
import { POINT_ENDINGS, readPoints } from './points.ts';
import { readTransforms } from './read-transform.ts';

export interface WarpCall {
  /** Files whose transforms points of the fixed image pass one after another, in the order of antsApplyTransforms. */
  readonly transform: readonly string[];
  /** Everything goes from the fixed image to the moving one instead. */
  readonly invert?: boolean;
  /** An image on whose grid images and label maps are written: the fixed one; with `invert` the moving one. */
  readonly grid?: string;
  readonly image?: readonly string[];
  /** Which one to take of images with several (4D), from 0. */
  readonly channel?: number;
  readonly labels?: readonly string[];
  /** Of the moving image; with `invert` of the fixed one. */
  readonly points?: readonly string[];
  /** Also write the whole transform, as it is used here for images, as one displacement field on the grid. */
  readonly field?: boolean;
  readonly out: string;
  readonly overwrite?: boolean;
  readonly progress?: ProgressListener;
}

/** As messages name what is warped. */
const INPUT_KINDS = { image: 'an image to warp', labels: 'a label map to warp', points: 'points to warp' } as const;

export interface WarpedFile {
  readonly input: string;
  readonly output: string;
  readonly kind: 'image' | 'labels' | 'points';
  /** Of an image's voxels on the grid, or of points. */
  readonly count: number;
}

export interface WarpReport {
  readonly files: readonly WarpedFile[];
  /** The displacement field, if it was asked for. */
  readonly field: string | null;
  /** Where an inverse was needed: how far its points are from where they should be, at most; null otherwise. */
  readonly inverseErrorMm: number | null;
  /** What is unusual about the files and the results, a sentence each that names the file. */
  readonly warnings: readonly string[];
}

const FIELD_FILE = 'displacement.nii.gz';
/** An inverse that is worse than this is warned of. */
export const INVERSE_TOLERANCE_MM = 0.1;

const endingOf = (path: string): string => POINT_ENDINGS.find((one) => path.toLowerCase().endsWith(one)) ?? '';
const nameOf = (path: string, kind: WarpedFile['kind']): string =>
  kind === 'points'
    ? `${basename(path).slice(0, -endingOf(path).length || undefined)}_warped${endingOf(path)}`
    : `${imageStem(basename(path))}_warped.nii.gz`;

/** Moves points in place, and remembers how exact that was. */
class Mover {
  worst: number | null = null;
  readonly #move: (row: MappedRow) => void;
  /** The affine part of it. */
  readonly affine: Affine;

  constructor(transform: Transform, inverted: boolean) {
    const affine = affineOf(transform);
    this.affine = inverted ? invertAffine(affine) : affine;
    const inverse = inverted ? inverseMover(transform) : undefined;
    this.#move = inverse
      ? (row) => {
          this.worst = Math.max(this.worst ?? 0, inverse(row));
        }
      : pointMover(transform);
  }

  move(row: MappedRow): void {
    this.#move(row);
  }
}

/** @param background of an image; null for a label map, of which the nearest voxel is taken */
function onGrid(volume: Volume, grid: Geometry, mover: Mover, background: number | null): Volume & { readonly covered: number } {
  let covered = 0;
  const data = emptyLike(volume.data, voxelCount(grid.size));
  const { matrix: m, offset } = physicalToVoxel(volume.geometry);
  const linear = background === null ? null : rowWarper(volume, { affine: mover.affine, residual: null }, grid, background);
  forEachRowMm(grid, (row, at) => {
    mover.move(row);
    const { x, y, z } = row;
    for (let i = 0; i < x.length; i++) {
      const [a, b, c] = [x[i], y[i], z[i]];
      x[i] = m[0] * a + m[1] * b + m[2] * c + offset[0];
      y[i] = m[3] * a + m[4] * b + m[5] * c + offset[1];
      z[i] = m[6] * a + m[7] * b + m[8] * c + offset[2];
    }
    covered += countInside(volume.geometry.size, row);
    if (linear) linear(row, data, at);
    else sampleNearest(volume, row, data, at);
  });
  return { geometry: grid, data, covered };
}

/** An image with air for what is no number, and the value of air: -1024 (CT) or 0, or the value nearest to that that it has. */
function withAir(loaded: LoadedImage): { readonly volume: Volume; readonly air: number; readonly replaced: number } {
  const { volume } = loaded;
  const { min, max, nonFinite } = statisticsOf(volume.data);
  const air = airOf(modalityOf(loaded), { min, max });
  if (nonFinite === 0) return { volume, air, replaced: 0 };
  const data = volume.data.map((value) => (Number.isFinite(value) ? value : air));
  return { volume: { geometry: volume.geometry, data }, air, replaced: nonFinite };
}

function movedPoints(points: readonly Xyz[], mover: Mover): Xyz[] {
  const row = {
    x: Float64Array.from(points, ([x]) => x),
    y: Float64Array.from(points, ([, y]) => y),
    z: Float64Array.from(points, ([, , z]) => z),
  };
  mover.move(row);
  return points.map((_, i) => [row.x[i], row.y[i], row.z[i]]);
}

/**
 * Applies transforms to files and writes the results into the folder `out`.
 * @throws UsageError for a call without anything to do or without a grid; RunError for files that cannot be used, each with what to do
 */
export async function warpFiles(call: WarpCall): Promise<WarpReport> {
  const {
    transform: transforms,
    invert = false,
    grid,
    image: images = [],
    labels = [],
    points = [],
    field = false,
    out,
    channel,
  } = call;
  if (transforms.length === 0) throw new UsageError('`transform`: expected at least one file');
  if (images.length + labels.length + points.length === 0 && !field)
    throw new UsageError('nothing to do: give `image`, `labels`, `points` or `field`');
  if (grid === undefined && (images.length + labels.length > 0 || field))
    throw new UsageError('`grid` is needed for images and label maps: the image on whose grid they are written');
  const imageNames = new Set(images.map((path) => nameOf(path, 'image')));
  // nnU-Net's and the Decathlon's label maps are named like their images
  const labelsName = (path: string): string => {
    const name = nameOf(path, 'labels');
    return imageNames.has(name) ? name.replace(/_warped\.nii\.gz$/, '_labels_warped.nii.gz') : name;
  };
  const inputs = [
    ...images.map((path) => ({ path, kind: 'image' as const })),
    ...labels.map((path) => ({ path, kind: 'labels' as const })),
    ...points.map((path) => ({ path, kind: 'points' as const })),
  ].map((input) => ({ ...input, name: input.kind === 'labels' ? labelsName(input.path) : nameOf(input.path, input.kind) }));
  const twice = inputs.find(({ name }, k) => inputs.findIndex((other) => other.name === name) < k);
  if (twice)
    throw new UsageError(
      `${twice.path}: two results would be named ${twice.name}; run them separately, each with its own \`out\``,
    );
  const names = [...inputs.map(({ name }) => name), ...(field ? [FIELD_FILE] : [])];
  return guardInputs(
    [
      ...transforms.map((path) => ({ path, what: 'a transform' })),
      ...(grid === undefined ? [] : [{ path: grid, what: 'the image that gives the grid' }]),
      ...inputs.map(({ path, kind }) => ({ path, what: INPUT_KINDS[kind] })),
    ],
    () =>
      inResults(out, { names, overwrite: call.overwrite ?? false, by: 'gvsl warp' }, async (results) => {
        const warnings = new Set<string>();
        const transform = await readTransforms(transforms, warnings);
        const onto = grid === undefined ? null : await readImage(grid, { firstVolume: true });
        for (const warning of onto?.warnings ?? []) warnings.add(`${grid}: ${warning}`);
        const geometry = onto?.volume.geometry ?? null;
        const progress = toProgress(call.progress);
        // where voxels of the result come from, and where points of the input go: one is the other's inverse
        const [voxels, moved] = [new Mover(transform, invert), new Mover(transform, !invert)];
        const files: WarpedFile[] = [];
        if (field && geometry) {
          const vectors = fieldOnGrid(geometry, (row) => voxels.move(row));
          await writeVectorImage(join(out, FIELD_FILE), geometry, vectors.data);
        }
        for (const { path, kind, name } of inputs) {
          progress.say(`${path}`);
          if (kind === 'points') {
            const file = await readPoints(path);
            await writeFileAtomic(join(out, name), file.withPoints(movedPoints(file.points, moved)));
            files.push({ input: path, output: name, kind, count: file.points.length });
            continue;
          }
          const loaded = await readImage(path, kind === 'labels' ? { single: true } : channel === undefined ? {} : { channel });
          if (kind === 'labels' && !loaded.volume.data.every(Number.isInteger))
            throw new RunError(`${path}: not a label map: expected whole numbers; give it as an image`);
          for (const warning of loaded.warnings) warnings.add(`${path}: ${warning}`);
          const { volume, air, replaced } =
            kind === 'labels' ? { volume: loaded.volume, air: null, replaced: 0 } : withAir(loaded);
          if (replaced > 0) warnings.add(`${path}: NaN or infinite voxels: ${replaced}, set to ${air}`);
          const { covered, ...warped } = onGrid(volume, geometry!, voxels, air);
          if (covered === 0)
            warnings.add(
              `${path}: the transform brings none of it onto the grid, so the result is empty: are all transforms there, in this order, and is it to be inverted?`,
            );
          await writeImage(join(out, name), warped);
          files.push({ input: path, output: name, kind, count: warped.data.length });
        }
        await results.finish(names);
        const errors = [voxels.worst, moved.worst].filter((value) => value !== null);
        return {
          files,
          field: field ? FIELD_FILE : null,
          inverseErrorMm: errors.length > 0 ? Math.max(...errors) : null,
          warnings: [...warnings],
        };
      }),
  );
}
