/** Everything that computes, in a worker of its own: the page stays alive, and kernels may wait for threads. Called through Comlink. */
import * as Comlink from 'comlink';
import { volumeFeatures } from '../apply/embedding/volume-features.ts';
import { type MatchingNetwork, matchVolumes, planMatch } from '../apply/registration/match.ts';
import type { PhysicalMap } from '../apply/registration/physical-map.ts';
import { type StageName, stagesOf } from '../apply/registration/stages.ts';
import { warpImage } from '../apply/registration/warp.ts';
import { probabilityPlanes, segmentationWindows, segmentVolume } from '../apply/segmentation/segment-volume.ts';
import { windowCount } from '../apply/segmentation/sliding-window.ts';
import { type NetworkImage, networkImage } from '../cohort/network-image.ts';
import { WorkError } from '../common/errors.ts';
import { formatBytes } from '../common/format-bytes.ts';
import type { Backend, Session } from '../engine/backend.ts';
import type { Program } from '../engine/graph.ts';
import { countVoxels } from '../geometry/statistics.ts';
import { type Geometry, toZyx, type Volume, voxelCount, type Zyx } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { ncc } from '../metrics/registration/ncc.ts';
import { hasDecoder } from '../model/architecture.ts';
import { trainedPatch } from '../model/configuration.ts';
import { STATES } from '../model/optimizer.ts';
import { featuresProgram, predictionProgram } from '../model/task-programs.ts';
import { type BackendName, type Devices, describeDevices, openBackend } from '../platform/browser/backends.ts';
import { type DemoTraining, trainDemo } from './demo-training.ts';
import { type ModelFiles, type OpenModel, openModelFiles } from './model-files.ts';
import { readNiftiFile, writeNiftiFile } from './nifti-files.ts';
import { stoppable } from './stoppable.ts';

/** Of the model, for people. */
export interface ModelSummary {
  readonly description: string;
  readonly canSegment: boolean;
  readonly hasFeatures: boolean;
  readonly canMatch: boolean;
}

export interface ImageSummary {
  readonly description: string;
  /** What is odd about it, a sentence each. */
  readonly remarks: readonly string[];
}

/** A finished result: a .nii file on the image's own grid (features: on the prepared one). */
export interface ImageResult {
  readonly nifti: Uint8Array<ArrayBuffer>;
  readonly seconds: number;
  readonly backend: string;
}

export interface Segmented extends ImageResult {
  readonly structures: readonly { readonly code: number; readonly name: string; readonly volumeMl: number }[];
  /** For each class, if they were asked for: on the image's own grid. */
  readonly probabilities: readonly Float32Array[] | null;
}

export interface Features extends ImageResult {
  /** (channels, D, H, W) on the prepared grid, if they were asked for. */
  readonly local: Float32Array | null;
}

export interface Registered extends ImageResult {
  /** Local correlation with the first image on the network's grid: centre on centre, after the affine, after the deformation. */
  readonly ncc: readonly { readonly stage: StageName; readonly value: number }[];
  readonly remarks: readonly string[];
}

/** Called before the work (done 0), and after each of its windows or tiles. */
export type OnProgress = (done: number, of: number, memoryBytes: number) => void;

const OVERLAP = 0.5;
/** A browser does not say how much there is: a matching of more is done in tiles, features of more are refused. */
const MOST_BYTES = 2 * 2 ** 30;
/** Sides of the window if the model does not say what it was trained with. */
const DEFAULT_SIDE = 64;

class Compute {
  private model: OpenModel | undefined;
  private image: LoadedImage | undefined;
  /** Another patient's, to be laid onto `image`. */
  private moving: LoadedImage | undefined;
  private aborter = new AbortController();

  devices(): Promise<Devices> {
    return describeDevices();
  }

  openModel(files: ModelFiles): ModelSummary {
    this.model = undefined;
    const model = openModelFiles(files);
    this.model = model;
    const { task, step, architecture } = model.configuration;
    const { modality, spacingMm } = model.preprocessing;
    const canSegment = task?.kind === 'segmentation';
    const [canMatch, hasFeatures] = [model.architecture.heads.matching, hasDecoder(model.architecture.heads)];
    const does = [
      ...(canSegment ? [`segments ${task.labels.length - 1} structures`] : []),
      ...(canMatch ? ['registers'] : []),
      ...(hasFeatures ? ['shows features'] : []),
    ];
    return {
      description: [
        `${task ? `trained for ${task.kind}` : 'pre-trained'}, width ${architecture.width}, ${step} steps`,
        `${modality.toUpperCase()} at ${spacingMm.join(' x ')} mm`,
        does.join(', ') || 'it does nothing that this page shows: use gvsl classify',
      ].join('; '),
      canSegment,
      hasFeatures,
      canMatch,
    };
  }

