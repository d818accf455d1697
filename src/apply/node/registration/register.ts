/**
 * Registration with a trained network: lays a moving image onto a fixed one, each in its own physical space, and writes and measures the
 * result (docs/file-formats.md says what is in the folder).
 *
 * The images need not share a frame: matching starts with the grids of both, brought to RAS, axis on axis and the centres of their
 * foreground boxes on one another, since that is how training laid them. What the files say of the patient's place is then only reported,
 * as the stage 'asStored'; for scans of one frame (a follow-up, another sequence) matching can start from there instead.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readForNetwork } from '../../../cohort/node/read-for-network.ts';
import type { PrepareOptions } from '../../../cohort/prepare-options.ts';
import { UsageError } from '../../../common/errors.ts';
import { formatBytes } from '../../../common/format-bytes.ts';
import type { Progress } from '../../../common/progress.ts';
import { type Affine, applyAffine, physicalToVoxel, voxelToPhysical } from '../../../geometry/affine.ts';
import { emptyLike } from '../../../geometry/empty-like.ts';
import { orientationCode } from '../../../geometry/orientation.ts';
import type { Geometry, Volume, Xyz } from '../../../geometry/volume.ts';
import { writingTogether } from '../../../images/node/write.ts';
import { voxelTypeOf } from '../../../images/stored-image.ts';
import { jsonText } from '../../../model/node/model-folder.ts';
import { writeFileAtomic } from '../../../platform/node/files.ts';
import { guardInputs, type Input } from '../../../platform/node/guard.ts';
import { inResults, type ResultFolder } from '../../../platform/node/results.ts';
import { matchingNetwork, type OpenNetwork } from '../../network.ts';
import { displacementPlanes, jacobianPlanes, mappedRows, type PhysicalMap } from '../../registration/physical-map.ts';
import { registerPrepared, type Start } from '../../registration/register.ts';
import { centreOf } from '../../registration/stages.ts';
import { rowWarper, sampleNearest } from '../../registration/warp.ts';
import { type ApplyCall, modelInputsOf, withNetwork } from '../network.ts';
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
import { itkAffineText } from './transform-file.ts';

/** The files of a registration, in its folder. */
const REGISTRATION_FILES = {
  warped: 'warped.nii.gz',
  displacement: 'displacement.nii.gz',
  affine: 'affine.tfm',
  jacobian: 'jacobian.nii.gz',
  warpedLabels: 'warped_labels.nii.gz',
  report: 'register.json',
} as const;

export interface RegisterCall extends Omit<ApplyCall, 'series' | 'window' | 'overlap'> {
  readonly moving: string;
  readonly fixed: string;
  readonly movingLabels?: string;
  readonly fixedLabels?: string;
  readonly movingLandmarks?: string;
  readonly fixedLandmarks?: string;
  /** Where matching starts: the centres on one another (default), or where the files say that the images lie. */
  readonly start?: Start;
  /** Side of tiles in voxels; by default both images whole if memory allows. */
  readonly tile?: number;
}

interface ImageFacts {
  readonly path: string;
  readonly size: Xyz;
  readonly spacingMm: Xyz;
  readonly orientation: string;
  /** The box that the network saw, on its own grid. */
  readonly seen: Geometry;
  readonly warnings: readonly string[];
}

/** What register.json says. Equal inputs give equal files. */
export interface RegistrationReport {
  readonly model: { readonly folder: string; readonly step: number };
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
  };
  readonly start: 'centres' | 'stored';
  /** In the order in which the map grows; `affine` is absent without an affine head, `centred` if matching started as stored. */
  readonly stages: readonly StageMeasures[];
  readonly jacobian: JacobianMeasures;
  /** How far the deformable part moves points beyond the affine, within the foreground. */
  readonly deformationMm: { readonly mean: number; readonly max: number };
  /** Fixed to moving, mm, LPS, row by row, and its offset: what affine.tfm holds. */
  readonly affine: Affine;
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
  };
  const named = Object.entries(given).flatMap(([what, path]) => (path === undefined ? [] : [{ what, path }]));
  return [...named, ...(await modelInputsOf(call))];
}

function checkPairs(call: RegisterCall): void {
  if (call.fixedLabels !== undefined && call.movingLabels === undefined)
    throw new UsageError('`fixedLabels` needs `movingLabels`: overlap is measured between both');
  if ((call.fixedLandmarks === undefined) !== (call.movingLandmarks === undefined))
    throw new UsageError('`movingLandmarks` and `fixedLandmarks` go together: the error is measured between both');
}

function deformationOf({ residual }: PhysicalMap): { mean: number; max: number } {
  const data = residual!.data;
  let [sum, max] = [0, 0];
  for (let i = 0; i < data.length; i += 3) {
    const length = Math.hypot(data[i], data[i + 1], data[i + 2]);
    sum += length;
    max = Math.max(max, length);
  }
  return { mean: sum / (data.length / 3), max };
}

const factsOf = ({ path, grid, problems, cropped }: ReadImage): ImageFacts => ({
  path,
  size: grid.size,
  spacingMm: grid.spacingMm,
  orientation: orientationCode(grid.direction),
  seen: cropped.geometry,
  warnings: problems,
});

/** What a registration needs of each of its images: where the file's voxels lie, and what the network sees of them. */
interface ReadImage extends FixedImage, ImageGrids {
  readonly problems: readonly string[];
}

