/**
 * Training on a task with few labels (docs/transfer.md): a cohort with label maps or classes goes in, a run folder comes out, with the state
 * that the validation subjects judge best, and that state's scores on the test subjects.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Subject } from '../../../cohort/cohort.ts';
import { cohortReader } from '../../../cohort/node/crops.ts';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { UsageError } from '../../../common/errors.ts';
import { scaledArchitecture } from '../../../model/architecture.ts';
import { configurationOf, type Task } from '../../../model/configuration.ts';
import { trainedOf, transferProgram } from '../../../model/task-programs.ts';
import { patchWarnings } from '../../patch-fit.ts';
import { outputsOf } from '../../task/classes.ts';
import { isAugmented, TRANSFER, type TransferConfiguration, transferPatch } from '../../task/configuration.ts';
import { evaluateTask, type TaskEvaluation } from '../../task/evaluate.ts';
import { oneHot, type TaskExample } from '../../task/examples.ts';
import type { TrainingState } from '../checkpoint.ts';
import { runTraining } from '../loop.ts';
import { openTraining } from '../open-training.ts';
import { seenByInitialModel } from '../seen.ts';
import { initialModelOf } from '../start.ts';
import { checkCall, onRanks, type TrainingCall } from '../training-call.ts';
import { bytesBeside, openTaskExamples } from './examples.ts';
import { describeSubjects, trainFacts } from './facts.ts';
import { cropFeatures, featureBytes, trainingFeatures } from './features.ts';
import { judgeBest, TEST_FILE, type TestResult, VALIDATION_FILE, type ValidationResult } from './judge-best.ts';
import type { TaskSplit } from './split.ts';
import { initialWeights } from './start.ts';
import { taskOf } from './task.ts';

export type TrainCall = TrainingCall<TransferConfiguration>;

export interface TrainResult {
  readonly out: string;
  /** Steps done in all. */
  readonly step: number;
  /** Steps of this call: 0 if a run that is resumed was done. */
  readonly newSteps: number;
  /** False if it was stopped before the last step. */
  readonly finished: boolean;
  readonly stoppedEarly: boolean;
  /** Total loss of the last step of this call that was not skipped; null if there was none. */
  readonly loss: number | null;
  /** The last evaluation of this call on the validation subjects, and the steps that were done then; null if there was none. */
  readonly evaluation: (TaskEvaluation & { readonly step: number }) | null;
  readonly best: TrainingState['best'];
  /** The best state on the validation subjects; null without them, on ranks other than 0, and if the run was stopped. */
  readonly validation: ValidationResult | null;
  /** Null without test subjects, on ranks other than 0, and if the run was stopped. */
  readonly test: TestResult | null;
  /** What the network tells apart. */
  readonly task: Task;
  readonly skippedSteps: number;
  readonly parameters: number;
  readonly waitShare: number;
  readonly subjects: { readonly training: number; readonly validation: number; readonly test: number };
}

/**
 * Features of whole training volumes are kept up to so many bytes; of more, each step computes those of its crops. The features of a crop by itself
 * are others near its border, so sizes alone decide, and not the memory that happens to be free: a run is the same on every machine and when resumed.
 */
const MAX_FEATURE_BYTES = 4 * 2 ** 30;

/** Trains on a task. @throws UsageError for what is wrong with the call, RunError for a run that cannot go on */
export function train(given: TrainCall): Promise<TrainResult> {
  return onRanks(given, () => trainHere(given));
}

/** Whose scores a training is known by: the test subjects' if there are some; in a cross-validation also those of the fold. */
function judgedOf(
  { validation, test }: TaskSplit,
  inFolds: boolean,
): { readonly who: string; readonly judged: readonly Subject[] } {
  if (test.length === 0) return { who: 'validation subjects', judged: validation };
  return inFolds
    ? { who: 'validation and test subjects', judged: [...validation, ...test] }
    : { who: 'test subjects', judged: test };
}

/**
 * `train` for one of several ranks.
 * @param choosesPostProcessing false: the folds of a cross-validation choose it together
 */
