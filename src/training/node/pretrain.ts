/**
 * Pre-training: a cohort goes in, a run folder comes out (docs/file-formats.md says what is in it).
 *
 * A step is: the gradients of the batch, one sample at a time so that memory does not grow with the batch; their norms; Adam. Everything
 * random follows from (seed, step, sample), so a run is the same in one go or resumed, on any number of threads.
 */
import { cohortReader } from '../../cohort/node/crops.ts';
import { channelCount } from '../../cohort/prepare-options.ts';
import { UsageError } from '../../common/errors.ts';
import { voxelCount } from '../../geometry/volume.ts';
import { GVSL, methodNameOf } from '../../methods/descriptions.ts';
import type { PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import type { Evaluation } from '../../methods/gvsl/evaluate.ts';
import { gvsl } from '../../methods/gvsl/method.ts';
import type { ExampleTensors, PretrainingMethod, ProgramVariant } from '../../methods/method.ts';
import { type PretrainingConfiguration, toPatchSize } from '../../methods/schema-parts.ts';
import { configurationOf } from '../../model/configuration.ts';
import { type ParameterTable, STEM } from '../../model/parameters.ts';
import { patchWarnings } from '../patch-fit.ts';
import { isBackbone, methodOfHeads, startFrom } from '../start.ts';
import { examplesHeld } from './data-loader.ts';
import { runTraining } from './loop.ts';
import { methodHooks, NO_EXAMPLES } from './method-hooks.ts';
import { openTraining } from './open-training.ts';
import type { NamedPretrainCall, PretrainCall, PretrainResult } from './pretraining-call.ts';
import { openPretrainingExamples } from './pretraining-examples.ts';
import { pretrainFacts } from './pretraining-facts.ts';
import { chooseMethod } from './pretraining-method.ts';
import { readInitialModel, SCRATCH } from './start.ts';
import { checkCall, onRanks } from './training-call.ts';

/**
 * Pre-trains: a cohort goes in, a run folder comes out.
 * @throws UsageError for what is wrong with the call, RunError for a run that cannot go on
 */
export function pretrain<
  Configuration extends PretrainingConfiguration = PretrainConfiguration,
  Summary extends object = Evaluation,
>(given: PretrainCall<Configuration, Summary>): Promise<PretrainResult<Summary>>;
export function pretrain(given: NamedPretrainCall): Promise<PretrainResult<object>>;
export function pretrain(
  given: PretrainCall<PretrainingConfiguration, object> | NamedPretrainCall,
): Promise<PretrainResult<object>> {
  return onRanks(given, () => pretrainHere(given));
}

/** @throws UsageError for a method that makes networks of one channel alone */
function requireChannels({ parameters }: ParameterTable, wanted: number, { name }: PretrainingMethod): void {
  const stem = parameters.find((parameter) => parameter.name === STEM);
  if (stem && stem.shape[1] !== wanted)
    throw new UsageError(
      `\`data.channels\` all: the method ${name} makes a network of ${stem.shape[1]} input channel, and the cohort has ${wanted}; leave it out, or make its program with \`inputChannels\``,
    );
}

async function pretrainHere(
  given: PretrainCall<PretrainingConfiguration, object> | NamedPretrainCall,
): Promise<PretrainResult<object>> {
  const { method, kind } = await chooseMethod(given.method);
  const call = await checkCall<PretrainingConfiguration>(kind, given);
  const { configuration, out, progress } = call;
  const { facts, cohort, training, heldOut, test } = await pretrainFacts(call.cohort, configuration, method);
  method.check?.(configuration, cohort.subjects, training);
  const patch = toPatchSize(configuration.data.patch);
  const { width } = configuration.model;
  const heads = method.heads(configuration);
  const { options } = cohort;
  const together = configuration.data.channels === 'all';
  const inputChannels = together ? channelCount(options) : 1;
  const programOf = (variant: ProgramVariant = {}) => method.program(configuration, { ...variant, inputChannels });
  const { table: wholeTable } = programOf();
  requireChannels(wholeTable, inputChannels, method);
  const { init = SCRATCH, seed } = configuration;
  const initial = init === SCRATCH ? undefined : await readInitialModel(init, width);
  const sameMethod = initial !== undefined && methodOfHeads(initial.configuration) === (kind.method ?? GVSL);
  const start = startFrom(cohort, wholeTable, seed, initial, (part) => sameMethod || isBackbone(part));
  const job = { cohort: call.cohort, training: training.map(({ id }) => id), configuration };
  const made = {
    width,
    heads,
    inputChannels,
    options,
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
    program: programOf,
    // a checkpoint's copies of parameters and moments, and the examples that are made ahead
    bytesBeside: (table, size, batch) =>
      (3 + (method.carried?.length ?? 0)) * 4 * table.flatLength +
      4 * (method.imagesPerExample * inputChannels + (method.mapsPerExample ?? 0)) * voxelCount(size) * examplesHeld(batch),
    about: {
      cohort: `${call.cohort}: ${training.length} training subjects, ${heldOut.length} held out${test.length > 0 ? `, ${test.length} left out` : ''}${options.channels ? `; channels ${options.channels.map(({ name }) => name).join(', ')}: ${together ? 'all together' : 'one drawn for each sample, the first for evaluations'}` : ''}`,
      ...(initial && { start: start.text }),
    },
    warnings: [...patchWarnings(patch, training), ...start.warnings],
    start: start.parameters,
    record: { start: start.parts },
    // without what they follow from there are none before it is computed, and then they are opened anew
    examples: async (firstStep, memory, samples) =>
      method.refresh && !memory ? NO_EXAMPLES : openPretrainingExamples({ ...job, memory }, firstStep, ofCaller, samples),
    ...(method.takes === 'batch' && { runsPerBatch: 1 }),
    ...(method.carried && { carried: method.carried }),
    stepSeconds: given.stepSeconds,
  });
  try {
    const { session, table, backends, memory } = opened;
    const reader = cohortReader(cohort, together ? 'all' : 0);
    let evaluationText: string | null = null;
    const { state, newSteps, finished, loss, waitShare, evaluation } = await runTraining<ExampleTensors>({
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
        openExamples: (step, remembered) =>
          openPretrainingExamples({ ...job, memory: remembered }, step, ofCaller, opened.samples),
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
    return {
      out,
      method: methodNameOf(kind.method, configuration),
      step,
      newSteps,
      finished,
      loss,
      evaluation,
      evaluationText,
      ...of,
    };
  } finally {
    await opened.close();
  }
}
