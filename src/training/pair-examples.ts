/** The examples of pre-training: pairs of crops, damaged and transformed (src/method/example.ts). Also the thread that makes them. */
import { openCohort, type Subject } from '../cohort/cohort.ts';
import { readCrop } from '../cohort/crops.ts';
import { toZyx, type Zyx } from '../geometry/volume.ts';
import { type Example, makeExample } from '../method/example.ts';
import { type PretrainConfiguration, patchSize } from './configuration.ts';
import { type ExampleMaker, type ExampleSource, openExamples } from './example-source.ts';

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

/** The source of a run's examples, from step `firstStep` (0-based) on. */
export function openPairExamples(job: PairJob, firstStep: number): Promise<ExampleSource<ExampleImages>> {
  const { batch, steps } = job.configuration;
  return openExamples({ worker: new URL('./pair-worker.js', import.meta.url), job, make: pairMaker, batch, steps, firstStep });
}
