/**
 * Pre-training: a cohort goes in, a run folder comes out (docs/file-formats.md says what is in it).
 *
 * A step is: the gradients of the batch, one sample at a time so that memory does not grow with the batch; their norms; Adam. Everything
 * random follows from (seed, step, sample), so a run is the same in one go or resumed, on any number of threads.
 */
import type { Subject } from '../../cohort/cohort.ts';
import { cohortReader } from '../../cohort/node/crops.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { voxelCount } from '../../geometry/volume.ts';
import type { PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import type { Evaluation } from '../../methods/gvsl/evaluate.ts';
import { gvsl } from '../../methods/gvsl/method.ts';
import type { ExampleTensors, PretrainingMethod } from '../../methods/method.ts';
import { methodNameOf } from '../../methods/registry.ts';
import { type PretrainingConfiguration, toPatchSize } from '../../methods/schema-parts.ts';
import { configurationOf } from '../../model/configuration.ts';
import { splitCohort } from '../split.ts';
import type { TrainingState } from './checkpoint.ts';
import { examplesHeld } from './data-loader.ts';
import { memoryOf, runTraining } from './loop.ts';
import { methodHooks, NO_EXAMPLES } from './method-hooks.ts';
import { openTraining } from './open-training.ts';
import { openPretrainingExamples } from './pretraining-examples.ts';
import { chooseMethod } from './pretraining-method.ts';
import type { RunFacts } from './run-record.ts';
import { initialModelOf, readInitialModel, SCRATCH, startFrom } from './start.ts';
import { checkCall, type TrainingCall } from './training-call.ts';

export interface PretrainCall<
  Configuration extends PretrainingConfiguration = PretrainConfiguration,
  Summary extends object = Evaluation,
> extends TrainingCall<Configuration> {
  /** The way to pre-train: an object, as this package's methods are and your own can be. Default: GVSL. */
  readonly method?: PretrainingMethod<Configuration, Summary>;
  /** Seconds that a step takes, where that is known; otherwise it is estimated. */
  readonly stepSeconds?: number;
}

/** A call that names its method. */
export interface NamedPretrainCall extends Omit<PretrainCall<PretrainingConfiguration, object>, 'method' | 'configuration'> {
  /** A name of `METHODS`: 'mae', 'without-affine'. */
  readonly method: string;
  /** Of that method; what is left out is as its schema has it. */
  readonly configuration?: Readonly<Record<string, unknown>>;
}

export interface PretrainResult<Summary extends object = Evaluation> {
  readonly out: string;
  /** What it was trained by: a name of `METHODS`, or of a method of the caller's own. */
  readonly method: string;
  /** Steps done in all. */
  readonly step: number;
  /** False if it was stopped before the last step. */
  readonly finished: boolean;
  /** Total loss of the last step that was not skipped. */
  readonly loss: number | null;
  /** The last evaluation of this call, and the steps that were done then; null if there was none. */
  readonly evaluation: (Summary & { readonly step: number }) | null;
  /** The same in a line. */
  readonly evaluationText: string | null;
  readonly best: TrainingState['best'];
  readonly skippedSteps: number;
  readonly parameters: number;
  /** Share of the time that computing waited for examples. */
  readonly waitShare: number;
}

/** The name of a method that is none of this package's. */
const otherName = ({ name }: { readonly name: string }): string | undefined => (name === gvsl.name ? undefined : name);

/** What a pre-training is made of. @throws UsageError for a cohort that is too small */
export async function pretrainFacts<Configuration extends PretrainingConfiguration>(
  folder: string,
  configuration: Configuration,
  method: PretrainingMethod<Configuration> = gvsl as unknown as PretrainingMethod<Configuration>,
) {
  const cohort = await openCohort(folder);
  const { training, heldOut } = splitCohort(cohort, configuration.data.heldOut, configuration.seed);
  const ids = (subjects: readonly Subject[]): string[] => subjects.map(({ id }) => id);
  const facts: RunFacts = {
    kind: 'pre-training',
    method: otherName(method),
    cohort,
    split: { training: ids(training), heldOut: ids(heldOut) },
    initialModel: await initialModelOf(configuration.init),
    configuration,
    schema: method.schema,
    withClasses: false,
  };
  return { facts, cohort, training, heldOut };
}

/**
 * Pre-trains: a cohort goes in, a run folder comes out.
 * @throws UsageError for what is wrong with the call, RunError for a run that cannot go on
 */
export function pretrain<
  Configuration extends PretrainingConfiguration = PretrainConfiguration,
  Summary extends object = Evaluation,
>(given: PretrainCall<Configuration, Summary>): Promise<PretrainResult<Summary>>;
export function pretrain(given: NamedPretrainCall): Promise<PretrainResult<object>>;
export async function pretrain(
  given: PretrainCall<PretrainingConfiguration, object> | NamedPretrainCall,
): Promise<PretrainResult<object>> {
  const { method, kind } = await chooseMethod(given.method);
  const call = await checkCall<PretrainingConfiguration>(kind, given);
  const { configuration, out, progress } = call;
  const { facts, cohort, training, heldOut } = await pretrainFacts(call.cohort, configuration, method);
  method.check?.(configuration, cohort.subjects);
  const patch = toPatchSize(configuration.data.patch);
  const { width } = configuration.model;
  const heads = method.heads(configuration);
  const { init = SCRATCH, seed } = configuration;
  const initial = init === SCRATCH ? undefined : await readInitialModel(init, width);
  const start = startFrom(cohort, method.program(configuration).table, seed, initial);
  const job = { cohort: call.cohort, training: training.map(({ id }) => id), configuration };
  const made = {
    width,
    heads,
    options: cohort.options,
    task: null,
    patch,
    kind: 'pretraining',
    method: kind.method,
    configuration,
    seed: configuration.seed,
  } as const;
  const ofCaller = method === gvsl ? undefined : method;
  const opened = await openTraining<ExampleTensors>({
    call,
    facts,
    patch,
    width,
    program: (variant) => method.program(configuration, variant),
    // a checkpoint's copies of parameters and moments, and the examples that are made ahead
    bytesBeside: (table, size, batch) =>
      (3 + (method.carried?.length ?? 0)) * 4 * table.flatLength +
      4 * method.imagesPerExample * voxelCount(size) * examplesHeld(batch),
    about: {
      cohort: `${call.cohort}: ${training.length} training subjects, ${heldOut.length} held out`,
      ...(initial && { start: start.text }),
    },
    warnings: start.warnings,
    start: start.parameters,
    record: { start: start.parts },
    examples: async (firstStep, run) => {
      const memory = run.checkpoint && memoryOf(run.checkpoint);
      // without what they follow from there are none before it is computed, and then they are opened anew
      return method.refresh && !memory ? NO_EXAMPLES : openPretrainingExamples({ ...job, memory }, firstStep, ofCaller);
    },
    ...(method.takes === 'batch' && { runsPerStep: 1 }),
    ...(method.carried && { carried: method.carried }),
    stepSeconds: given.stepSeconds,
  });
  try {
    const { session, table, backends, memory } = opened;
    const reader = cohortReader(cohort);
    let evaluationText: string | null = null;
    const { state, finished, loss, waitShare, evaluation } = await runTraining<ExampleTensors>({
      ...opened,
      out,
      configuration,
      progress,
      ...methodHooks(method, {
        session,
        configuration,
        training,
        reader,
        memory,
        openExamples: (step, remembered) => openPretrainingExamples({ ...job, memory: remembered }, step, ofCaller),
      }),
      gradient: (images, scaling) => session.run('gradient', { ...images, ...scaling }),
      modelConfiguration: (step) => configurationOf({ ...made, step, backends }),
      evaluate: async (request) => {
        const record = await method.evaluate(session, configuration, heldOut, reader, { ...request, training });
        evaluationText = record?.text ?? evaluationText;
        return record;
      },
      ...(given.signal && { signal: given.signal }),
    });
    const { step, best, skippedSteps } = state;
    const of = { best, skippedSteps, parameters: table.count, waitShare };
    return { out, method: methodNameOf(kind.method, configuration), step, finished, loss, evaluation, evaluationText, ...of };
  } finally {
    await opened.close();
  }
}
