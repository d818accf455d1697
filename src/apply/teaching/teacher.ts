/**
 * Teaching a network structures by strokes on images (docs/page.md): the backbone's features of every image are computed once and kept, a head is
 * fitted to the voxels under the strokes, and segments all images. What it finds is, voxel for voxel, what `Model.segment` finds on the same
 * backend with the network that `learn` gives: windows, their features and their weights are the same.
 */
import { channelsOf, type NetworkImage } from '../../cohort/network-image.ts';
import { RunError } from '../../common/errors.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import { elementCount } from '../../engine/graph.ts';
import { listen, stoppableSession } from '../../engine/stoppable.ts';
import { type Volume, voxelCount, type Zyx } from '../../geometry/volume.ts';
import { type Architecture, hasDecoder } from '../../model/architecture.ts';
import { teachingProgram } from '../../model/task-programs.ts';
import { levelShapes } from '../../model/unet.ts';
import { counting, type WorkOptions } from '../call-options.ts';
import { type PrepareImage, prepareVolume, type SegmentResult } from '../model.ts';
import {
  type MemoryLimits,
  openSession,
  type TrainedNetwork,
  taskOfNetwork,
  type WindowOptions,
  type WindowPlace,
  windowsFor,
} from '../network.ts';
import { cutWindows, segmentationWindows, segmentVolume } from '../segmentation/segment-volume.ts';
import { windowCount, windowsOf, windowWeights } from '../segmentation/sliding-window.ts';
import { structuresOf } from '../segmentation/structures.ts';
import {
  fitSegmentationHead,
  type SegmentationHead,
  type TaughtVoxels,
  type TeachOptions,
  voxelsOfStrokes,
  type WindowFeatures,
} from './fit-head.ts';
import { headOfNetwork, networkWithHead, type TaughtLabel } from './network-with-head.ts';

/** The value of the background in strokes, where 0 is nothing drawn: codes of structures are other ones. */
export const BACKGROUND_STROKE = 255;

export interface TeacherOptions extends WindowOptions {
  /** The most bytes of features that are kept; what does not fit is computed each time. Default: half of what results may take. */
  readonly featureBytes?: number;
}

/** An image that was added. */
export interface TaughtImage {
  readonly windows: number;
  /** Of its windows, those whose features are kept: if not all, learning and segmenting take longer. */
  readonly keptWindows: number;
  readonly warnings: readonly string[];
}

/** What was learnt. */
export interface Learnt {
  /** The network with the head: a model as `gvsl train segmentation` makes one. */
  readonly network: TrainedNetwork;
  /** The classes that it knows, the background first: those with a stroke. */
  readonly labels: readonly TaughtLabel[];
  /** Voxels of the network's grids under strokes, for each of these. */
  readonly voxels: readonly number[];
}

type Levels = WindowFeatures['levels'];

interface HeldImage {
  readonly image: NetworkImage;
  /** The features of all levels by the start of their window. */
  readonly features: Map<string, Levels>;
}

/** Calls run one after another; `close` gives memory and threads back. */
export class Teacher<Image = Volume> {
  readonly network: TrainedNetwork;
  private readonly backend: Backend;
  private readonly memory: MemoryLimits;
  private readonly prepare: PrepareImage<Image>;
  private readonly place: WindowPlace;
  private readonly featureBytes: number;
  private readonly images = new Map<string, HeldImage>();
  private session: { readonly classes: number; readonly session: Session } | undefined;
  private taught: { readonly network: TrainedNetwork; readonly head: SegmentationHead } | undefined;
  private keptBytes = 0;
  private last: Promise<unknown> = Promise.resolve();

  /** @throws RunError for a network without a decoder, and so without features of voxels */
  constructor(
    network: TrainedNetwork,
    backend: Backend,
    memory: MemoryLimits,
    prepare: PrepareImage<Image>,
    options: TeacherOptions = {},
  ) {
    if (!hasDecoder(network.architecture.heads))
      throw new RunError(
        `${network.folder}: this network has no decoder, and so no features of voxels that could be taught; use one that was pre-trained with a decoder, or that segments`,
      );
    this.network = network;
    this.backend = backend;
    this.memory = memory;
    this.prepare = prepare;
    this.place = windowsFor({ networks: [network] }, options);
    this.featureBytes = options.featureBytes ?? usualFeatureBytes(memory);
  }

  /** The network as it was taught last; null before. */
  get learnt(): TrainedNetwork | null {
    return this.taught?.network ?? null;
  }

  /** What features of so many windows take, as far as they are kept. */
  featureBytesOf(windows: number): number {
    return Math.min(this.featureBytes, windows * windowBytes(this.network.architecture, this.place.window));
  }

  /** Goes on with a network that was taught before, from the same one. @throws RunError if it was not taught */
  use(network: TrainedNetwork): void {
    this.taught = { network, head: headOfNetwork(network) };
  }

