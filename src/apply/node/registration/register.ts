/**
 * Registration of files, with a trained network or without one: lays a moving image onto a fixed one, each in its own physical space, and writes
 * and measures the result (docs/file-formats.md says what is in the folder; docs/registration.md how it is found).
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NetworkImage } from '../../../cohort/network-image.ts';
import { readForNetwork } from '../../../cohort/node/read-for-network.ts';
import { UsageError } from '../../../common/errors.ts';
import { formatBytes } from '../../../common/format-bytes.ts';
import { type Progress, toProgress } from '../../../common/progress.ts';
import type { Backend } from '../../../engine/backend.ts';
import { type Affine, applyAffine, physicalToVoxel, voxelToPhysical } from '../../../geometry/affine.ts';
import { emptyLike } from '../../../geometry/empty-like.ts';
import { orientationCode } from '../../../geometry/orientation.ts';
import type { Geometry, Volume, Xyz } from '../../../geometry/volume.ts';
import { readImage } from '../../../images/node/read.ts';
import { writeVectorImage, writingTogether } from '../../../images/node/write.ts';
import { voxelTypeOf } from '../../../images/stored-image.ts';
import { jsonText } from '../../../model/node/documents.ts';
import { writeFileAtomic } from '../../../platform/node/files.ts';
import { guardInputs, type Input } from '../../../platform/node/guard.ts';
import { inResults, type ResultFolder } from '../../../platform/node/results.ts';
import { type Modality, matchingNetwork, type OpenNetwork } from '../../network.ts';
import { type InverseError, inverseError, inverseField } from '../../registration/inverse.ts';
import {
  DEFAULT_OPTIONS,
  DEFAULT_OPTIONS_ALONE,
  type RegistrationOptions,
  type Similarity,
  type Start,
} from '../../registration/options.ts';
import { displacementPlanes, jacobianPlanes, mappedRows, type PhysicalMap } from '../../registration/physical-map.ts';
import { modalityOf, optionsWithoutNetwork, prepareWithoutNetwork, workingSpacingMm } from '../../registration/prepare.ts';
import { type RefineSummary, workingGrid } from '../../registration/refine.ts';
import { registerPrepared } from '../../registration/register.ts';
import { centreOf } from '../../registration/stages.ts';
import { antsAffineBytes, antsWarp } from '../../registration/transforms/ants.ts';
import { itkAffineText } from '../../registration/transforms/itk-text.ts';
import { mapOnGrid } from '../../registration/transforms/transform.ts';
import { rowWarper, sampleNearest } from '../../registration/warp.ts';
import { type ApplyCall, modelInputsOf, openBackend, withNetwork } from '../network.ts';
import { type ImageGrids, readLabelsOf, readLandmarkPairs } from './inputs.ts';
import {
  type FixedImage,
  GridCount,
  type JacobianMeasures,
  type MovingImage,
  measureGrid,
  measureStage,
  measuringJacobian,
  type StageMeasures,
} from './measure.ts';
import { readTransforms } from './read-transform.ts';

/** The files of a registration, in its folder. */
const REGISTRATION_FILES = {
  warped: 'warped.nii.gz',
  displacement: 'displacement.nii.gz',
  affine: 'affine.tfm',
  jacobian: 'jacobian.nii.gz',
  warpedLabels: 'warped_labels.nii.gz',
  inverse: 'inverse_displacement.nii.gz',
  antsAffine: 'ants_0GenericAffine.mat',
  antsWarp: 'ants_1Warp.nii.gz',
  report: 'register.json',
} as const;

export interface RegisterCall
  extends Omit<ApplyCall, 'model' | 'series' | 'window' | 'overlap'>,
    Partial<Omit<RegistrationOptions, 'tile'>> {
  /** A model folder, a run, or a model that is open; without one the images alone are registered: `start` affine and 60 steps of refinement. */
  readonly model?: ApplyCall['model'];
  readonly moving: string;
  readonly fixed: string;
  readonly movingLabels?: string;
  readonly fixedLabels?: string;
  readonly movingLandmarks?: string;
  readonly fixedLandmarks?: string;
  /** Label maps or masks on the grids of their images: only what is not 0 in them counts for `start` affine and for refinement. */
  readonly movingMask?: string;
  readonly fixedMask?: string;
  /** Transforms to start from, as `warpFiles` takes them. */
  readonly initTransform?: readonly string[];
  /** Also write the displacement that undoes the map, and say how well it does. */
  readonly inverse?: boolean;
  /** Also write the map as ANTs' pair of files. */
  readonly ants?: boolean;
  /** Side of the voxels in mm that are worked on without a model, which knows its own. */
  readonly spacingMm?: number;
  /** Side of tiles in voxels; by default both images whole if memory allows. */
  readonly tile?: number;
}