export async function trainHere(given: TrainCall, choosesPostProcessing = true): Promise<TrainResult> {
  const call = await checkCall(TRANSFER, given);
  const { configuration, out, progress } = call;
  if (configuration.data.folds > 1 && configuration.data.fold === 'all')
    throw new UsageError('`data.fold` all: one training is of one fold; give its number, or call crossValidate for all');
  const cohort = await openCohort(call.cohort);
  const { facts, split } = await trainFacts(cohort, configuration, await initialModelOf(configuration.init));
  const task = await taskOf(cohort, configuration);
  const { who, judged } = judgedOf(split, !choosesPostProcessing);
  const seen = await seenByInitialModel(configuration.init, cohort, judged, who);
  const start = await initialWeights(cohort, configuration, task);
  const { heads, widths, inputChannels } = start.architecture;
  const frozen = configuration.mode === 'linear';
  const fromFeatures =
    frozen &&
    task.kind === 'segmentation' &&
    !isAugmented(configuration) &&
    featureBytes(split.training, widths[8]) <= MAX_FEATURE_BYTES;
  const patch = transferPatch(configuration);
  const { batch, loss: lossOptions, inference } = configuration;
  const classes = task.kind === 'segmentation' ? task.labels.map(({ code, name }) => `${code} ${name}`) : task.classes;
  const training = split.training.map(({ id }) => id);
  const opened = await openTraining<TaskExample>({
    call,
    facts,
    patch,
    width: start.width,
    program: ({ patch: size = patch, width = start.width, lossScaling = false } = {}) =>
      transferProgram({
        architecture: width === start.width ? start.architecture : scaledArchitecture(width, heads, inputChannels),
        size,
        batch,
        frozen,
        loss: lossOptions.kind,
        fromFeatures,
        lossScaling,
      }),
    trained: (table) => trainedOf({ frozen }, table),
    bytesBeside: ({ flatLength }, size, samples, width) =>
      bytesBeside(flatLength, size, samples, task, inputChannels) +
      (fromFeatures ? featureBytes(split.training, scaledArchitecture(width, heads).widths[8]) : 0),
    about: {
      cohort: `${call.cohort}: ${describeSubjects(split.training)} for training, ${describeSubjects(split.validation)} for validation, ${describeSubjects(split.test)} for testing`,
      classes: classes.join(', '),
      start: `${start.text}; ${frozen ? 'backbone frozen' : 'all parameters trained'}`,
    },
    warnings: [...patchWarnings(patch, split.training), ...start.warnings, ...seen],
    start: start.parameters,
    record: { task, start: start.parts },
    examples: (firstStep, _, samples) =>
      openTaskExamples({ cohort: call.cohort, training, configuration, task, withoutImage: fromFeatures }, firstStep, samples),
    prepare: async ({ state }) => {
      // scores of fewer steps than this call may make; its end writes them anew
      if (state?.step !== configuration.steps)
        for (const file of [TEST_FILE, VALIDATION_FILE]) await rm(join(out, file), { force: true });
    },
  });
  try {
    const { session, table, backends } = opened;
    const features = fromFeatures
      ? await trainingFeatures(session, cohort, split.training, patch, inference.overlap, widths[8], progress)
      : [];
    const { state, newSteps, finished, stoppedEarly, loss, waitShare, evaluation } = await runTraining<
      TaskExample,
      TaskEvaluation
    >({
      ...opened,
      out,
      configuration,
      progress,
      gradient: async ({ image, truth: given, subject, start: place }, scaling) => {
        const truth = task.kind === 'segmentation' ? oneHot(given, outputsOf(task), given.length) : given;
        const input = fromFeatures ? { features: cropFeatures(features[subject], place, patch) } : { image };
        return await session.run('gradient', { ...input, truth, ...scaling } as Record<string, Float32Array>);
      },
      modelConfiguration: (step) =>
        configurationOf({
          width: start.width,
          heads,
          inputChannels,
          options: cohort.options,
          task,
          patch: task.patch,
          kind: 'training',
          configuration,
          seed: configuration.seed,
          step,
          backends,
        }),
      evaluate: (request) =>
        evaluateTask(session, cohortReader(cohort, 'all'), split.validation, task, inference.overlap, request),
      ...(given.signal && { signal: given.signal }),
    });
    const { step, best, skippedSteps } = state;
    const leads = call.ranks.rank === 0;
    const { validation, test } =
      leads && finished
        ? await judgeBest(opened, call, cohort, split, task, choosesPostProcessing)
        : { validation: null, test: null };
    const subjects = { training: split.training.length, validation: split.validation.length, test: split.test.length };
    const parameters = table.count;
    return {
      ...{ out, step, newSteps, finished, stoppedEarly, loss, evaluation, best, validation, test, task },
      ...{ skippedSteps, parameters, waitShare, subjects },
    };
  } finally {
    await opened.close();
  }
}
