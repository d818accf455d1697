/**
 * Training on a task with few labels (docs/transfer.md): a cohort with label maps or classes goes in, a run folder comes out, with the state
 * that the validation subjects judge best, and that state's scores on the test subjects.
 */
import { writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { type Cohort, openCohort, type Subject } from '../cohort/cohort.ts';
import type { Backend, Session } from '../engine/backend.ts';
import { UsageError } from '../errors/errors.ts';
import { formatDuration } from '../errors/format-duration.ts';
import type { Zyx } from '../geometry/volume.ts';
import { STATES } from '../method/gvsl.ts';
import { type TransferOptions, transferProgram } from '../method/transfer/programs.ts';
import { scaledArchitecture } from '../model/architecture.ts';
import { createBackend } from '../node/backends.ts';
import { writeFileAtomic } from '../node/files.ts';
import { availableBytes } from '../node/limits.ts';
import type { Progress } from '../node/progress.ts';
import { encodePng } from '../pictures/picture.ts';
import { segmentationPicture } from '../pictures/segmentation-picture.ts';
import { openRun, type Run, readCheckpoint, type TrainingState } from '../training/checkpoint.ts';
import { availableTo, memoryText, requireMemory } from '../training/estimate.ts';
import type { ExampleSource } from '../training/example-source.ts';
import { type EvaluationContext, restoreState, runTraining } from '../training/loop.ts';
import type { ModelConfiguration, Task } from '../training/model-configuration.ts';
import { jsonText } from '../training/model-folder.ts';
import { flatTensor } from '../training/named-parameters.ts';
import { requireSameRun } from '../training/same-run.ts';
import { estimateStepSeconds } from '../training/speed.ts';
import { lossesOf } from '../training/step.ts';
import { version } from '../version.ts';
import { isAugmented, type TransferConfiguration, transferConfigurationSchema, transferPatch } from './configuration.ts';
import { evaluateSubjects, type SubjectScores, summarizeScores, type TaskEvaluation } from './evaluate.ts';
import { openTaskExamples, type TaskExample } from './examples.ts';
import { cropFeatures, featureBytes, featuresOf, type VolumeFeatures } from './features.ts';
import { isNegative, splitForTask, type TaskSplit } from './split.ts';
import { startOf, type TransferStart } from './start.ts';
import { taskOf } from './task.ts';

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
  /** The last evaluation on the validation subjects. */
  readonly evaluation: TaskEvaluation | null;
  readonly best: TrainingState['best'];
  /** Null without test subjects, or if the run was stopped. */
  readonly test: TestResult | null;
  readonly skippedSteps: number;
  readonly parameters: number;
  readonly waitShare: number;
  readonly subjects: { readonly training: number; readonly validation: number; readonly test: number };
}

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
}

function modelConfiguration({ configuration, opened, task, start }: Work, step: number): ModelConfiguration {
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
    versions: { gvsl: version },
  };
}

/** Bytes beside the session: a checkpoint's copies of parameters and moments, and Node itself. */
const hostBytes = (flatLength: number): number => 3 * 4 * flatLength + 300 * 2 ** 20;

/** '5 subjects', '5 subjects (2 of them negatives)'. */
function counted(subjects: readonly Subject[]): string {
  const negatives = subjects.filter(isNegative).length;
  return `${subjects.length} subjects${negatives > 0 ? ` (${negatives} of them without any label: negatives)` : ''}`;
}