interface ImageFacts {
  readonly path: string;
  readonly size: Xyz;
  readonly spacingMm: Xyz;
  readonly orientation: string;
  readonly modality: Modality;
  /** The box that the network saw, on its own grid. */
  readonly seen: Geometry;
  readonly warnings: readonly string[];
}

/** What register.json says. Equal inputs give equal files. */
export interface RegistrationReport {
  /** Null without one. */
  readonly model: { readonly folder: string; readonly step: number } | null;
  readonly moving: ImageFacts;
  readonly fixed: ImageFacts;
  readonly preprocessing: {
    readonly modality: string;
    readonly spacingMm: Xyz;
    readonly intensity: string;
    readonly crop: string;
  };
  readonly network: {
    /** Voxels (x, y, z) that it saw at once, and how often. */
    readonly inputSize: Xyz;
    readonly tiles: number;
    /** Why not both images whole; empty if they were. */
    readonly reason: string;
  } | null;
  readonly start: Start;
  /**
   * What `start` affine made alike, before (null: too little of the images lay on one another) and after; null where it was not asked for, or found
   * no place for enough of them.
   */
  readonly aligned: { readonly similarity: Similarity; readonly before: number | null; readonly after: number } | null;
  /** Steps of the refinement and its loss before and after; null where it was not asked for. */
  readonly refined: RefineSummary | null;
  /** In the order in which the map grows; the result is the last that was kept. */
  readonly stages: readonly StageMeasures[];
  readonly jacobian: JacobianMeasures;
  /** How far the deformable part moves points beyond the affine, within the foreground. */
  readonly deformationMm: { readonly mean: number; readonly max: number };
  /** Fixed to moving, mm, LPS, row by row, and its offset: what affine.tfm holds. */
  readonly affine: Affine;
  /** How far points of the moving image are from themselves after the inverse and the map; null without one. */
  readonly inverseError: InverseError | null;
  /** Landmarks that only one file names. */
  readonly unpairedLandmarks?: readonly string[];
  readonly warnings: readonly string[];
  /** Names of the files written, by content. */
  readonly files: Readonly<Record<string, string>>;
}

/** The files that the call reads, and the model's. */
async function inputsOf(call: RegisterCall): Promise<Input[]> {
  const given = {
    'the moving image': call.moving,
    'the fixed image': call.fixed,
    'the label map of the moving image': call.movingLabels,
    'the label map of the fixed image': call.fixedLabels,
    'the landmarks of the moving image': call.movingLandmarks,
    'the landmarks of the fixed image': call.fixedLandmarks,
    'the mask of the moving image': call.movingMask,
    'the mask of the fixed image': call.fixedMask,
  };
  const named = Object.entries(given).flatMap(([what, path]) => (path === undefined ? [] : [{ what, path }]));
  const transforms = (call.initTransform ?? []).map((path) => ({ what: 'an initial transform', path }));
  const { model } = call;
  return [...named, ...transforms, ...(model === undefined ? [] : await modelInputsOf({ model }))];
}

function checkPairs(call: RegisterCall): void {
  if (call.fixedLabels !== undefined && call.movingLabels === undefined)
    throw new UsageError('`fixedLabels` needs `movingLabels`: overlap is measured between both');
  if ((call.fixedLandmarks === undefined) !== (call.movingLandmarks === undefined))
    throw new UsageError('`movingLandmarks` and `fixedLandmarks` go together: the error is measured between both');
  if (call.model !== undefined && call.spacingMm !== undefined)
    throw new UsageError('`spacingMm`: a model has its own voxel size; omit it, or `model`');
  if (call.model === undefined && call.tile !== undefined) throw new UsageError('`tile` is for a model: omit it');
}

