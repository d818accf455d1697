/** The examples of a pre-training, made by its method from the files of its cohort. Also the thread that makes them. */
import type { Subject } from '../../cohort/cohort.ts';
import { cohortReader } from '../../cohort/node/crops.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { channelCount } from '../../cohort/prepare-options.ts';
import { UsageError } from '../../common/errors.ts';
import { randomStream } from '../../common/random.ts';
import { gvsl } from '../../methods/gvsl/method.ts';
import type { ExampleMaker, ExampleTensors, Memory, PretrainingMethod } from '../../methods/method.ts';
import { type PretrainingConfiguration, samplesPerStep } from '../../methods/schema-parts.ts';
import type { Part } from '../gradient-tree.ts';
import { type ExampleSource, openExamples } from './data-loader.ts';

/** What a maker of examples must know; plain data, so that it reaches a worker. */
export interface PretrainingJob<Configuration extends PretrainingConfiguration = PretrainingConfiguration> {
  readonly cohort: string;
  /** Ids of the training subjects. */
  readonly training: readonly string[];
  readonly configuration: Configuration;
  /** The method, where it is none of this package: its name, and the module that exports it. */
  readonly method?: { readonly name: string; readonly module: string };
  /** What the method remembers. */
  readonly memory?: Memory | undefined;
}

/** A method by the module that exports it. @throws UsageError if it is not there */
async function importMethod({ name, module }: NonNullable<PretrainingJob['method']>): Promise<PretrainingMethod> {
  const { method } = (await import(module)) as { method?: PretrainingMethod };
  if (method?.name !== name)
    throw new UsageError(
      `\`method.module\` ${module}: expected an export \`method\` with the name '${name}', found ${method ? `'${method.name}'` : 'none'}`,
    );
  return method;
}

/** Makes examples on this thread. @param known the method, where it need not be imported */
export async function pretrainingMaker(job: PretrainingJob, known?: PretrainingMethod): Promise<ExampleMaker<ExampleTensors>> {
  const method = known ?? (job.method ? await importMethod(job.method) : (gvsl as unknown as PretrainingMethod));
  const cohort = await openCohort(job.cohort);
  const byId = new Map(cohort.subjects.map((subject) => [subject.id, subject]));
  const training = job.training.map((id): Subject => byId.get(id)!);
  const makerOf = (channel: number | 'all'): ExampleMaker<ExampleTensors> =>
    method.examples(job.configuration, training, cohortReader(cohort, channel), job.memory);
  if (job.configuration.data.channels === 'all') return makerOf('all');
  // of several channels one is drawn for each sample, so that any method, and a network of one input channel, learns from all
  const makers = Array.from({ length: channelCount(cohort.options) }, (_, channel) => makerOf(channel));
  if (makers.length === 1) return makers[0];
  const { seed } = job.configuration;
  return (step, sample) => makers[randomStream(seed, 'channel', step, sample).integer(0, makers.length)](step, sample);
}

/**
 * The source of a run's examples, from step `firstStep` (0-based) on.
 * @param method of the caller's own; by default that of this package
 * @param samples of each step; by default all
 */
export async function openPretrainingExamples(
  job: PretrainingJob,
  firstStep: number,
  method?: PretrainingMethod,
  samples: Part = { from: 0, to: samplesPerStep(job.configuration) },
): Promise<ExampleSource<ExampleTensors>> {
  const { steps } = job.configuration;
  const make = (of: PretrainingJob): Promise<ExampleMaker<ExampleTensors>> => pretrainingMaker(of, method);
  if (method && method.module === undefined) return { take: await make(job), close: async () => {} };
  const worker = new URL('./pretraining-worker.js', import.meta.url);
  const named = method?.module === undefined ? job : { ...job, method: { name: method.name, module: method.module } };
  return openExamples({ worker, job: named, make, samples, steps, firstStep });
}
