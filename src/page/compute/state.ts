/** What is open in the worker, and applying the model to it. */
import type { WorkOptions } from '../../apply/call-options.ts';
import { Model } from '../../apply/model.ts';
import type { MemoryLimits, TrainedNetwork } from '../../apply/network.ts';
import type { NetworkImage } from '../../cohort/network-image.ts';
import { RunError } from '../../common/errors.ts';
import type { Program } from '../../engine/graph.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import { type BackendName, openBackend } from '../../platform/browser/backends.ts';
import { type Channel, prepareChannels } from './channels.ts';

/** Called before the work (done 0), and after each of its windows or tiles. */
export type OnProgress = (done: number, of: number, memoryBytes: number) => void;

/** What every computation says of itself. */
export interface Computed {
  readonly seconds: number;
  readonly backend: string;
}

/** A browser does not say how much there is: a matching of more is done in tiles, features of more are refused. */
export const PAGE_MEMORY = { bytes: 2 * 2 ** 30, limit: 'memory limit of a page' };
export const MEMORY: MemoryLimits = { session: () => PAGE_MEMORY, results: () => PAGE_MEMORY };

export class ComputeState {
  network: TrainedNetwork | undefined;
  /** By their ids; of several channels the first. */
  readonly images = new Map<number, LoadedImage>();
  /** Of images that have several, the first among them. */
  private readonly channels = new WeakMap<LoadedImage, readonly Channel[]>();
  private lastId = 0;
  private aborter = new AbortController();

  /** @throws RunError if it is closed */
  image(id: number): LoadedImage {
    const image = this.images.get(id);
    if (!image) throw new RunError('this image is no longer open: choose it again');
    return image;
  }

  /** Opens an image of one channel or several. @returns its id */
  add(channels: readonly Channel[]): number {
    this.images.set(++this.lastId, channels[0].image);
    this.channels.set(channels[0].image, channels);
    return this.lastId;
  }

  channelsOf(image: LoadedImage): readonly Channel[] {
    return this.channels.get(image) ?? [{ label: '', image }];
  }

  /** An open image as the network wants it. @throws RunError naming the file and why it is refused */
  readonly prepare = async (image: LoadedImage, network: TrainedNetwork): Promise<NetworkImage> =>
    prepareChannels(this.channelsOf(image), network);

  /** Of the work that begins now. */
  begin(): AbortSignal {
    this.aborter = new AbortController();
    return this.aborter.signal;
  }
  stop(): void {
    this.aborter.abort();
  }

  /** Applies the model to open images on a backend, and closes it whatever happens. */
  async applying<Result>(
    name: BackendName,
    onProgress: OnProgress,
    work: (model: Model<LoadedImage>, options: WorkOptions) => Promise<Result>,
  ): Promise<Result & Computed> {
    const { network } = this;
    if (!network) throw new RunError('no model yet: choose a model folder');
    const signal = this.begin();
    const backend = await openBackend(name);
    const start = performance.now();
    // what a program needs is asked before it is opened
    let memoryBytes = 0;
    const asked = {
      ...backend,
      memoryBytes: (of: Program) => (memoryBytes = backend.memoryBytes(of)),
    };
    const model = new Model<LoadedImage>(network, asked, MEMORY, this.prepare);
    try {
      const progress: WorkOptions['progress'] = ({ done, total }) => onProgress(done, total, memoryBytes);
      const result = await work(model, { progress, signal });
      return { ...result, seconds: (performance.now() - start) / 1000, backend: backend.description };
    } finally {
      await model.close();
    }
  }
}