function deformationOf({ residual }: PhysicalMap): { mean: number; max: number } {
  if (!residual) return { mean: 0, max: 0 };
  const { data } = residual;
  let [sum, max] = [0, 0];
  for (let i = 0; i < data.length; i += 3) {
    const length = Math.hypot(data[i], data[i + 1], data[i + 2]);
    sum += length;
    max = Math.max(max, length);
  }
  return { mean: sum / (data.length / 3), max };
}

const factsOf = ({ path, grid, problems, cropped, modality }: ReadImage): ImageFacts => ({
  path,
  size: grid.size,
  spacingMm: grid.spacingMm,
  orientation: orientationCode(grid.direction),
  modality,
  seen: cropped.geometry,
  warnings: problems,
});

/** What a registration needs of each of its images: where the file's voxels lie, and what is compared of them. */
interface ReadImage extends FixedImage, ImageGrids {
  readonly modality: Modality;
  readonly problems: readonly string[];
}

/** Reads and prepares an image. */
type Reader = (path: string) => Promise<{ image: NetworkImage; modality: Modality }>;

/** As the network's cohort was prepared; without a network as `prepare.ts` has it. @param spacingMm undefined: as the first image asks for */
function readerOf(open: OpenNetwork | null, { modality, channel, spacingMm }: RegisterCall): Reader {
  if (open) {
    const { preprocessing: options, modalityIsCertain: certain } = open.network;
    return async (path) => ({ image: await readForNetwork(path, options, certain, channel), modality: options.modality });
  }
  let side = spacingMm;
  return async (path) => {
    const loaded = { ...(await readImage(path, channel === undefined ? {} : { channel })), path };
    side ??= workingSpacingMm(loaded.volume.geometry);
    const options = optionsWithoutNetwork(modality ?? modalityOf(loaded), side);
    return { image: prepareWithoutNetwork(loaded, options), modality: options.modality };
  };
}

async function readMoving(path: string, read: Reader): Promise<ReadImage & MovingImage & { readonly background: number }> {
  const { image, modality } = await read(path);
  const { volume, background, prepared, cropped } = image;
  return {
    path,
    grid: volume.geometry,
    ras: prepared.image,
    modality,
    problems: prepared.problems,
    prepared: prepared.whole,
    cropped,
    volume,
    background,
  };
}

/** Of the fixed image the file's own voxels are not needed any more, nor what was prepared beside what the network sees. */
async function readFixed(path: string, reader: Reader): Promise<ReadImage> {
  const { grid, ras, modality, problems, cropped } = await readMoving(path, reader);
  return { path, grid, ras, modality, problems, cropped };
}

/**
 * Writes everything that lies on the fixed image's grid, plane by plane: each file is compressed in threads of its own while the next planes are
 * made, and the map is gone through once for all of them.
 * @param count is shown what the map shows on the grid
 */
function writeFields(
  map: PhysicalMap,
  grid: Geometry,
  seen: Geometry,
  { volume, background }: MovingImage & { readonly background: number },
  labels: Volume | null,
  count: GridCount,
  place: (name: string) => string,
): Promise<JacobianMeasures> {
  const files = REGISTRATION_FILES;
  const [nx, ny, nz] = grid.size;
  const mapped = mappedRows(map, grid, physicalToVoxel(volume.geometry));
  const warp = rowWarper(volume, map, grid, background);
  const displacement = displacementPlanes(map, grid);
  const determinants = jacobianPlanes(grid, displacement);
  const warped = emptyLike(volume.data, nx * ny);
  const warpedLabels = labels && emptyLike(labels.data, nx * ny);
  const images = [
    { path: place(files.warped), geometry: grid, type: voxelTypeOf(volume.data) },
    { path: place(files.displacement), geometry: grid, type: 'float32', components: 3 },
    { path: place(files.jacobian), geometry: grid, type: 'float32' },
    ...(labels ? [{ path: place(files.warpedLabels), geometry: grid, type: voxelTypeOf(labels.data) }] : []),
  ] as const;
  return measuringJacobian(place(files.jacobian), grid, seen, (measure) =>
    writingTogether(images, async ([addWarped, addDisplacement, addJacobian, addLabels]) => {
      for (let k = 0; k < nz; k++) {
        for (let j = 0, at = 0; j < ny; j++, at += nx) {
          const row = mapped(j, k);
          warp(row, warped, at);
          count.addRow(row);
          if (labels && warpedLabels) sampleNearest(labels, row, warpedLabels, at);
        }
        await addWarped(warped);
        if (warpedLabels) {
          count.addLabels(warpedLabels, k);
          await addLabels(warpedLabels);
        }
        const plane = determinants(k);
        await measure(plane);
        await addJacobian(plane);
        await addDisplacement(displacement(k));
      }
    }),
  );
}

