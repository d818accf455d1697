/**
 * Training examples, made ahead of the step that needs them, on threads of their own.
 *
 * What an example is follows from (seed, step, sample) alone, so nothing about it depends on which thread made it or when. From sources
 * (tests, on a Node that cannot load TypeScript in a worker) examples are made on the calling thread, with the same result.
 */
import { Worker } from 'node:worker_threads';
import { openCohort, type Subject } from '../cohort/cohort.ts';
import { readCrop } from '../cohort/crops.ts';
import { toZyx, type Zyx } from '../geometry/volume.ts';
import { type Example, makeExample } from '../method/example.ts';
import { type PretrainConfiguration, patchSize } from './configuration.ts';

/** What a maker of examples must know; plain data, so that it reaches a worker. */
export interface ExampleJob {
  readonly cohort: string;
  /** Ids of the training subjects. */
  readonly training: readonly string[];
  readonly configuration: PretrainConfiguration;
}

/** The images of an example; what was drawn for it stays with the maker. */
export type ExampleImages = Pick<Example, 'moving' | 'movingView' | 'fixed'>;

export interface ExampleSource {
  /** The example of a sample of a step. Steps are asked for in order. */
  take(step: number, sample: number): Promise<ExampleImages>;
  close(): Promise<void>;
}

/** Steps that are made ahead: enough to ride out one slow example. */
const STEPS_AHEAD = 3;

/** Makes examples on this thread. */
export async function exampleMaker({
  cohort: folder,
  training,
  configuration,
}: ExampleJob): Promise<(step: number, sample: number) => Promise<ExampleImages>> {
  const cohort = await openCohort(folder);
  const byId = new Map(cohort.subjects.map((subject) => [subject.id, subject]));
  const subjects = training.map((id): Subject => byId.get(id)!);
  const { spatial, damage, jitterVoxels, mirroredPairs } = configuration.data;
  const patch: Zyx = patchSize(configuration);
  const { enabled, ...damageOptions } = damage;
  const { mode, ...spatialOptions } = spatial;
  return async (step, sample) => {
    const { moving, movingView, fixed } = await makeExample(
      (subject, start, size) => readCrop(cohort, subjects[subject]!, start, size),
      {
        seed: configuration.seed,
        step,
        sample,
        sizes: subjects.map(({ geometry }) => toZyx(geometry.size)),
        patch,
        jitterVoxels,
        mirrored: mirroredPairs,
        damage: enabled ? damageOptions : false,
        spatial: mode === 'none' ? false : mode,
        spatialOptions,
      },
    );
    return { moving, movingView, fixed };
  };
}

/** What a worker answers. */
export type WorkerAnswer =
  | { readonly key: string; readonly images: ExampleImages }
  | { readonly key: string; readonly failed: string };

function onWorkers(job: ExampleJob, workers: number, firstStep: number): ExampleSource {
  const { batch, steps } = job.configuration;
  const waiting = new Map<string, { resolve: (images: ExampleImages) => void; reject: (error: Error) => void }>();
  const ready = new Map<string, Promise<ExampleImages>>();
  const fail = (error: Error): void => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const pool = Array.from({ length: workers }, () => {
    const worker = new Worker(new URL('./example-worker.js', import.meta.url), { workerData: job });
    worker.unref();
    worker.on('message', (answer: WorkerAnswer) => {
      const { resolve, reject } = waiting.get(answer.key) ?? {};
      waiting.delete(answer.key);
      if ('images' in answer) resolve?.(answer.images);
      else reject?.(new Error(answer.failed));
    });
    worker.on('error', fail);
    return worker;
  });
  let asked = firstStep * batch;
  const order = (until: number): void => {
    for (; asked < until; asked++) {
      const [step, sample] = [Math.floor(asked / batch), asked % batch];
      const key = `${step}/${sample}`;
      const promise = new Promise<ExampleImages>((resolve, reject) => waiting.set(key, { resolve, reject }));
      promise.catch(() => {}); // whoever takes it sees the error; one that nobody takes must not end the process
      ready.set(key, promise);
      pool[asked % workers]!.postMessage({ step, sample });
    }
  };
  order(Math.min(steps, firstStep + STEPS_AHEAD) * batch);
  return {
    take: async (step, sample) => {
      order(Math.min(steps, step + 1 + STEPS_AHEAD) * batch);
      const key = `${step}/${sample}`;
      const images = await ready.get(key)!;
      ready.delete(key);
      return images;
    },
    close: async () => {
      await Promise.all(pool.map((worker) => worker.terminate()));
    },
  };
}

/** Opens the source of a run's examples, from step `firstStep` (0-based) on. */
export async function openExamples(job: ExampleJob, workers: number, firstStep: number): Promise<ExampleSource> {
  if (!import.meta.url.endsWith('.ts')) return onWorkers(job, workers, firstStep);
  const make = await exampleMaker(job);
  return { take: make, close: async () => {} };
}
