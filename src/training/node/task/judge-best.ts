/**
 * The last judgement of a training: its best state on the validation subjects, which choose the post-processing that the model keeps, and on the
 * test subjects, which choose nothing.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cohort, Subject } from '../../../cohort/cohort.ts';
import { cohortReader } from '../../../cohort/node/crops.ts';
import { counted } from '../../../common/counted.ts';
import { CONFIG_FILE, modelConfigurationSchema, type PostProcessing, type Task } from '../../../model/configuration.ts';
import { flatTensor } from '../../../model/named-parameters.ts';
import { jsonText } from '../../../model/node/documents.ts';
import { readModel, resolveModel } from '../../../model/node/model-folder.ts';
import { STATES } from '../../../model/optimizer.ts';
import { findFolder, writeFileAtomic } from '../../../platform/node/files.ts';
import { outputsOf } from '../../task/classes.ts';
import type { TransferConfiguration } from '../../task/configuration.ts';
import {
  describeScores,
  evaluateSubjects,
  type SubjectScores,
  summarizeScores,
  type TaskEvaluation,
} from '../../task/evaluate.ts';
import {
  type CandidateDice,
  candidateDice,
  choosePostProcessing,
  describeRules,
  type FoundRule,
  rulesOf,
} from '../../task/post-processing.ts';
import { readCheckpoint } from '../checkpoint.ts';
import type { OpenTraining } from '../open-training.ts';
import type { CheckedCall } from '../training-call.ts';
import type { TaskSplit } from './split.ts';

/** Scores of the test subjects. */
export const TEST_FILE = 'test.json';
/** Scores of the best state on the validation subjects, and the post-processing that they choose. */
export const VALIDATION_FILE = 'validation.json';

/** Scores of subjects, as test.json has them. */
export interface TestResult {
  /** The step whose state was tested. */
  readonly step: number;
  readonly summary: TaskEvaluation;
  readonly subjects: readonly SubjectScores[];
  /** The same after the post-processing that the model keeps; absent if it keeps none. */
  readonly postProcessed?: { readonly summary: TaskEvaluation; readonly subjects: readonly SubjectScores[] };
  /** By subject, structure and candidate: Dice under every post-processing that is tried (training/task/post-processing.ts). */
  readonly candidates?: readonly (readonly CandidateDice[])[];
}

/** Scores of the validation subjects, as validation.json has them. */
export interface ValidationResult extends TestResult {
  /** What was looked for in each structure; null without segmentation, or if it was not looked for. */
  readonly postProcessing: readonly FoundRule[] | null;
}

export interface LastJudgement {
  readonly validation: ValidationResult | null;
  readonly test: TestResult | null;
}

/** A result with its scores after rules that were found, if there are any. */
function withRules<Result extends TestResult>(result: Result, found: readonly FoundRule[], task: Task): Result {
  const { postProcessed: _, ...others } = result;
  const { candidates } = result;
  if (!candidates || !rulesOf(found)) return others as Result;
  const subjects = result.subjects.map((subject, i) => ({
    ...subject,
    dice: found.map(({ candidate }, c) => candidates[i][c][candidate]),
  }));
  return { ...(others as Result), postProcessed: { summary: summarizeScores(subjects, task), subjects } };
}

/**
 * Judges the best state (without validation the last), and writes validation.json, test.json and the model's post-processing.
 * @param choose false: none is chosen, since the folds of a cross-validation do it together (`keepPooled`)
 */
export async function judgeBest(
  { session, table, identity }: Pick<OpenTraining<unknown>, 'session' | 'table' | 'identity'>,
  { out, progress, configuration }: CheckedCall<TransferConfiguration>,
  cohort: Cohort,
  split: TaskSplit,
  task: Task,
  choose: boolean,
): Promise<LastJudgement> {
  const state = (await readCheckpoint(out, 'best')) ?? (await readCheckpoint(out, 'last'))!;
  const { step } = state.state;
  await session.writeState(STATES.parameters, flatTensor(table, state.parameters, out));
  const { overlap, postProcessing } = configuration.inference;
  const wanted = postProcessing && task.kind === 'segmentation';
  const judged = async (subjects: readonly Subject[]): Promise<TestResult> => {
    const candidates: CandidateDice[][] = [];
    const scores = await evaluateSubjects(session, cohortReader(cohort, 'all'), subjects, task, overlap, {
      segmented: ({ geometry }, truth, predicted) =>
        void (wanted && candidates.push(candidateDice(predicted, truth, geometry, outputsOf(task)))),
    });
    return { step, summary: summarizeScores(scores, task), subjects: scores, ...(wanted ? { candidates } : {}) };
  };
  const write = (file: string, result: object): Promise<void> =>
    writeFileAtomic(join(out, file), jsonText({ run: identity, task, ...result }));

  let validation: ValidationResult | null = null;
  let found: readonly FoundRule[] = [];
  if (split.validation.length > 0) {
    progress.say(`validating the checkpoint of step ${step} on ${counted(split.validation.length, 'subject')}`);
    const result = await judged(split.validation);
    if (choose && wanted) found = choosePostProcessing(result.candidates!, task);
    validation = { ...withRules(result, found, task), postProcessing: choose && wanted ? found : null };
    await write(VALIDATION_FILE, validation);
    for (const line of describeRules(found)) progress.say(`post-processing of ${line}`);
  }
  await keepPostProcessing(out, rulesOf(found));
  let test: TestResult | null = null;
  if (split.test.length > 0) {
    progress.say(`testing the checkpoint of step ${step} on ${counted(split.test.length, 'subject')}`);
    test = withRules(await judged(split.test), found, task);
    await write(TEST_FILE, test);
  }
  return { validation, test };
}

/** What a fold's files say, and its model keeps, once all folds have chosen. @returns its scores with that post-processing */
export async function keepPooled(
  run: string,
  { validation, test }: LastJudgement,
  found: readonly FoundRule[],
  task: Task,
): Promise<LastJudgement> {
  const after = {
    validation: validation && { ...withRules(validation, found, task), postProcessing: found },
    test: test && withRules(test, found, task),
  };
  for (const [file, result] of [[VALIDATION_FILE, after.validation] as const, [TEST_FILE, after.test] as const]) {
    if (!result) continue;
    const path = join(run, file);
    const { run: identity } = JSON.parse(await readFile(path, 'utf8')) as { readonly run: string };
    await writeFileAtomic(path, jsonText({ run: identity, task, ...result }));
  }
  await keepPostProcessing(run, rulesOf(found));
  return after;
}

/** Writes post-processing into the config.json of a run's model: its best state, else its last; undefined takes it away. */
export async function keepPostProcessing(run: string, rules: PostProcessing | undefined): Promise<void> {
  const folder = (await findFolder(join(run, 'best'))) ?? (await resolveModel(run));
  const { configuration } = await readModel(folder);
  const { postProcessing: before, ...others } = configuration;
  if (JSON.stringify(before) === JSON.stringify(rules)) return;
  const changed = modelConfigurationSchema.parse({ ...others, ...(rules ? { postProcessing: rules } : {}) });
  await writeFileAtomic(join(folder, CONFIG_FILE), jsonText(changed));
}

/** 'Dice 0.812 (0.80, 0.82) on 10 subjects; after post-processing ...'. */
export const describeResult = ({ summary, postProcessed }: TestResult): string =>
  `${describeScores(summary)}${postProcessed ? `; after post-processing ${describeScores(postProcessed.summary)}` : ''}`;