/**
 * Registers two images and writes the result into the folder `out`; register.json comes last.
 * @throws UsageError for options that cannot be meant, RunError for inputs that cannot be used, each with what to do
 */
export async function registerImages(call: RegisterCall): Promise<RegistrationReport> {
  checkPairs(call);
  const { model } = call;
  if (model === undefined) {
    const backend = await openBackend(call);
    return guardInputs(await inputsOf(call), () => registerWith(null, backend, toProgress(call.progress), call));
  }
  return withNetwork({ ...call, model }, async (open, progress) => {
    matchingNetwork(open.only('`register`'));
    return guardInputs(await inputsOf(call), () => registerWith(open, open.backend, progress, call));
  });
}

async function registerWith(
  open: OpenNetwork | null,
  backend: Backend,
  progress: Progress,
  call: RegisterCall,
): Promise<RegistrationReport> {
  const names = { names: Object.values(REGISTRATION_FILES), overwrite: call.overwrite ?? false, by: 'gvsl register' };
  return inResults(call.out, names, (results) => registerInto(results, open, backend, progress, call));
}

/** What the call asks for; without a network there is nothing but the images. */
function optionsOf(call: RegisterCall): RegistrationOptions {
  const usual = call.model === undefined ? DEFAULT_OPTIONS_ALONE : DEFAULT_OPTIONS;
  const { start, similarity, refine, refineLoss, keepAll, tile } = call;
  return {
    start: start ?? usual.start,
    similarity: similarity ?? usual.similarity,
    refine: refine ?? usual.refine,
    refineLoss: refineLoss ?? usual.refineLoss,
    keepAll: keepAll ?? usual.keepAll,
    tile,
  };
}

