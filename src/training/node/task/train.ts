/**
 * Training on a task with few labels (docs/transfer.md): a cohort with label maps or classes goes in, a run folder comes out, with the state
 * that the validation subjects judge best, and that state's scores on the test subjects.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cohort, Subject } from '../../../cohort/cohort.ts';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { formatDuration } from '../../../common/format-duration.ts';
import { version } from '../../../common/version.ts';
import type { Backend, Session } from '../../../engine/backend.ts';
import { voxelCount, type Zyx } from '../../../geometry/volume.ts';
import { encodePng } from '../../../images/pictures/png.ts';
import { segmentationPicture } from '../../../images/pictures/segmentation-picture.ts';
import { type Architecture, scaledArchitecture } from '../../../model/architecture.ts';
import type { ModelConfiguration, Task } from '../../../model/configuration.ts';
import { flatTensor } from '../../../model/named-parameters.ts';
import { jsonText } from '../../../model/node/model-folder.ts';
import { STATES } from '../../../model/optimizer.ts';
import { type TransferOptions, transferProgram } from '../../../model/task-programs.ts';
import { type ExampleSource, examplesHeld } from '../../../platform/node/example-source.ts';
import { writeFileAtomic } from '../../../platform/node/files.ts';
import { availableBytes } from '../../../platform/node/limits.ts';
import { withMachineTrouble } from '../../../platform/node/machine.ts';
import { availableTo, memoryText, requireMemory } from '../../../platform/node/memory.ts';
import type { Progress } from '../../../platform/node/progress.ts';
import { lossesOf } from '../../step.ts';
import { isAugmented, type TransferConfiguration, transferConfigurationSchema, transferPatch } from '../../task/configuration.ts';
import { openRun, type Run, readCheckpoint, type TrainingState } from '../checkpoint.ts';
import { type EvaluationContext, restoreState, runTraining } from '../loop.ts';
import { agreeWithRun, type RunFacts, writeRunRecord } from '../run-record.ts';
import { estimateStepSeconds } from '../speed.ts';
import { evaluateSubjects, type SubjectScores, summarizeScores, type TaskEvaluation } from './evaluate.ts';
import { oneHot, openTaskExamples, type TaskExample } from './examples.ts';
import { cropFeatures, featureBytes, featuresOf, type VolumeFeatures } from './features.ts';
import { isNegative, splitForTask, type TaskSplit } from './split.ts';
import { initialModelOf, startOf, type TransferStart } from './start.ts';
import { outputsOf, taskOf } from './task.ts';

export interface TrainCall {
  /** Folder that `prepare` made. */
  readonly cohort: string;
  /** Folder of the run. */
  readonly out: string;
  readonly configuration: TransferConfiguration;
  readonly resume: boolean;
  readonly progress: Progress;
  /** Aborted: the run ends after the step, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** Scores of the test subjects, as test.json has them. */
export interface TestResult {
  /** The step whose state was tested. */
  readonly step: number;
  readonly summary: TaskEvaluation;
  readonly subjects: readonly SubjectScores[];
}

export interface TrainResult {
  readonly out: string;
  /** Steps done in all. */
  readonly step: number;
  /** False if it was stopped before the last step. */
  readonly finished: boolean;
  readonly stoppedEarly: boolean;
  readonly loss: number | null;
  /** The last evaluation of this call on the validation subjects, and the steps that were done then; null if there was none. */
  readonly evaluation: (TaskEvaluation & { readonly step: number }) | null;
  readonly best: TrainingState['best'];
  /** Null without test subjects, or if the run was stopped. */
  readonly test: TestResult | null;
  readonly skippedSteps: number;
  readonly parameters: number;
  readonly waitShare: number;
  readonly subjects: { readonly training: number; readonly validation: number; readonly test: number };
}

/** Scores of the test subjects. */
export const TEST_FILE = 'test.json';

/** Validation subjects that pictures are made of. */
const PICTURED_SUBJECTS = 2;
/** Features of whole volumes may take this part of the memory that can be had. */
const FEATURES_SHARE = 0.25;

