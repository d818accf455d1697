/** Everything that computes, in a worker of its own: the page stays alive, and kernels may wait for threads. Called through Comlink. */
import * as Comlink from 'comlink';
import type { WorkOptions } from '../apply/call-options.ts';
import { FOREGROUND } from '../apply/embedding/volume-features.ts';
import { Model } from '../apply/model.ts';
import { type MemoryLimits, type ModelFiles, networkOfFiles, type TrainedNetwork } from '../apply/network.ts';
import type { RegisterResult } from '../apply/registration/in-memory.ts';
import type { Correspondence, FeatureKind, Side } from '../apply/similarity/correspondence.ts';
import { networkImage } from '../cohort/network-image.ts';
import { RunError } from '../common/errors.ts';
import type { Program } from '../engine/graph.ts';
import { applyAffine, physicalToVoxel } from '../geometry/affine.ts';
import { perAxis, voxelCount, type Xyz } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { readNiftiFile, writeNiftiFile } from '../images/nifti-file.ts';
import { percentileOf } from '../metrics/segmentation.ts';
import { hasDecoder } from '../model/architecture.ts';
import { renderSubject } from '../phantom/subject.ts';
import { type BackendName, type Devices, describeDevices, openBackend } from '../platform/browser/backends.ts';
import { DEMO_SETTINGS } from '../training/demo-settings.ts';
import { type DemoTraining, trainDemo } from './demo-training.ts';

/** Of the model, for people. */
export interface ModelSummary {
  readonly description: string;
  readonly canSegment: boolean;
  readonly hasFeatures: boolean;
  readonly canMatch: boolean;
}

export interface ImageSummary {
  readonly description: string;
  /** What is unusual about it, a sentence each. */
  readonly warnings: readonly string[];
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
  readonly ncc: RegisterResult['ncc'];
  readonly warnings: readonly string[];
}

/** Two images that can be asked about. */
export interface Compared {
  readonly seconds: number;
  readonly backend: string;
  /** Whether the network predicts a field. */
  readonly hasField: boolean;
  readonly warnings: readonly string[];
  /** .nii files of zeros: the grids of similarities (float32) and of marks (uint8) of either image. */
  readonly grids: Readonly<Record<Side, { readonly heat: Uint8Array<ArrayBuffer>; readonly mark: Uint8Array<ArrayBuffer> }>>;
}

/** What the other image has of a point: positions in mm, LPS. */
export interface Similar {
  readonly asked: Xyz;
  readonly values: Float32Array;
  /** From the 90th percentile of what is not air to the best match. */
  readonly range: readonly [number, number];
  readonly size: Xyz;
  readonly best: { readonly position: Xyz; readonly voxel: Xyz; readonly similarity: number };
  readonly field: { readonly position: Xyz; readonly similarity: number | null } | null;
  readonly distanceMm: number | null;
  readonly ms: number;
}

/** Share of the tissue that a heat map leaves out: what is least like the point. */
const COLD = 0.9;
/** The example's patients: another cohort than the one that its model has learnt from. */
const EXAMPLE_SEED = 2;

/** Called before the work (done 0), and after each of its windows or tiles. */
export type OnProgress = (done: number, of: number, memoryBytes: number) => void;

/** A browser does not say how much there is: a matching of more is done in tiles, features of more are refused. */
const PAGE_MEMORY = { bytes: 2 * 2 ** 30, limit: 'memory limit of a page' };
const MEMORY: MemoryLimits = { session: () => PAGE_MEMORY, results: () => PAGE_MEMORY };

class Compute {
  private network: TrainedNetwork | undefined;
  private image: LoadedImage | undefined;
  /** Another patient's, to be registered to `image`. */
  private moving: LoadedImage | undefined;
  private compared: Correspondence | undefined;
  private aborter = new AbortController();

  devices(): Promise<Devices> {
    return describeDevices();
  }

