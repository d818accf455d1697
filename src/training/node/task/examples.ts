/** The examples of training on a task from the files of a cohort, made ahead on a thread. */
import type { Subject } from '../../../cohort/cohort.ts';
import { cohortReader } from '../../../cohort/node/crops.ts';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { channelCount } from '../../../cohort/prepare-options.ts';
import { voxelCount, type Zyx } from '../../../geometry/volume.ts';
import type { ExampleMaker } from '../../../methods/method.ts';
import type { Task } from '../../../model/configuration.ts';
import type { Part } from '../../gradient-tree.ts';
import { outputsOf } from '../../task/classes.ts';
import type { TransferConfiguration } from '../../task/configuration.ts';
import { type TaskExample, taskExamples } from '../../task/examples.ts';
import { type ExampleSource, examplesHeld, openExamples } from '../data-loader.ts';

/** What a maker of examples must know; plain data, so that it reaches a worker. */
export interface TaskJob {
  readonly cohort: string;
  /** Ids of the training subjects. */
  readonly training: readonly string[];
  readonly configuration: TransferConfiguration;
  readonly task: Task;
  /** The image is not needed: features of whole volumes are at hand. */
  readonly withoutImage: boolean;
}

/** Makes examples on this thread: see `taskExamples`. */
export async function taskMaker({
  cohort: folder,
  training,
  configuration,
  task,
  withoutImage,
}: TaskJob): Promise<ExampleMaker<TaskExample>> {
  const cohort = await openCohort(folder);
  const byId = new Map(cohort.subjects.map((subject) => [subject.id, subject]));
  return taskExamples({
    reader: cohortReader(cohort, 'all'),
    channels: channelCount(cohort.options),
    subjects: training.map((id): Subject => byId.get(id)!),
    configuration,
    task,
    withoutImage,
  });
}

/** The source of a run's examples, from step `firstStep` (0-based) on: those samples of each step. */
export function openTaskExamples(job: TaskJob, firstStep: number, samples: Part): Promise<ExampleSource<TaskExample>> {
  const { steps } = job.configuration;
  return openExamples({
    worker: new URL('./example-worker.js', import.meta.url),
    job,
    make: taskMaker,
    samples,
    steps,
    firstStep,
  });
}

/**
 * Bytes beside the session: a checkpoint's copies of parameters and moments, the parameters that it starts from, the examples that are made ahead (an image, and the classes of its
 * voxels in two bytes each), the truth of the one that is computed (one-hot, as the session takes it).
 */
export function bytesBeside(flatLength: number, size: Zyx, samples: number, task: Task, channels = 1): number {
  const voxels = voxelCount(size);
  const classes = task.kind === 'segmentation' ? outputsOf(task) : 0;
  return 4 * 4 * flatLength + examplesHeld(samples) * voxels * (4 * channels + 2) + 4 * classes * voxels;
}
