/**
 * Training examples, made ahead of the step that needs them, on a thread of their own.
 *
 * What an example is follows from (seed, step, sample) alone, so nothing about it depends on which thread made it or when. From sources
 * (tests, on a Node that cannot load TypeScript in a worker) examples are made on the calling thread, with the same result.
 */
import { setPriority } from 'node:os';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { RunError } from '../../common/errors.ts';
import { errorFrom, type PlainError, plainError } from '../../common/plain-error.ts';
import type { ExampleMaker } from '../../methods/method.ts';
import type { Part } from '../gradient-tree.ts';

export interface ExampleSource<Images> {
  /** The example of a sample of a step. Steps are asked for in order. */
  take(step: number, sample: number): Promise<Images>;
  close(): Promise<void>;
}

/** What examples are made of, and how many. */
export interface ExampleRequest<Job, Images> {
  /** The module that calls `serveExamples`. */
  readonly worker: URL;
  /** Plain data, so that it reaches the worker. */
  readonly job: Job;
  readonly make: (job: Job) => Promise<ExampleMaker<Images>>;
  /** Samples of a step that are asked for, from one up to but not another, and steps in all. */
  readonly samples: Part;
  readonly steps: number;
  /** The first step that is asked for (0-based). */
  readonly firstStep: number;
}

/** Steps that are made ahead: enough to ride out one slow example. */
const STEPS_AHEAD = 3;

/** Examples that there can be at a time: those of the step under way and those that are made ahead. For estimates of memory. */
export const examplesHeld = (samples: number): number => (1 + STEPS_AHEAD) * samples;

/**
 * Room for new objects in the worker. Examples are typed arrays, which lie outside it and are given back when it is swept, so a small one is
 * swept often and the memory of a long run stays the same.
 */
const YOUNG_GENERATION_MB = 4;

/** What a worker answers. */
type WorkerAnswer<Images> =
  | { readonly key: string; readonly images: Images }
  | { readonly key: string; readonly failed: PlainError };

/**
 * How far the thread steps back behind those that compute: a tenth of a processor is left to it where all are busy, more than the few
 * hundredths that it needs. At 19, the most, it would get one in seventy beside other people's processes, and the step would wait.
 */
const NICENESS = 10;

/** Lets the threads that compute go first. On Linux a priority is a thread's own; elsewhere this would slow the whole process down. */
function stepBack(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(NICENESS);
  } catch {
    // a sandbox that forbids it: examples are made all the same
  }
}

/** In a worker: makes the examples that are asked for. `Images` is an object of typed arrays. */
export function serveExamples<Job, Images extends object>(make: (job: Job) => Promise<ExampleMaker<Images>>): void {
  const port = parentPort;
  if (!port) throw new Error('this module runs as a worker thread only');
  stepBack();
  const maker = make(workerData as Job);
  maker.catch(() => {}); // whoever asks for an example is told
  port.on('message', async ({ step, sample }: { step: number; sample: number }) => {
    const key = `${step}/${sample}`;
    let answer: WorkerAnswer<Images>;
    let transfer: ArrayBuffer[] = [];
    try {
      const images = await (await maker)(step, sample);
      transfer = Object.values(images).flatMap((array) => (ArrayBuffer.isView(array) ? [array.buffer as ArrayBuffer] : []));
      answer = { key, images };
    } catch (error) {
      answer = { key, failed: plainError(error) };
    }
    port.postMessage(answer, transfer);
  });
}

/** A source whose examples a worker makes. */
export function examplesOnWorker<Job, Images>({
  worker: url,
  job,
  samples,
  steps,
  firstStep,
}: Omit<ExampleRequest<Job, Images>, 'make'>): ExampleSource<Images> {
  const waiting = new Map<string, { resolve: (images: Images) => void; reject: (error: Error) => void }>();
  const ready = new Map<string, Promise<Images>>();
  const worker = new Worker(url, { workerData: job, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB } });
  worker.unref();
  worker.on('message', (answer: WorkerAnswer<Images>) => {
    const { resolve, reject } = waiting.get(answer.key) ?? {};
    waiting.delete(answer.key);
    if ('images' in answer) resolve?.(answer.images);
    else reject?.(errorFrom(answer.failed));
  });
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    failure ??= error;
    for (const { reject } of waiting.values()) reject(failure);
    waiting.clear();
  };
  worker.on('error', (error: NodeJS.ErrnoException) =>
    fail(
      error.code === 'ERR_WORKER_OUT_OF_MEMORY'
        ? new RunError('the data loader thread ran out of memory: use a smaller patch or batch')
        : error,
    ),
  );
  worker.on('messageerror', fail);
  // also without an error: whoever waits for an example must not wait for ever
  worker.on('exit', (code) => fail(new RunError(`the data loader thread exited (code ${code})`)));
  const each = samples.to - samples.from;
  let asked = firstStep * each;
  const order = (until: number): void => {
    for (; asked < until; asked++) {
      const [step, sample] = [Math.floor(asked / each), samples.from + (asked % each)];
      const key = `${step}/${sample}`;
      const promise = failure
        ? Promise.reject<Images>(failure)
        : new Promise<Images>((resolve, reject) => waiting.set(key, { resolve, reject }));
      promise.catch(() => {}); // whoever takes it sees the error; one that nobody takes must not end the process
      ready.set(key, promise);
      worker.postMessage({ step, sample });
    }
  };
  order(Math.min(steps, firstStep + STEPS_AHEAD) * each);
  return {
    take: async (step, sample) => {
      order(Math.min(steps, step + 1 + STEPS_AHEAD) * each);
      const key = `${step}/${sample}`;
      const images = await ready.get(key)!;
      ready.delete(key);
      return images;
    },
    close: async () => {
      await worker.terminate();
    },
  };
}

/** Opens the source of a run's examples. */
export async function openExamples<Job, Images>(request: ExampleRequest<Job, Images>): Promise<ExampleSource<Images>> {
  if (!import.meta.url.endsWith('.ts')) return examplesOnWorker(request);
  const take = await request.make(request.job);
  return { take, close: async () => {} };
}
