/**
 * A trained model on a backend: volumes in, volumes and numbers out, all in memory. Runs anywhere; `load` of `gvsl` opens one in Node, where
 * images may be files too.
 *
 * Positions are in millimetres in ITK's and DICOM's frame, LPS.
 */
import { channelsOf, type NetworkImage, networkImage } from '../cohort/network-image.ts';
import type { Backend } from '../engine/backend.ts';
import { planesTogether } from '../geometry/planes-together.ts';
import { type Geometry, type Volume, voxelCount } from '../geometry/volume.ts';
import { loadedVolume } from '../images/loaded-image.ts';
import { hasDecoder } from '../model/architecture.ts';
import { counting, type WorkOptions } from './call-options.ts';
import { type ClassifyResult, classifyPrepared } from './classification.ts';
import { type EmbedResult, embedPrepared } from './embedding/embed.ts';
import {
  canRegister,
  type MemoryLimits,
  OpenNetwork,
  type TrainedNetwork,
  taskOfNetwork,
  type WindowOptions,
  windowsFor,
} from './network.ts';
import { mirrorAxes, mirrorWarnings, openPredictor, uncertaintyOf } from './prediction.ts';
import type { PredictionOptions, Uncertainty } from './prediction-options.ts';
import { type RegisterOptions, type RegisterResult, registerNetworkImages } from './registration/in-memory.ts';
import { applyPostProcessing, type PostProcessingOptions, postProcessingOf } from './segmentation/post-processing.ts';
import { probabilityPlanes, segmentationWindows, segmentVolume } from './segmentation/segment-volume.ts';
import { windowCount } from './segmentation/sliding-window.ts';
import { type Structure, structuresOf } from './segmentation/structures.ts';
import { type Correspondence, type CorrespondOptions, correspondNetworkImages } from './similarity/correspondence.ts';

/** How an image goes through the network. */
export interface ImageOptions extends WorkOptions, WindowOptions {}

export interface SegmentOptions extends ImageOptions, PredictionOptions, PostProcessingOptions {
  /** Also give the probability of every class: 4 bytes a voxel and class. */
  readonly probabilities?: boolean;
  /** Also give how uncertain each voxel is: see `SegmentResult.uncertainty`. */
  readonly uncertainty?: Uncertainty;
}

export interface SegmentResult {
  /** Codes, on the image's own grid. */
  readonly labels: Volume;
  /** Every structure that the model knows, found or not; the background is none. */
  readonly structures: readonly Structure[];
  /** Of each class, the background first, on the image's own grid, 0 to 1; null if they were not asked for. */
  readonly probabilities: readonly Volume<Float32Array>[] | null;
  /**
   * How uncertain each voxel is, 0 to 1, on the image's own grid; null if it was not asked for. `entropy`: that of the mean probabilities over that
   * of equal ones; `disagreement`: the part of it that comes from models or mirrored copies that differ (mutual information).
   */
  readonly uncertainty: Volume<Float32Array> | null;
  /** Windows that were computed. */
  readonly windows: number;
  /** What is unusual about the image. */
  readonly warnings: readonly string[];
}

/** Reads an image that a call is given, and prepares it as the network's cohort was. */
export type PrepareImage<Image> = (image: Image, network: TrainedNetwork, name: string) => Promise<NetworkImage>;

/** Prepares a volume in memory. @throws RunError naming it and why it is refused */
export const prepareVolume: PrepareImage<Volume> = async (volume, { preprocessing }, name) =>
  networkImage(loadedVolume(volume, name), preprocessing, true);

/**
 * A model that is ready to be applied, or several that segment or classify together: the mean of their probabilities. Calls run one after another;
 * `close` gives memory and threads back.
 */
export class Model<Image = Volume> extends OpenNetwork {
  private readonly prepare: PrepareImage<Image>;

  /** @throws UsageError for networks that do not predict the same of the same images */
  constructor(
    networks: TrainedNetwork | readonly TrainedNetwork[],
    backend: Backend,
    memory: MemoryLimits,
    prepare: PrepareImage<Image>,
  ) {
    super(networks, backend, memory);
    this.prepare = prepare;
  }

  /** What it was trained for. `register` needs a matching head; `embed` gives local features too, for which it needs a decoder. */
  get can(): { readonly segment: boolean; readonly classify: boolean; readonly embed: boolean; readonly register: boolean } {
    const { heads } = this.network.architecture;
    const { segmentation, classification } = heads;
    return {
      segment: segmentation !== undefined,
      classify: classification !== undefined,
      embed: hasDecoder(heads),
      register: canRegister(this.network.architecture),
    };
  }