async function readMoving(
  path: string,
  options: PrepareOptions,
  certain: boolean,
  channel: number | undefined,
): Promise<ReadImage & MovingImage & { readonly background: number }> {
  const { volume, background, prepared, cropped } = await readForNetwork(path, options, certain, channel);
  const { geometry: grid } = volume;
  return { path, grid, ras: prepared.image, problems: prepared.problems, prepared: prepared.whole, cropped, volume, background };
}

/** Of the fixed image the file's own voxels are not needed any more, nor what was prepared beside what the network sees. */
async function readFixed(...image: Parameters<typeof readMoving>): Promise<ReadImage> {
  const { path, grid, ras, problems, cropped } = await readMoving(...image);
  return { path, grid, ras, problems, cropped };
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
  return withNetwork(call, async (open, progress) => {
    matchingNetwork(open.network);
    return guardInputs(await inputsOf(call), () => registerWith(open, progress, call));
  });
}

async function registerWith(open: OpenNetwork, progress: Progress, call: RegisterCall): Promise<RegistrationReport> {
  const names = { names: Object.values(REGISTRATION_FILES), overwrite: call.overwrite ?? false, by: 'gvsl register' };
  return inResults(call.out, names, (results) => registerInto(results, open, progress, call));
}

async function registerInto(
  results: ResultFolder,
  open: OpenNetwork,
  progress: Progress,
  call: RegisterCall,
): Promise<RegistrationReport> {
  const { out, signal } = call;
  const { folder, configuration, preprocessing: options, modalityIsCertain: certain } = open.network;
  const fixed = await readFixed(call.fixed, options, certain, call.channel);
  const moving = await readMoving(call.moving, options, certain, call.channel);
  const readLabels = async () => {
    const movingLabels = call.movingLabels === undefined ? null : await readLabelsOf(call.movingLabels, moving);
    const fixedLabels = call.fixedLabels === undefined ? null : await readLabelsOf(call.fixedLabels, fixed);
    return { movingLabels, fixedLabels, warnings: [...(movingLabels?.warnings ?? []), ...(fixedLabels?.warnings ?? [])] };
  };
  // refused before anything is computed, but not kept while the network computes, which takes most memory: they are read again then
  const warnings = await readLabels().then((read) => read.warnings);
  const landmarks =
    call.fixedLandmarks !== undefined && call.movingLandmarks !== undefined
      ? await readLandmarkPairs(call.fixedLandmarks, call.movingLandmarks)
      : { pairs: [], unpaired: [] };

  const start = call.start ?? 'centres';
  const matched = await registerPrepared(open, {
    moving,
    fixed,
    start,
    tile: call.tile,
    signal,
    onPlan: ({ reason, tiles, size, neededBytes }) => {
      if (reason) progress.say(`${reason}: matched in ${tiles.length} tiles of ${size.join(' x ')} voxels`);
      progress.say(`computing  ${open.backend.description}, ${formatBytes(neededBytes)}`);
      if (tiles.length > 1) progress.start(tiles.length, 'tiles');
    },
    onTile: () => progress.advance(),
  }).finally(() => progress.stop());
  const { plan, stages } = matched;
  warnings.push(...matched.warnings);
  const fixedGrid = fixed.cropped.geometry;
  const map = stages.at(-1)![1];
  const { movingLabels, fixedLabels } = await readLabels();
  const labels = movingLabels &&
    fixedLabels && {
      moving: movingLabels.volume,
      fixed: fixedLabels.volume,
      codes: [...new Set([...movingLabels.codes, ...fixedLabels.codes])],
    };
  const truth = { labels, landmarks: landmarks.pairs };
  const measured = stages
    .slice(0, -1)
    .map((stage) => measureStage(stage, moving, fixed, truth, measureGrid(stage[1], moving, fixed, truth)));

  const { grid } = fixed;
  const files = REGISTRATION_FILES;
  const place = (name: string): string => join(out, name);
  // from here on the folder holds no finished registration until the report is there
  await rm(place(files.report), { force: true });
  if (!movingLabels) await rm(place(files.warpedLabels), { force: true });
  const whole = new GridCount(moving, fixed, truth);
  const jacobian = await writeFields(map, grid, fixedGrid, moving, movingLabels?.volume ?? null, whole, place);
  measured.push(measureStage(stages.at(-1)!, moving, fixed, truth, whole.result()));
  const fixedCentreMm = applyAffine(voxelToPhysical(fixedGrid), centreOf(fixedGrid));
  await writeFileAtomic(place(files.affine), itkAffineText(map.affine, fixedCentreMm));

  const { modality, spacingMm, intensity, crop } = options;
  const { report: _report, warpedLabels, ...always } = files;
  const report: RegistrationReport = {
    model: { folder, step: configuration.step },
    moving: factsOf(moving),
    fixed: factsOf(fixed),
    preprocessing: { modality, spacingMm, intensity, crop },
    network: { inputSize: plan.size, tiles: plan.tiles.length, reason: plan.reason },
    start,
    stages: measured,
    jacobian,
    deformationMm: deformationOf(map),
    affine: map.affine,
    ...(landmarks.pairs.length > 0 ? { unpairedLandmarks: landmarks.unpaired } : {}),
    warnings,
    files: movingLabels ? { ...always, warpedLabels } : always,
  };
  await writeFileAtomic(place(files.report), jsonText(report));
  await results.finish([...Object.values(report.files), files.report]);
  return report;
}