/** What a run is made of once it is checked. */
interface Work extends TrainCall {
  readonly opened: Cohort;
  readonly split: TaskSplit;
  readonly task: Task;
  readonly start: TransferStart;
  readonly options: TransferOptions;
  readonly identity: string;
  readonly backends: readonly string[];
}

function modelConfiguration({ configuration, opened, task, start, backends }: Work, step: number): ModelConfiguration {
  const { modality, spacingMm, intensity, crop } = opened.options;
  const { architecture, width } = start;
  const { affine, matching, restoration, segmentation, classification } = architecture.heads;
  return {
    format: 'gvsl-model',
    formatVersion: 1,
    architecture: {
      width,
      channels: architecture.widths.slice(0, 5),
      heads: {
        affine,
        matching,
        restoration,
        ...(segmentation === undefined ? {} : { segmentation }),
        ...(classification === undefined ? {} : { classification }),
      },
    },
    preprocessing: { modality, spacingMm: [spacingMm[0], spacingMm[1], spacingMm[2]], intensity, crop },
    task,
    patch: task.patch,
    pretraining: null,
    // how long a run went on, and on what, shapes nothing of the model: equal training gives equal files
    training: { ...configuration, steps: Math.max(1, step), threads: 'auto', backend: 'auto' },
    seed: configuration.seed,
    step,
    backends: [...backends],
    versions: { gvsl: version },
  };
}

/**
 * Bytes beside the session: a checkpoint's copies of parameters and moments, the parameters that it starts from, the examples that are made ahead (an image, and the classes of its
 * voxels in two bytes each), the truth of the one that is computed (one-hot, as the session takes it), and Node itself.
 */
export function hostBytes(flatLength: number, size: Zyx, batch: number, task: Task): number {
  const voxels = voxelCount(size);
  const classes = task.kind === 'segmentation' ? outputsOf(task) : 0;
  return 4 * 4 * flatLength + examplesHeld(batch) * voxels * (4 + 2) + 4 * classes * voxels + 300 * 2 ** 20;
}

/** '5 subjects', '5 subjects (2 of them negatives)'. */
function counted(subjects: readonly Subject[]): string {
  const negatives = subjects.filter(isNegative).length;
  return `${subjects.length} subjects${negatives > 0 ? ` (${negatives} of them without any label: negatives)` : ''}`;
}

