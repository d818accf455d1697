/** The examples of pre-training: pairs of crops, damaged and transformed (src/methods/gvsl/example.ts). Also the thread that makes them. */
import type { Subject } from '../../../cohort/cohort.ts';
import { readCrop } from '../../../cohort/node/crops.ts';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { toZyx } from '../../../geometry/volume.ts';
import { type ExampleMaker, type ExampleSource, openExamples } from '../../../platform/node/example-source.ts';
import type { PretrainConfiguration } from '../configuration.ts';
import { type Example, makeExample } from '../example.ts';
import { exampleRequest } from '../step-options.ts';

/** What a maker of examples must know; plain data, so that it reaches a worker. */
export interface PairJob {
  readonly cohort: string;
  /** Ids of the training subjects. */
  readonly training: readonly string[];
  readonly configuration: PretrainConfiguration;
}

/** The images of an example; what was drawn for it stays with the maker. */
export type ExampleImages = Pick<Example, 'moving' | 'movingView' | 'fixed'>;

/** Makes examples on this thread. */
export async function pairMaker({ cohort: folder, training, configuration }: PairJob): Promise<ExampleMaker<ExampleImages>> {
  const cohort = await openCohort(folder);
  const byId = new Map(cohort.subjects.map((subject) => [subject.id, subject]));
  const subjects = training.map((id): Subject => byId.get(id)!);
  const sizes = subjects.map(({ geometry }) => toZyx(geometry.size));
  return async (step, sample) => {
    const { moving, movingView, fixed } = await makeExample(
      (subject, start, size) => readCrop(cohort, subjects[subject]!, start, size),
      exampleRequest(configuration, sizes, step, sample),
    );
    return { moving, movingView, fixed };
  };
}

/** The source of a run's examples, from step `firstStep` (0-based) on. */
export function openPairExamples(job: PairJob, firstStep: number): Promise<ExampleSource<ExampleImages>> {
  const { batch, steps } = job.configuration;
  return openExamples({ worker: new URL('./example-worker.js', import.meta.url), job, make: pairMaker, batch, steps, firstStep });
}