  async openImage(which: 'image' | 'moving', name: string, bytes: ArrayBuffer): Promise<ImageSummary> {
    this[which] = undefined;
    const image = await readNiftiFile(name, bytes);
    this[which] = image;
    const { size, spacingMm } = image.volume.geometry;
    const mm = spacingMm.map((side) => +side.toFixed(3)).join(' x ');
    return { description: `${size.join(' x ')} voxels of ${mm} mm, ${image.storedType}`, remarks: image.notes };
  }

  private both(): { model: OpenModel; image: NetworkImage } {
    if (!this.model) throw new WorkError('no model yet: choose a model folder');
    if (!this.image) throw new WorkError('no image yet: choose a NIfTI file');
    return { model: this.model, image: networkImage(this.image, this.model.preprocessing, false) };
  }

  /** The backend for one piece of work, which `stop` ends. */
  private async backend(name: BackendName): Promise<Backend> {
    this.aborter = new AbortController();
    return stoppable(await openBackend(name), this.aborter.signal);
  }

  /** Opens the model's program, runs it on windows of the image, and closes it whatever happens. */
  private async onWindows<Result>(
    name: BackendName,
    { parameters }: OpenModel,
    program: Program,
    windows: number,
    onProgress: OnProgress,
    run: (session: Session, onWindow: () => void) => Promise<Result>,
  ): Promise<Result & { seconds: number; backend: string }> {
    const backend = await this.backend(name);
    const start = performance.now();
    const memoryBytes = backend.memoryBytes(program);
    onProgress(0, windows, memoryBytes);
    const session = await backend.open(program);
    try {
      await session.writeState(STATES.parameters, parameters);
      let done = 0;
      const result = await run(session, () => onProgress(++done, windows, memoryBytes));
      return { ...result, seconds: (performance.now() - start) / 1000, backend: backend.description };
    } finally {
      await session.close();
    }
  }

  async segment(name: BackendName, wantProbabilities: boolean, onProgress: OnProgress): Promise<Segmented> {
    const { model, image } = this.both();
    const { task } = model.configuration;
    if (task?.kind !== 'segmentation') throw new WorkError('this model does not segment: train it with gvsl train segmentation');
    const window: Zyx = task.patch;
    const { program } = predictionProgram(model.architecture, window);
    const { cropped } = image;
    const grid = image.volume.geometry;
    const windows = windowCount(segmentationWindows({ cropped, grid }, window, OVERLAP));
    const seen: Float32Array[] = [];
    const result = await this.onWindows(name, model, program, windows, onProgress, (session, onWindow) =>
      segmentVolume({
        session,
        image: { cropped, grid },
        codes: task.labels.map(({ code }) => code),
        window,
        overlap: OVERLAP,
        onPlane: (plane) => void (wantProbabilities && seen.push(plane)),
        onWindow,
      }),
    );
    const { geometry, data } = result.labels;
    const [x, y, z] = geometry.spacingMm;
    const voxels = countVoxels(data);
    return {
      nifti: writeNiftiFile(geometry, data),
      structures: task.labels.slice(1).map(({ code, name: label }) => ({
        code,
        name: label,
        volumeMl: ((voxels.get(code) ?? 0) * x * y * z) / 1000,
      })),
      probabilities: wantProbabilities ? task.labels.map((_, c) => probabilitiesOf(c, seen, image)) : null,
      seconds: result.seconds,
      backend: result.backend,
    };
  }

  /** The first three principal components of the local features as colours. */
  async features(name: BackendName, wantLocal: boolean, onProgress: OnProgress): Promise<Features> {
    const { model, image } = this.both();
    if (!hasDecoder(model.architecture.heads)) throw new WorkError('a classifier has no decoder, so no local features');
    const window: Zyx = trainedPatch(model.configuration) ?? [DEFAULT_SIDE, DEFAULT_SIDE, DEFAULT_SIDE];
    const { cropped } = image;
    const bytes = 4 * voxelCount(cropped.geometry.size) * (model.architecture.widths[8]! + 4);
    if (bytes > MOST_BYTES)
      throw new WorkError(
        `its local features need ${formatBytes(bytes)}, and a page may take ${formatBytes(MOST_BYTES)}: crop the image`,
      );
    const { program } = featuresProgram(model.architecture, window);
    const windows = countWindows(cropped.geometry, window);
    const { colours, local, seconds, backend } = await this.onWindows(
      name,
      model,
      program,
      windows,
      onProgress,
      (session, onWindow) =>
        volumeFeatures({
          session,
          architecture: model.architecture,
          cropped,
          window,
          overlap: OVERLAP,
          onWindow,
        }),
    );
    const rgb = new Uint8Array(3 * voxelCount(cropped.geometry.size));
    // air has features too, but no anatomy
    cropped.data.forEach((value, voxel) => {
      if (value <= 0) return;
      for (let k = 0; k < 3; k++) rgb[3 * voxel + k] = Math.round(255 * colours[k]![voxel]!);
    });
    return { nifti: writeNiftiFile(cropped.geometry, rgb, 'rgb'), local: wantLocal ? local : null, seconds, backend };
  }