  /**
   * Segments an image.
   * @throws RunError for a model that does not segment, an image that cannot be used, too little memory; the signal's reason
   */
  async segment(image: Image, options: SegmentOptions = {}): Promise<SegmentResult> {
    const task = taskOfNetwork(this.network, 'segmentation');
    const plan = windowsFor(this, options);
    const mirror = mirrorAxes(this.networks, options.mirror);
    const { rules, warnings } = postProcessingOf(this.networks, options);
    return this.exclusive(async () => {
      const { cropped, others, volume, prepared } = await this.prepare(image, this.network, 'the image');
      const toSegment = { cropped, others, grid: volume.geometry };
      const { uncertainty, probabilities } = options;
      const predictor = await openPredictor(this, {
        ...plan,
        mirror,
        spread: uncertainty === 'disagreement',
        signal: options.signal,
      });
      const windows = windowCount(segmentationWindows(toSegment, plan.window, plan.overlap));
      const seen: Float32Array[] = [];
      const unsure: Float32Array[] = [];
      const { labels, remarks } = await counting(options.progress, windows, 'windows', (onWindow) =>
        segmentVolume({
          predictor,
          image: toSegment,
          codes: task.labels.map(({ code }) => code),
          ...plan,
          onPlane: (plane) => {
            if (probabilities) seen.push(plane);
            if (uncertainty) unsure.push(uncertaintyOf(plane, task.labels.length, uncertainty));
          },
          onWindow,
        }),
      );
      applyPostProcessing(labels, rules);
      return {
        labels,
        structures: structuresOf(labels, task.labels),
        probabilities: probabilities
          ? task.labels.map((_, c) => onOwnGrid(c, seen, cropped.geometry, labels.geometry, c === 0 ? 1 : 0))
          : null,
        uncertainty: uncertainty ? onOwnGrid(0, unsure, cropped.geometry, labels.geometry, 0) : null,
        windows,
        warnings: [...mirrorWarnings(this.networks, mirror), ...warnings, ...prepared.problems, ...remarks],
      };
    });
  }

  /**
   * Classifies an image: the mean of its windows' probabilities.
   * @throws UsageError for axes that cannot be mirrored in; RunError for a model that does not classify, an image that cannot be used, too little memory; the signal's reason
   */
  async classify(image: Image, options: ImageOptions & PredictionOptions = {}): Promise<ClassifyResult> {
    taskOfNetwork(this.network, 'classification');
    const mirror = mirrorAxes(this.networks, options.mirror);
    const plan = { ...windowsFor(this, options), mirror };
    return this.exclusive(async () => {
      const prepared = await this.prepare(image, this.network, 'the image');
      const found = await classifyPrepared(this, channelsOf(prepared), plan, options);
      return { ...found, warnings: [...mirrorWarnings(this.networks, mirror), ...prepared.prepared.problems] };
    });
  }

  /**
   * The backbone's features of an image: the global one, and local ones where the network has a decoder.
   * @throws RunError for an image that cannot be used, too little memory; the signal's
   * reason
   */
  async embed(image: Image, options: ImageOptions = {}): Promise<EmbedResult> {
    const plan = windowsFor(this, options);
    return this.exclusive(async () => {
      const prepared = await this.prepare(image, this.network, 'the image');
      const found = await embedPrepared(this, prepared.path, channelsOf(prepared), plan, options);
      return { ...found, warnings: prepared.prepared.problems };
    });
  }

  /**
   * Registers a moving image to a fixed one.
   * @throws RunError for a model without a matching head, images that cannot be used or lie apart, too little memory; the signal's reason
   */
  async register(moving: Image, fixed: Image, options: RegisterOptions = {}): Promise<RegisterResult> {
    return this.exclusive(async () => {
      const still = await this.prepare(fixed, this.network, 'the fixed image');
      const moved = await this.prepare(moving, this.network, 'the moving image');
      return registerNetworkImages(this, this.backend, moved, still, options);
    });
  }

  /**
   * Compares two images: for any point of either, where the other is most like it by the features, and where the registration brings it, if the
   * network has a matching head. The result needs neither model nor backend.
   * @throws RunError for a model without a decoder, images that cannot be used or lie apart, too little memory; the signal's reason
   */
  async correspond(moving: Image, fixed: Image, options: CorrespondOptions = {}): Promise<Correspondence> {
    return this.exclusive(async () => {
      const still = await this.prepare(fixed, this.network, 'the fixed image');
      const moved = await this.prepare(moving, this.network, 'the moving image');
      return correspondNetworkImages(this, moved, still, options);
    });
  }
}

/**
 * One channel of planes on the image's own grid.
 * @param planes (channels, H, W) on the grid `source`, in the order of z
 * @param outside value of voxels that the network did not see
 */
function onOwnGrid(
  c: number,
  planes: readonly Float32Array[],
  source: Geometry,
  grid: Geometry,
  outside: number,
): Volume<Float32Array> {
  const inPlane = source.size[0] * source.size[1];
  const data = new Float32Array(voxelCount(source.size));
  for (const [z, plane] of planes.entries()) data.set(plane.subarray(c * inPlane, (c + 1) * inPlane), z * inPlane);
  return planesTogether(grid, probabilityPlanes({ geometry: source, data }, grid, outside));
}

/**
 * Opens a model for volumes in memory, to be closed by the caller.
 * @param memory how much may be taken; by default what the backend can address
 */
export function openModel(network: TrainedNetwork, backend: Backend, memory?: MemoryLimits): Model {
  const all = { bytes: backend.memoryLimitBytes, limit: `the maximum that the backend ${backend.name} can address` };
  return new Model(network, backend, memory ?? { session: () => all, results: () => all }, prepareVolume);
}