async function registerInto(
  results: ResultFolder,
  open: OpenNetwork | null,
  backend: Backend,
  progress: Progress,
  call: RegisterCall,
): Promise<RegistrationReport> {
  const { out, signal } = call;
  const options = optionsOf(call);
  const read = readerOf(open, call);
  const fixed = await readFixed(call.fixed, read);
  const moving = await readMoving(call.moving, read);
  const labelsOf = async (path: string | undefined, image: ImageGrids) =>
    path === undefined ? null : await readLabelsOf(path, image);
  const readLabels = async () => {
    const movingLabels = await labelsOf(call.movingLabels, moving);
    const fixedLabels = await labelsOf(call.fixedLabels, fixed);
    return { movingLabels, fixedLabels, warnings: [...(movingLabels?.warnings ?? []), ...(fixedLabels?.warnings ?? [])] };
  };
  // refused before anything is computed, but not kept while the network computes, which takes most memory: they are read again then
  const warnings = await readLabels().then((labels) => labels.warnings);
  const [fixedMask, movingMask] = [await labelsOf(call.fixedMask, fixed), await labelsOf(call.movingMask, moving)];
  const masks = { fixed: fixedMask?.volume, moving: movingMask?.volume };
  const ofTransforms = new Set<string>();
  const init = call.initTransform && mapOnGrid(await readTransforms(call.initTransform, ofTransforms), fixed.cropped.geometry);
  warnings.push(...ofTransforms);
  const landmarks =
    call.fixedLandmarks !== undefined && call.movingLandmarks !== undefined
      ? await readLandmarkPairs(call.fixedLandmarks, call.movingLandmarks)
      : { pairs: [], unpaired: [] };

  let counted = false;
  const matched = await registerPrepared(open, backend, {
    ...options,
    moving,
    fixed,
    masks,
    init,
    signal,
    onPlan: ({ reason, tiles, size, neededBytes }) => {
      if (reason) progress.say(`${reason}: matched in ${tiles.length} tiles of ${size.join(' x ')} voxels`);
      progress.say(`computing  ${backend.description}, ${formatBytes(neededBytes)}`);
      counted = tiles.length > 1;
      if (counted) progress.start(tiles.length, 'tiles');
    },
    onTile: () => {
      if (counted) progress.advance();
    },
  }).finally(() => progress.stop());
  const { plan, stages, map, aligned, refined } = matched;
  warnings.push(...matched.warnings);
  const fixedGrid = fixed.cropped.geometry;
  const { movingLabels, fixedLabels } = await readLabels();
  const labels = movingLabels &&
    fixedLabels && {
      moving: movingLabels.volume,
      fixed: fixedLabels.volume,
      codes: [...new Set([...movingLabels.codes, ...fixedLabels.codes])],
    };
  const truth = { labels, landmarks: landmarks.pairs };

  const { grid } = fixed;
  const files = REGISTRATION_FILES;
  const place = (name: string): string => join(out, name);
  // from here on the folder holds no finished registration until the report is there
  await rm(place(files.report), { force: true });
  const names = filesOf(call, movingLabels !== null);
  for (const name of Object.values(files)) if (!Object.values(names).includes(name)) await rm(place(name), { force: true });
  const whole = new GridCount(moving, fixed, truth);
  const jacobian = await writeFields(map, grid, fixedGrid, moving, movingLabels?.volume ?? null, whole, place);
  const ofResult = whole.result();
  const measured = stages.map((stage) =>
    measureStage(stage, truth, stage.map === map ? ofResult : measureGrid(stage.map, moving, fixed, truth)),
  );
  const fixedCentreMm = applyAffine(voxelToPhysical(fixedGrid), centreOf(fixedGrid));
  await writeFileAtomic(place(files.affine), itkAffineText(map.affine, fixedCentreMm));
  const inverse = call.inverse ? inverseField(map, workingGrid(moving.grid)) : null;
  if (inverse) await writeVectorImage(place(files.inverse), inverse.geometry, inverse.data);
  if (call.ants) {
    await writeFileAtomic(place(files.antsAffine), antsAffineBytes(map.affine, fixedCentreMm));
    const warp = antsWarp(map, grid);
    await writeVectorImage(place(files.antsWarp), warp.geometry, warp.data);
  }

  const { modality, spacingMm, intensity, crop } =
    open?.network.preprocessing ?? optionsWithoutNetwork(fixed.modality, fixedGrid.spacingMm[0]);
  const report: RegistrationReport = {
    model: open && { folder: open.network.folder, step: open.network.configuration.step },
    moving: factsOf(moving),
    fixed: factsOf(fixed),
    preprocessing: { modality, spacingMm, intensity, crop },
    network: plan && { inputSize: plan.size, tiles: plan.tiles.length, reason: plan.reason },
    start: options.start,
    aligned: aligned?.overlaps
      ? {
          similarity: options.similarity,
          before: Number.isFinite(aligned.similarity.before) ? aligned.similarity.before : null,
          after: aligned.similarity.after,
        }
      : null,
    refined,
    stages: measured,
    jacobian,
    deformationMm: deformationOf(map),
    affine: map.affine,
    inverseError: inverse && inverseError(map, inverse, grid),
    ...(landmarks.pairs.length > 0 ? { unpairedLandmarks: landmarks.unpaired } : {}),
    warnings,
    files: names,
  };
  await writeFileAtomic(place(files.report), jsonText(report));
  await results.finish([...Object.values(report.files), files.report]);
  return report;
}

/** The files that a call writes beside its report, by content. */
function filesOf({ inverse, ants }: RegisterCall, hasLabels: boolean): Record<string, string> {
  const { report: _report, warpedLabels, inverse: inverseName, antsAffine, antsWarp: warpName, ...always } = REGISTRATION_FILES;
  return {
    ...always,
    ...(hasLabels ? { warpedLabels } : {}),
    ...(inverse ? { inverse: inverseName } : {}),
    ...(ants ? { antsAffine, antsWarp: warpName } : {}),
  };
}