  /**
   * Prepares an image and computes its features, in place of one with this name.
   * @throws RunError for an image that cannot be used, too little memory; the signal's reason: the image is then not there
   */
  add(name: string, image: Image, { progress, signal }: WorkOptions = {}): Promise<TaughtImage> {
    return this.exclusive(async () => {
      this.forget(name);
      const prepared = await this.prepare(image, this.network, name);
      const held: HeldImage = { image: prepared, features: new Map() };
      const plan = this.planOf(prepared);
      const windows = windowCount(plan);
      this.images.set(name, held);
      try {
        const session = stoppableSession(await this.open(), signal);
        await counting(progress, windows, 'windows', async (onWindow) => {
          for (const start of windowsOf(plan)) {
            await this.featuresOf(held, start, session);
            onWindow();
          }
        });
      } catch (error) {
        this.forget(name);
        throw error;
      }
      return { windows, keptWindows: held.features.size, warnings: prepared.prepared.problems };
    });
  }

  /** Forgets an image, once calls that began before are done. */
  remove(name: string): Promise<void> {
    return this.exclusive(async () => this.forget(name));
  }

  /**
   * Learns from strokes on any of the images, all together.
   * @param strokes by the names of images, each on any grid in the patient: 0 where nothing is drawn, a structure's code, or `BACKGROUND_STROKE`
   * @param labels the background first, then the structures; those without a stroke are left out
   * @throws RunError if there is no stroke of the background, or of no structure; RangeError for an image that was not added; the signal's reason
   */
  learn(
    strokes: ReadonlyMap<string, Volume>,
    labels: readonly TaughtLabel[],
    { signal, ...options }: TeachOptions & Pick<WorkOptions, 'signal'> = {},
  ): Promise<Learnt> {
    return this.exclusive(async () => {
      const codes = labels.map(({ code }, one) => (one === 0 ? BACKGROUND_STROKE : code));
      const found = [...strokes].map(([name, drawn]) => {
        const held = this.held(name);
        return { held, ...voxelsOfStrokes(drawn, held.image.cropped.geometry, codes) };
      });
      const counts = codes.map((_, one) =>
        found.reduce((sum, { classes }) => sum + classes.filter((each) => each === one).length, 0),
      );
      const present = counts.flatMap((count, one) => (count > 0 ? [one] : []));
      if (counts[0] === 0) throw new RunError('nothing of the background is drawn yet: draw a stroke of it');
      if (present.length < 2) throw new RunError('no structure is drawn yet: draw a stroke of one');
      const session = stoppableSession(await this.open(), signal);
      const known: TaughtVoxels[] = [];
      for (const { held, voxels, classes } of found)
        known.push(
          ...(await this.knownOf(
            held,
            voxels,
            classes.map((one) => present.indexOf(one)),
            session,
          )),
        );
      await listen(signal);
      const head = fitSegmentationHead(this.network.architecture, known, present.length, options);
      const taught = present.map((one) => labels[one]);
      const voxels = present.map((one) => counts[one]);
      const network = networkWithHead(this.network, head, taught, { images: strokes.size, voxels, ...options });
      this.taught = { network, head };
      return { network, labels: taught, voxels };
    });
  }

  /**
   * Segments an image that was added, as it was taught last.
   * @throws RangeError for an image that was not added, or before anything was learnt; the signal's reason
   */
  segment(
    name: string,
    { progress, signal }: WorkOptions = {},
  ): Promise<Pick<SegmentResult, 'labels' | 'structures' | 'warnings'>> {
    return this.exclusive(async () => {
      const held = this.held(name);
      if (!this.taught) throw new RangeError('Teacher.segment: nothing was learnt yet');
      const { head, network } = this.taught;
      const task = taskOfNetwork(network, 'segmentation');
      const session = stoppableSession(await this.open(head.classes), signal);
      const inputs = Object.fromEntries([...head.parameters].map(([parameter, { data }]) => [parameter, data]));
      const image = { cropped: held.image.cropped, others: held.image.others, grid: held.image.volume.geometry };
      const predict = async (_: Float32Array, start: Zyx) => {
        const { image: values, levels } = await this.featuresOf(held, start, session);
        const given = { image: values, ...levels, ...inputs };
        return (
          (await session.view?.('head', given, 'probabilities')) ??
          (await session.run('head', given, ['probabilities'])).probabilities
        );
      };
      const windows = windowCount(this.planOf(held.image));
      const { labels, remarks } = await counting(progress, windows, 'windows', (onWindow) =>
        segmentVolume({
          predictor: { channels: head.classes, predict },
          image,
          codes: task.labels.map(({ code }) => code),
          ...this.place,
          onWindow,
        }),
      );
      return {
        labels,
        structures: structuresOf(labels, task.labels),
        warnings: [...held.image.prepared.problems, ...remarks],
      };
    });
  }