/** Refuses what does not fit, and says what will happen. */
async function announce(work: Work, backend: Backend): Promise<void> {
  const { configuration, options, start, split, progress, task } = work;
  const besideSession = ({ widths }: Architecture, flatLength: number, size: Zyx, batch: number): number =>
    hostBytes(flatLength, size, batch, task) + (options.fromFeatures ? featureBytes(split.training, widths[8]!) : 0);
  const bytesOf = (size: Zyx, width: number, batch: number): number => {
    const architecture = scaledArchitecture(width, start.architecture.heads);
    const { program, table } = transferProgram({ ...options, architecture, size });
    return backend.memoryBytes(program) + besideSession(architecture, table.flatLength, size, batch);
  };
  requireMemory(
    { patch: options.size, width: start.width, batch: configuration.batch, neededBytes: bytesOf },
    availableTo(backend),
  );
  const { program, table } = transferProgram(options);
  const seconds = await estimateStepSeconds(backend, program.graphs.get('gradient')!, configuration.batch);
  const classes = task.kind === 'segmentation' ? task.labels.map(({ code, name }) => `${code} ${name}`) : task.classes;
  progress.say(
    [
      `cohort     ${work.cohort}: ${counted(split.training)} to train with, ${counted(split.validation)} to validate, ${counted(split.test)} to test`,
      `classes    ${classes.join(', ')}`,
      `start      ${configuration.init}, ${configuration.mode === 'linear' ? 'backbone frozen' : 'everything trained'}`,
      `network    ${table.count.toLocaleString('en')} parameters (width ${start.width})`,
      `memory     ${memoryText(backend, backend.memoryBytes(program), besideSession(start.architecture, table.flatLength, options.size, configuration.batch))}`,
      `computing  ${backend.description}`,
      `time       about ${seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`} a step, ${formatDuration(seconds * configuration.steps * 1000)} for ${configuration.steps} steps, validation apart`,
      ...start.remarks.map((remark) => `remark     ${remark}`),
    ].join('\n'),
  );
}

/** What a training is made of. @throws UsageError for a cohort without such labels, or a split that is none */
export async function trainFacts(
  opened: Cohort,
  configuration: TransferConfiguration,
  initialModel: RunFacts['initialModel'],
): Promise<{ facts: RunFacts; split: TaskSplit }> {
  const split = await splitForTask(opened, configuration);
  const ids = (part: keyof TaskSplit): string[] => split[part].map(({ id }) => id);
  const facts: RunFacts = {
    kind: 'training on a task',
    cohort: opened,
    split: { training: ids('training'), validation: ids('validation'), test: ids('test') },
    initialModel,
    configuration,
    schema: transferConfigurationSchema,
    withClasses: configuration.task === 'classification',
  };
  return { facts, split };
}

/** Trains on a task. @throws UsageError for what is wrong with the call, WorkError for a run that cannot go on */
export async function train(call: TrainCall): Promise<TrainResult> {
  const { configuration, out, progress } = call;
  const opened = await openCohort(call.cohort);
  const { facts, split } = await trainFacts(opened, configuration, await initialModelOf(configuration.init));
  const task = await taskOf(opened, configuration);
  const start = await startOf(opened, configuration, task);
  const frozen = configuration.mode === 'linear';
  const fromFeatures =
    frozen &&
    task.kind === 'segmentation' &&
    !isAugmented(configuration) &&
    featureBytes(split.training, start.architecture.widths[8]!) < FEATURES_SHARE * availableBytes().bytes;
  const run = await openRun(out, { resume: call.resume });
  try {
    const agreed = await agreeWithRun(run, facts, progress);
    const { backend, identity, backends } = agreed;
    const options: TransferOptions = {
      architecture: start.architecture,
      size: transferPatch(configuration),
      batch: configuration.batch,
      frozen,
      loss: configuration.loss.kind,
      fromFeatures,
      lossScaling: backend.half === true,
    };
    const work: Work = { ...call, opened, split, task, start, options, identity, backends };
    const { program, table } = transferProgram(options);
    await announce(work, backend);
    await withMachineTrouble(out, () => mkdir(join(out, 'pictures'), { recursive: true }));
    await writeRunRecord(out, agreed, { task, parameters: table.count });
    // of fewer steps than this call may make; the end of this call writes it anew
    if (run.state?.step !== configuration.steps) await rm(join(out, TEST_FILE), { force: true });
    // first, so that the thread of examples starts while the session opens
    const examples = await openTaskExamples(
      {
        cohort: call.cohort,
        training: split.training.map(({ id }) => id),
        configuration,
        task,
        withoutImage: fromFeatures,
      },
      run.state?.step ?? 0,
    );
    try {
      const session = await backend.open(program);
      try {
        await restoreState(session, table, run, start.parameters);
        return await loop(work, run, session, examples);
      } finally {
        await session.close();
      }
    } finally {
      await examples.close();
    }
  } finally {
    run.close();
    progress.stop();
  }
}

async function loop(work: Work, run: Run, session: Session, examples: ExampleSource<TaskExample>): Promise<TrainResult> {
  const { configuration, out, progress, opened, split, task, options, signal, identity } = work;
  const { table } = transferProgram(options);
  const { overlap } = configuration.inference;
  let evaluation: TrainResult['evaluation'] = null;

  const features: VolumeFeatures[] = [];
  if (options.fromFeatures) {
    progress.start(split.training.length, 'feature maps');
    for (const subject of split.training) {
      features.push(await featuresOf(session, opened, subject, options.size, overlap, options.architecture.widths[8]!));
      progress.advance(1, subject.id);
    }
  }

  const evaluate = async ({ step, pictures, metrics, events, now }: EvaluationContext): Promise<number | null> => {
    if (split.validation.length === 0) return null;
    const drawings: [path: string, png: Uint8Array][] = [];
    const results = await evaluateSubjects(
      session,
      opened,
      split.validation,
      task,
      overlap,
      (index, size, image, truth, predicted) => {
        const drawn = segmentationPicture({ size, image, truth, predicted });
        const png = encodePng(drawn);
        drawings.push([`pictures/step-${String(step).padStart(6, '0')}-subject-${index}.png`, png]);
        events.image(step, `subject/${index}`, { png, width: drawn.width, height: drawn.height }, now());
      },
      pictures ? PICTURED_SUBJECTS : 0,
    );
    for (const [path, png] of drawings) await writeFileAtomic(join(out, path), png);
    const summary = summarizeScores(results, task);
    evaluation = { step, ...summary };
    metrics.append({ kind: 'evaluation', step, ...summary });
    const scalars: Record<string, number> = {};
    for (const name of ['dice', 'auc', 'accuracy'] as const)
      if (summary[name] !== null) scalars[`validation/${name}`] = summary[name];
    if (task.kind === 'segmentation')
      summary.dicePerClass!.forEach((dice, c) => {
        if (dice !== null) scalars[`validation/dice/${task.labels[c + 1]!.name}`] = dice;
      });
    events.scalars(step, scalars, now());
    await writeFileAtomic(join(out, 'evaluation.json'), jsonText({ step, summary, subjects: results }));
    progress.say(`step ${step}: ${describeScores(summary)}`);
    return scoreOfTask(summary);
  };

  const { state, finished, stoppedEarly, loss, waitShare } = await runTraining<TaskExample>({
    out,
    configuration,
    run,
    identity,
    session,
    table,
    progress,
    examples,
    gradient: async ({ image, truth: classes, subject, start }, scaling) => {
      const truth = task.kind === 'segmentation' ? oneHot(classes, outputsOf(task), classes.length) : classes;
      const input = options.fromFeatures ? { features: cropFeatures(features[subject]!, start, options.size) } : { image };
      return lossesOf(await session.run('gradient', { ...input, truth, ...scaling } as Record<string, Float32Array>));
    },
    lossScaling: options.lossScaling === true,
    modelConfiguration: (step) => modelConfiguration(work, step),
    evaluate,
    ...(signal ? { signal } : {}),
  });

  const { step, best, skippedSteps } = state;
  const test = finished && split.test.length > 0 ? await testBest(work, session) : null;
  const subjects = { training: split.training.length, validation: split.validation.length, test: split.test.length };
  return {
    out,
    step,
    finished,
    stoppedEarly,
    loss,
    evaluation,
    best,
    test,
    skippedSteps,
    parameters: table.count,
    waitShare,
    subjects,
  };
}

/** Scores the best state (without validation the last) on the test subjects, and writes test.json. */
async function testBest(
  { out, opened, split, task, options, configuration, progress, identity }: Work,
  session: Session,
): Promise<TestResult> {
  const state = (await readCheckpoint(out, 'best')) ?? (await readCheckpoint(out, 'last'))!;
  await session.writeState(STATES.parameters, flatTensor(transferProgram(options).table, state.parameters, out));
  progress.say(`testing the state of step ${state.state.step} on ${split.test.length} subjects`);
  const subjects = await evaluateSubjects(session, opened, split.test, task, configuration.inference.overlap);
  const result: TestResult = { step: state.state.step, summary: summarizeScores(subjects, task), subjects };
  await writeFileAtomic(join(out, TEST_FILE), jsonText({ run: identity, task, ...result }));
  return result;
}

/** What the best state is chosen by, the lower the better: overlap; area under the curve, accuracy between equal ones. */
function scoreOfTask({ dice, auc, accuracy }: TaskEvaluation): number | null {
  if (dice !== null) return 1 - dice;
  if (accuracy === null) return null;
  return 1 - (auc ?? 0.5) + 1e-3 * (1 - accuracy);
}

/** An evaluation in a line. */
export function describeScores({ dice, dicePerClass, auc, accuracy, subjects }: TaskEvaluation): string {
  const of = `${subjects} subjects`;
  if (dicePerClass)
    return `Dice ${dice?.toFixed(3) ?? '-'} (${dicePerClass.map((value) => value?.toFixed(3) ?? '-').join(', ')}) on ${of}`;
  return `AUC ${auc?.toFixed(3) ?? '-'}, accuracy ${accuracy?.toFixed(3) ?? '-'} on ${of}`;
}
