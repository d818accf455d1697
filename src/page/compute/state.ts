/** What is open in the worker, and applying the model to it. */
import type { WorkOptions } from '../../apply/call-options.ts';
import { Model } from '../../apply/model.ts';
import type { MemoryLimits, TrainedNetwork } from '../../apply/network.ts';
import { networkImage } from '../../cohort/network-image.ts';
import { RunError } from '../../common/errors.ts';
import type { Program } from '../../engine/graph.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import { type BackendName, openBackend } from '../../platform/browser/backends.ts';

/** Called before the work (done 0), and after each of its windows or tiles. */
export type OnProgress = (done: number, of: number, memoryBytes: number) => void;

/** What every computation says of itself. */
export interface Computed {
  readonly seconds: number;
  readonly backend: string;
}

/** A browser does not say how much there is: a matching of more is done in tiles, features of more are refused. */
const PAGE_MEMORY = { bytes: 2 * 2 ** 30, limit: 'memory limit of a page' };
export const MEMORY: MemoryLimits = { session: () => PAGE_MEMORY, results: () => PAGE_MEMORY };

export class ComputeState {
  network: TrainedNetwork | undefined;
  /** By their ids. */
  readonly images = new Map<number, LoadedImage>();
  private aborter = new AbortController();

  /** @throws RunError if it is closed */
  image(id: number): LoadedImage {
    const image = this.images.get(id);
    if (!image) throw new RunError('this image is no longer open: choose it again');
    return image;
  }

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
    const model = new Model<LoadedImage>(network, asked, MEMORY, async (chosen, { preprocessing }) =>
      networkImage(chosen, preprocessing, false),
    );
    try {
      const progress: WorkOptions['progress'] = ({ done, total }) => onProgress(done, total, memoryBytes);
      const result = await work(model, { progress, signal });
      return { ...result, seconds: (performance.now() - start) / 1000, backend: backend.description };
    } finally {
      await model.close();
    }
  }
}
