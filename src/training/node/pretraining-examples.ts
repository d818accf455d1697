/** The examples of a pre-training, made by its method from the files of its cohort. Also the thread that makes them. */
import type { Subject } from '../../cohort/cohort.ts';
import { cohortReader } from '../../cohort/node/crops.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import type { PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import { gvsl } from '../../methods/gvsl/method.ts';
import type { ExampleMaker, ExampleTensors } from '../../methods/method.ts';
import { type ExampleSource, openExamples } from './data-loader.ts';

/** What a maker of examples must know; plain data, so that it reaches a worker. */
export interface PretrainingJob {
  readonly cohort: string;
  /** Ids of the training subjects. */
  readonly training: readonly string[];
  readonly configuration: PretrainConfiguration;
}

/** Makes examples on this thread. */
export async function pretrainingMaker({
  cohort: folder,
  training,
  configuration,
}: PretrainingJob): Promise<ExampleMaker<ExampleTensors>> {
  const cohort = await openCohort(folder);
  const byId = new Map(cohort.subjects.map((subject) => [subject.id, subject]));
  return gvsl.examples(
    configuration,
    training.map((id): Subject => byId.get(id)!),
    cohortReader(cohort),
  );
}

/** The source of a run's examples, from step `firstStep` (0-based) on. */
export function openPretrainingExamples(job: PretrainingJob, firstStep: number): Promise<ExampleSource<ExampleTensors>> {
  const { batch, steps } = job.configuration;
  const worker = new URL('./pretraining-worker.js', import.meta.url);
  return openExamples({ worker, job, make: pretrainingMaker, batch, steps, firstStep });
}