  /** Waits for what was begun, and gives all memory back. */
  close(): Promise<void> {
    return this.exclusive(async () => {
      for (const name of [...this.images.keys()]) this.forget(name);
      await this.session?.session.close();
      this.session = undefined;
    });
  }

  private exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    const mine = this.last.then(work);
    this.last = mine.catch(() => {});
    return mine;
  }

  private forget(name: string): void {
    for (const levels of this.images.get(name)?.features.values() ?? []) this.keptBytes -= bytesOf(levels);
    this.images.delete(name);
  }

  private held(name: string): HeldImage {
    const held = this.images.get(name);
    if (!held) throw new RangeError(`Teacher: no image '${name}' was added`);
    return held;
  }

  /** The windows of an image: those of `Model.segment`. */
  private planOf({ cropped, volume }: NetworkImage) {
    return segmentationWindows({ cropped, grid: volume.geometry }, this.place.window, this.place.overlap);
  }

  /** The session, whose head has so many classes; any, if it is for features alone. */
  private async open(classes = this.session?.classes ?? 2): Promise<Session> {
    if (this.session?.classes !== classes) {
      const { architecture, parameters } = this.network;
      const { window } = this.place;
      await this.session?.session.close();
      this.session = undefined;
      const { program } = teachingProgram(architecture, window, classes);
      this.session = { classes, session: await openSession(parameters, this.backend, program, window, this.memory.session()) };
    }
    return this.session.session;
  }

  /** What is known of a window: features that are kept, or computed, and kept if there is room. */
  private async featuresOf(held: HeldImage, start: Zyx, session: Session): Promise<WindowFeatures> {
    const { window: size } = this.place;
    const images = channelsOf(held.image);
    const image = new Float32Array(images.length * voxelCount(size));
    cutWindows(images, start, size, image);
    const key = start.join();
    const kept = held.features.get(key);
    if (kept) return { image, levels: kept, size };
    const levels = (await session.run('features', { image })) as Levels;
    const bytes = bytesOf(levels);
    if (this.keptBytes + bytes <= this.featureBytes) {
      this.keptBytes += bytes;
      held.features.set(key, levels);
    }
    return { image, levels, size };
  }

  /** What is known of an image, window by window: each voxel in the one in which it counts most. */
  private async knownOf(
    held: HeldImage,
    voxels: readonly number[],
    classes: readonly number[],
    session: Session,
  ): Promise<TaughtVoxels[]> {
    const { window } = this.place;
    const [, height, width] = this.planOf(held.image).size;
    const weights = window.map(windowWeights);
    const starts = [...windowsOf(this.planOf(held.image))];
    const byWindow = starts.map(() => ({ voxels: [] as number[], classes: [] as number[] }));
    voxels.forEach((voxel, i) => {
      const at = [Math.floor(voxel / (width * height)), Math.floor(voxel / width) % height, voxel % width];
      // 0 in windows that do not hold it
      const counts = starts.map((start) =>
        start.reduce((product, from, axis) => product * (weights[axis][at[axis] - from] ?? 0), 1),
      );
      const best = counts.indexOf(Math.max(...counts));
      if (counts[best] === 0) return;
      const [z, y, x] = starts[best].map((from, axis) => at[axis] - from);
      byWindow[best].voxels.push((z * window[1] + y) * window[2] + x);
      byWindow[best].classes.push(classes[i]);
    });
    const known: TaughtVoxels[] = [];
    for (const [k, start] of starts.entries())
      if (byWindow[k].voxels.length > 0) known.push({ ...(await this.featuresOf(held, start, session)), ...byWindow[k] });
    return known;
  }
}

/** Bytes of the features of a window. */
const windowBytes = (architecture: Architecture, window: Zyx): number =>
  4 * levelShapes(architecture, window).reduce((sum, { shape }) => sum + elementCount(shape), 0);
const usualFeatureBytes = (memory: MemoryLimits): number => memory.results().bytes / 2;
/** What features of so many windows take in a teacher of these limits, as far as they are kept. */
export const keptFeatureBytes = (architecture: Architecture, window: Zyx, windows: number, memory: MemoryLimits): number =>
  Math.min(usualFeatureBytes(memory), windows * windowBytes(architecture, window));

const bytesOf = (levels: Levels): number => Object.values(levels).reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Opens a teacher for volumes in memory, to be closed by the caller. @param memory how much may be taken; by default what the backend can address */
export function openTeacher(
  network: TrainedNetwork,
  backend: Backend,
  { memory, ...options }: TeacherOptions & { readonly memory?: MemoryLimits } = {},
): Teacher {
  const all = { bytes: backend.memoryLimitBytes, limit: `the maximum that the backend ${backend.name} can address` };
  return new Teacher(network, backend, memory ?? { session: () => all, results: () => all }, prepareVolume, options);
}