  /** Lays the second image onto the first, centre on centre, affine, then deformable; the result is it on the first one's own grid. */
  async register(name: BackendName, onProgress: OnProgress): Promise<Registered> {
    const { model, image: fixed } = this.both();
    if (!this.moving) throw new WorkError('no second image yet: choose the NIfTI file to be laid onto the first');
    if (!model.architecture.heads.matching)
      throw new WorkError('this network has no matching head, so it cannot lay one image onto another');
    const moving = networkImage(this.moving, model.preprocessing, false);
    const network: MatchingNetwork = {
      architecture: model.architecture,
      parameters: model.parameters,
      trainedPatch: trainedPatch(model.configuration),
    };
    const backend = await this.backend(name);
    const start = performance.now();
    const [fixedGrid, movingGrid] = [fixed.cropped.geometry, moving.cropped.geometry];
    const plan = planMatch(network, backend, fixedGrid.size, movingGrid.size, {
      bytes: MOST_BYTES,
      limit: 'what a page may take',
    });
    const report = (done: number): void => onProgress(done, plan.tiles.length, plan.neededBytes);
    report(0);
    let done = 0;
    const match = await matchVolumes(network, backend, plan, moving.cropped, fixed.cropped, () => report(++done));
    const stages = stagesOf(match, fixedGrid, movingGrid, model.architecture.heads.affine, 'centres');
    const warpedBy = (map: PhysicalMap): Volume => warpImage(moving.volume, map, fixed.volume.geometry, moving.background);
    const warped = warpedBy(stages.at(-1)![1]);
    const seen = (map: PhysicalMap): number =>
      ncc(warpImage(moving.prepared.whole, map, fixedGrid, 0).data, fixed.cropped.data, toZyx(fixedGrid.size));
    return {
      nifti: writeNiftiFile(warped.geometry, warped.data),
      ncc: stages.slice(1).map(([stage, map]) => ({ stage, value: seen(map) })),
      remarks: plan.reason === '' ? [] : [plan.reason],
      seconds: (performance.now() - start) / 1000,
      backend: backend.description,
    };
  }

  /** The demo's pre-training. */
  async train(
    name: BackendName,
    request: Pick<DemoTraining, 'subjects' | 'steps' | 'width' | 'seed'>,
    onStart: DemoTraining['onStart'],
    onSubject: DemoTraining['onSubject'],
    onStep: DemoTraining['onStep'],
  ): Promise<void> {
    this.aborter = new AbortController();
    const { signal } = this.aborter;
    await trainDemo({ ...request, backend: await openBackend(name), onStart, onSubject, onStep, signal });
  }

  /** Ends the work after the window, tile or graph that is under way: its call then fails with an AbortError. */
  stop(): void {
    this.aborter.abort();
  }
}

/** One class's probabilities on the image's own grid, from those of all classes on what the network saw, plane by plane. */
function probabilitiesOf(c: number, planes: readonly Float32Array[], { cropped, volume }: NetworkImage): Float32Array {
  const { size } = cropped.geometry;
  const inPlane = size[0] * size[1];
  const data = new Float32Array(voxelCount(size));
  for (const [z, plane] of planes.entries()) data.set(plane.subarray(c * inPlane, (c + 1) * inPlane), z * inPlane);
  const own = volume.geometry;
  const read = probabilityPlanes({ geometry: cropped.geometry, data }, own, c === 0 ? 1 : 0);
  const out = new Float32Array(voxelCount(own.size));
  for (let z = 0; z < own.size[2]; z++) out.set(read(z), z * own.size[0] * own.size[1]);
  return out;
}

const countWindows = ({ size }: Geometry, window: Zyx): number => windowCount({ size: toZyx(size), window, overlap: OVERLAP });

export type ComputeApi = Compute;

Comlink.expose(new Compute());