  openModel(files: ModelFiles): ModelSummary {
    this.network = undefined;
    this.compared = undefined;
    const model = networkOfFiles(files);
    this.network = model;
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
        does.join(', ') || 'not supported by this page: use gvsl classify',
      ].join('; '),
      canSegment,
      hasFeatures,
      canMatch,
    };
  }

  async openImage(which: 'image' | 'moving', name: string, bytes: ArrayBuffer): Promise<ImageSummary> {
    this[which] = undefined;
    this.compared = undefined;
    const image = await readNiftiFile(name, bytes);
    this[which] = image;
    const { size, spacingMm } = image.volume.geometry;
    const mm = spacingMm.map((side) => +side.toFixed(3)).join(' x ');
    return { description: `${size.join(' x ')} voxels of ${mm} mm, ${image.storedType}`, warnings: image.warnings };
  }

  /** Applies the model to the images on a backend, and closes it whatever happens. */
  private async applying<Result>(
    name: BackendName,
    onProgress: OnProgress,
    work: (model: Model<LoadedImage>, image: LoadedImage, options: WorkOptions) => Promise<Result>,
  ): Promise<Result & { seconds: number; backend: string }> {
    const { network, image } = this;
    if (!network) throw new RunError('no model yet: choose a model folder');
    if (!image) throw new RunError('no image yet: choose a NIfTI file');
    this.aborter = new AbortController();
    const backend = await openBackend(name);
    const start = performance.now();
    // what a program needs is asked before it is opened
    let memoryBytes = 0;
    const asked = {
      ...backend,
      memoryBytes: (of: Program) => (memoryBytes = backend.memoryBytes(of)),
    };
    const model = new Model<LoadedImage>(network, asked, MEMORY, async (chosen, { preprocessing }) =>
      networkImage(chosen, preprocessing, false),
    );
    try {
      const result = await work(model, image, {
        progress: ({ done, total }) => onProgress(done, total, memoryBytes),
        signal: this.aborter.signal,
      });
      return { ...result, seconds: (performance.now() - start) / 1000, backend: backend.description };
    } finally {
      await model.close();
    }
  }

  async segment(name: BackendName, wantProbabilities: boolean, onProgress: OnProgress): Promise<Segmented> {
    return this.applying(name, onProgress, async (model, image, options) => {
      const { labels, structures, probabilities } = await model.segment(image, { ...options, probabilities: wantProbabilities });
      return {
        nifti: writeNiftiFile(labels.geometry, labels.data),
        structures,
        probabilities: probabilities?.map(({ data }) => data) ?? null,
      };
    });
  }

  /** The first three principal components of the local features as colours. */
  async features(name: BackendName, wantLocal: boolean, onProgress: OnProgress): Promise<Features> {
    return this.applying(name, onProgress, async (model, image, options) => {
      const { local, colours, geometry, seen } = await model.embed(image, options);
      if (!local || !colours)
        throw new RunError('this model has no decoder and so no local features; use a model that was pre-trained with one');
      const rgb = new Uint8Array(3 * voxelCount(geometry.size));
      // air has features too, but no anatomy
      seen.forEach((value, voxel) => {
        if (value <= 0) return;
        for (let k = 0; k < 3; k++) rgb[3 * voxel + k] = Math.round(255 * colours[k][voxel]);
      });
      return { nifti: writeNiftiFile(geometry, rgb, 'rgb'), local: wantLocal ? local.data : null };
    });
  }

  /** Registers the second image to the first: centre on centre, affine, then deformable; the result is it on the first one's own grid. */
  async register(name: BackendName, onProgress: OnProgress): Promise<Registered> {
    const { moving } = this;
    if (!moving) throw new RunError('no second image yet: choose the NIfTI file to be registered to the first');
    return this.applying(name, onProgress, async (model, fixed, options) => {
      const { warped, ncc, network } = await model.register(moving, fixed, options);
      return {
        nifti: writeNiftiFile(warped.geometry, warped.data),
        ncc: ncc.filter(({ stage }) => stage !== 'asStored'),
        warnings: network?.reason ? [network.reason] : [],
      };
    });
  }

  /** Compares both images, to be asked by `similar`. */
  async compare(name: BackendName, onProgress: OnProgress): Promise<Compared> {
    const { moving } = this;
    this.compared = undefined;
    if (!moving) throw new RunError('no second image yet: choose the NIfTI file to be compared with the first');
    return this.applying(name, onProgress, async (model, fixed, options) => {
      const found = await model.correspond(moving, fixed, options);
      this.compared = found;
      const gridsOf = (side: Side) => {
        const { geometry } = found.images[side].local;
        const voxels = voxelCount(geometry.size);
        return {
          heat: writeNiftiFile(geometry, new Float32Array(voxels)),
          mark: writeNiftiFile(geometry, new Uint8Array(voxels)),
        };
      };
      return {
        hasField: found.map !== null,
        warnings: found.warnings,
        grids: { fixed: gridsOf('fixed'), moving: gridsOf('moving') },
      };
    });
  }

  /** What the other image has of a point (mm, LPS) of this one; null outside what the network saw, or before `compare`. */
  similar(side: Side, point: Xyz, kind: FeatureKind): Similar | null {
    const start = performance.now();
    const answer = this.compared?.at(side, point, kind);
    if (!this.compared || !answer) return null;
    const { similarity, best, ...rest } = answer;
    const { geometry, data } = similarity;
    const { seen } = this.compared.images[side === 'fixed' ? 'moving' : 'fixed'];
    const tissue = data.filter((_, voxel) => seen[voxel] > FOREGROUND).sort();
    const voxel = perAxis(applyAffine(physicalToVoxel(geometry), best.position), (at) => Math.round(at));
    const low = tissue.length > 0 ? percentileOf(tissue, COLD) : 0;
    const result = {
      ...rest,
      values: data,
      range: [low, Math.max(best.similarity, low + 1e-6)] as const,
      size: geometry.size,
      best: { ...best, voxel },
      ms: performance.now() - start,
    };
    return Comlink.transfer(result, [data.buffer]);
  }

  /** A CT of one of the example's synthetic patients, as a .nii file. */
  examplePatient(subject: number): Uint8Array<ArrayBuffer> {
    const { kind, spacingMm, pose } = DEMO_SETTINGS.phantoms;
    // finer than the network sees them, as real scans are
    const { image } = renderSubject({ kind, seed: EXAMPLE_SEED, subject, spacingMm: spacingMm / 2, pose });
    return writeNiftiFile(image.geometry, image.data);
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

export type ComputeApi = Compute;

Comlink.expose(new Compute());