/** Refuses what does not fit, and says what will happen. */
async function announce(work: Work, backend: Backend): Promise<void> {
  const { configuration, options, start, split, progress, task } = work;
  const bytesOf = (size: Zyx, width: number): number => {
    const architecture = scaledArchitecture(width, start.architecture.heads);
    const { program, table } = transferProgram({ ...options, architecture, size });
    return backend.memoryBytes(program) + hostBytes(table.flatLength);
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
      `memory     ${memoryText(backend, backend.memoryBytes(program), hostBytes(table.flatLength))}`,
      `computing  ${backend.description}`,
      `time       about ${seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`} a step, ${formatDuration(seconds * configuration.steps * 1000)} for ${configuration.steps} steps, validation apart`,
      ...start.remarks.map((remark) => `remark     ${remark}`),
    ].join('\n'),
  );
}

/** Trains on a task. @throws UsageError for what is wrong with the call, WorkError for a run that cannot go on */
export async function train(call: TrainCall): Promise<TrainResult> {
  const { configuration, out, progress } = call;
  const opened = await openCohort(call.cohort);
  const split = await splitForTask(opened, configuration);
  const task = await taskOf(opened, configuration);
  const start = await startOf(opened, configuration, task);
  const frozen = configuration.mode === 'linear';
  const fromFeatures =
    frozen &&
    task.kind === 'segmentation' &&
    !isAugmented(configuration) &&
    featureBytes(split.training, start.architecture.widths[8]!) < FEATURES_SHARE * availableBytes().bytes;
  const backend = await createBackend(
    configuration.backend,
    configuration.threads === 'auto' ? undefined : configuration.threads,
  );
  const options: TransferOptions = {
    architecture: start.architecture,
    size: transferPatch(configuration),
    batch: configuration.batch,
    frozen,
    loss: configuration.loss.kind,
    fromFeatures,
    lossScaling: backend.half === true,
  };
  const work: Work = { ...call, opened, split, task, start, options };
  const { program, table } = transferProgram(options);
  const run = await openRun(out, { resume: call.resume });
  try {
    if (run.checkpoint) {
      const begun = run.checkpoint.configuration.training;
      if (!begun) throw new UsageError(`--out ${out}: holds a pre-training run; give another folder`);
      requireSameRun(begun, configuration, out, transferConfigurationSchema);
      if (run.checkpoint.state.step > configuration.steps)
        throw new UsageError(
          `--steps: ${out} has done ${run.checkpoint.state.step} steps already, expected at least as many, got ${configuration.steps}`,
        );
    }
    await announce(work, backend);
    await mkdir(join(out, 'pictures'), { recursive: true });
    const ids = (part: keyof TaskSplit): string[] => split[part].map(({ id }) => id);
    await writeFileAtomic(
      join(out, 'run.json'),
      jsonText({
        cohort: {
          folder: call.cohort,
          subjects: opened.subjects.length,
          training: split.training.length,
          heldOut: split.validation.length,
          modality: opened.options.modality,
          spacingMm: opened.options.spacingMm,
        },
        split: { training: ids('training'), validation: ids('validation'), test: ids('test') },
        task,
        configuration,
        parameters: table.count,
        machine: { node: process.version, backend: backend.description, cpu: cpus()[0]?.model ?? 'unknown' },
      }),
    );
    // first, so that the thread of examples starts while the session opens
    const examples = await openTaskExamples(
      {
        cohort: call.cohort,
        training: split.training.map(({ id }) => id),
        configuration,
        task,
        withoutImage: fromFeatures,
      },
      run.checkpoint?.state.step ?? 0,
    );
    try {
      const session = await backend.open(program);
      try {
        await restoreState(session, table, run.checkpoint, start.parameters, out);
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
  const { configuration, out, progress, opened, split, task, options, signal } = work;
  const { table } = transferProgram(options);
  const { overlap } = configuration.inference;
  let evaluation: TaskEvaluation | null = null;

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
    const results = await evaluateSubjects(
      session,
      opened,
      split.validation,
      task,
      overlap,
      (index, size, image, truth, predicted) => {
        const drawn = segmentationPicture({ size, image, truth, predicted });
        const png = encodePng(drawn);
        writeFileSync(join(out, `pictures/step-${String(step).padStart(6, '0')}-subject-${index}.png`), png);
        events.image(step, `subject/${index}`, { png, width: drawn.width, height: drawn.height }, now());
      },
      pictures ? PICTURED_SUBJECTS : 0,
    );
    evaluation = summarizeScores(results, task);
    metrics.append({ kind: 'evaluation', step, ...evaluation });
    const scalars: Record<string, number> = {};
    for (const name of ['dice', 'auc', 'accuracy'] as const)
      if (evaluation[name] !== null) scalars[`validation/${name}`] = evaluation[name];
    if (task.kind === 'segmentation')
      evaluation.dicePerClass!.forEach((dice, c) => {
        if (dice !== null) scalars[`validation/dice/${task.labels[c + 1]!.name}`] = dice;
      });
    events.scalars(step, scalars, now());
    await writeFileAtomic(join(out, 'evaluation.json'), jsonText({ step, summary: evaluation, subjects: results }));
    progress.say(`step ${step}: ${describeScores(evaluation)}`);
    return scoreOfTask(evaluation);
  };

  const { state, finished, stoppedEarly, loss, waitShare } = await runTraining<TaskExample>({
    out,
    configuration,
    run,
    session,
    table,
    progress,
    examples,
    gradient: async ({ image, truth, subject, start }, scaling) => {
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
  { out, opened, split, task, options, configuration, progress }: Work,
  session: Session,
): Promise<TestResult> {
  const state = (await readCheckpoint(out, 'best')) ?? (await readCheckpoint(out, 'last'))!;
  await session.writeState(STATES.parameters, flatTensor(transferProgram(options).table, state.parameters, out));
  progress.say(`testing the state of step ${state.state.step} on ${split.test.length} subjects`);
  const subjects = await evaluateSubjects(session, opened, split.test, task, configuration.inference.overlap);
  const result: TestResult = { step: state.state.step, summary: summarizeScores(subjects, task), subjects };
  await writeFileAtomic(join(out, 'test.json'), jsonText({ task, ...result }));
  return result;
}

/** What the best state is chosen by, the lower the better: overlap; area under the curve, accuracy between equal ones. */
export function scoreOfTask({ dice, auc, accuracy }: TaskEvaluation): number | null {
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
