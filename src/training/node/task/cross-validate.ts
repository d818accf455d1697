/**
 * Cross-validation in one call: a run for each fold, one after the other, then what is known of all subjects, each judged by the model that had not
 * seen it. `segment --model OUT` and `classify --model OUT` apply the models of all folds together.
 */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { groupedByPatient } from '../../../cohort/patients.ts';
import { csvLine } from '../../../common/csv.ts';
import { UsageError } from '../../../common/errors.ts';
import { bootstrapMean, type Interval } from '../../../metrics/statistics.ts';
import type { Task } from '../../../model/configuration.ts';
import { jsonText } from '../../../model/node/documents.ts';
import { FOLDS_FILE } from '../../../model/node/model-folder.ts';
import { writeFileAtomic } from '../../../platform/node/files.ts';
import { withMachineTrouble } from '../../../platform/node/machine.ts';
import { TRANSFER, type TransferConfiguration } from '../../task/configuration.ts';
import { type SubjectScores, subjectDice, summarizeScores, type TaskEvaluation } from '../../task/evaluate.ts';
import { choosePostProcessing, describeRules, type FoundRule } from '../../task/post-processing.ts';
import { type Override, readRunConfigurationOf } from '../read-configuration.ts';
import { RUN_FILE, readRunRecord } from '../run-record.ts';
import { checkCall, onRanks } from '../training-call.ts';
import { keepPooled, type LastJudgement } from './judge-best.ts';
import { splitForTask } from './split.ts';
import { type TrainCall, trainHere } from './train.ts';

const runOf = (fold: number): string => `fold-${fold}`;
const TABLE = 'cross-validation.csv';

/** What a fold gave. */
export interface FoldResult {
  readonly fold: number;
  /** Its run, in the folder of the cross-validation. */
  readonly run: string;
  readonly trainingSubjects: number;
  /** The step of its best state. */
  readonly step: number;
  /** On its validation subjects. */
  readonly validation: TaskEvaluation;
  /** On the test subjects, which are those of every fold; null without. */
  readonly test: TaskEvaluation | null;
  /** Both after the post-processing that all models keep; absent if they keep none. */
  readonly postProcessed?: Pick<FoldResult, 'validation' | 'test'>;
}

/** The scores of one subject by the model that did not see it. */
export interface OutOfFoldScores extends SubjectScores {
  readonly fold: number;
}

/** A score of each fold, together. */
export interface OverFolds {
  readonly mean: number;
  /** Of a sample (n - 1); null of one fold. */
  readonly standardDeviation: number | null;
  /** Folds that have the score: those whose validation subjects are not all of one class. */
  readonly folds: number;
}

/** What all folds say together. */
export interface OutOfFold {
  /**
   * Dice and accuracy over all subjects. `auc` is the mean over folds: models of different folds are not calibrated alike, so a probability of one is
   * not ranked among those of another (Forman and Scholz, SIGKDD Explorations 12, 2010).
   */
  readonly summary: TaskEvaluation;
  /** `summary.auc` with its spread; null for segmentation, or if no fold has one. */
  readonly auc: OverFolds | null;
  /** Mean Dice of the subjects with its 95 % interval (bootstrap over patients); null for classification. */
  readonly dice: Interval | null;
  /** After the post-processing that the models keep; null if they keep none. */
  readonly postProcessed: TaskEvaluation | null;
  readonly subjects: readonly OutOfFoldScores[];
}

export interface CrossValidationResult {
  readonly out: string;
  readonly finished: boolean;
  readonly folds: readonly FoldResult[];
  /** Null if it was stopped before the last fold was done. */
  readonly outOfFold: OutOfFold | null;
  /** Chosen on the validation subjects of all folds together: what each model keeps. */
  readonly postProcessing: readonly FoundRule[];
}

/** Whether a folder holds a cross-validation, or its beginning. */
export const isCrossValidation = (folder: string): Promise<boolean> =>
  stat(join(folder, runOf(1), RUN_FILE)).then(
    () => true,
    () => false,
  );

/** The configuration with which a cross-validation goes on: its first fold's, with what the options change. @throws UsageError if there is none */
export const readCrossValidationConfiguration = (
  out: string,
  overrides: readonly Override[] = [],
): Promise<TransferConfiguration> =>
  readRunConfigurationOf(TRANSFER, join(out, runOf(1)), [...overrides, { path: 'data.fold', option: 'data.fold', value: 'all' }]);

/**
 * Trains the model of every fold; with `resume` what is done stays, and what was begun goes on exactly.
 * @throws UsageError for what is wrong with the call, RunError for a run that cannot go on
 */
export function crossValidate(given: TrainCall): Promise<CrossValidationResult> {
  return onRanks(given, () => crossValidateHere(given));
}

async function crossValidateHere(given: TrainCall): Promise<CrossValidationResult> {
  const { out, resume = false } = given;
  const configuration =
    resume && given.configuration === undefined ? await readCrossValidationConfiguration(out) : given.configuration;
  const call = await checkCall<TransferConfiguration>(TRANSFER, { ...given, resume: false, configuration: configuration ?? {} });
  const { folds } = call.configuration.data;
  if (folds < 2) throw new UsageError(`\`folds\` ${folds}: a cross-validation has at least two folds`);
  const ofFold = (fold: number): TransferConfiguration => ({
    ...call.configuration,
    data: { ...call.configuration.data, fold },
  });
  // what a later fold lacks is said before the first is trained
  const cohort = await openCohort(call.cohort);
  for (let fold = 1; fold <= folds; fold++) await splitForTask(cohort, ofFold(fold));
  const leads = call.ranks.rank === 0;
  // of several ranks the first alone looks at the folder, and judges what the others trained with it
  if (leads) await checkFolder(out, resume);
  const done: FoldResult[] = [];
  const scores: OutOfFoldScores[] = [];
  const judged: LastJudgement[] = [];
  let task: Task | undefined;
  for (let fold = 1; fold <= folds; fold++) {
    const folder = join(out, runOf(fold));
    call.progress.say(`fold ${fold} of ${folds}`);
    const result = await trainHere(
      {
        ...given,
        out: folder,
        configuration: ofFold(fold),
        resume: leads && resume && (await readRunRecord(folder)) !== undefined,
      },
      false,
    );
    if (!result.finished) return { out, finished: false, folds: done, outOfFold: null, postProcessing: [] };
    if (!leads) continue;
    const { validation, test } = result;
    task = result.task;
    scores.push(...validation!.subjects.map((subject) => ({ ...subject, fold })));
    judged.push({ validation, test });
    done.push({
      fold,
      run: runOf(fold),
      trainingSubjects: result.subjects.training,
      step: validation!.step,
      validation: validation!.summary,
      test: test?.summary ?? null,
    });
  }
  if (!leads) return { out, finished: true, folds: [], outOfFold: null, postProcessing: [] };
  const candidates = judged.flatMap(({ validation }) => validation!.candidates ?? []);
  const found = task!.kind === 'segmentation' && candidates.length > 0 ? choosePostProcessing(candidates, task!) : [];
  const withRules: LastJudgement[] = [];
  for (const [k, { run }] of done.entries()) withRules.push(await keepPooled(join(out, run), judged[k], found, task!));
  for (const line of describeRules(found)) call.progress.say(`post-processing of ${line}`);
  const results = done.map((fold, k): FoldResult => {
    const [validation, test] = [withRules[k].validation?.postProcessed, withRules[k].test?.postProcessed];
    return validation ? { ...fold, postProcessed: { validation: validation.summary, test: test?.summary ?? null } } : fold;
  });
  const auc = overFolds(done.map(({ validation }) => validation.auc));
  const afterwards = withRules.flatMap(({ validation }) => validation?.postProcessed?.subjects ?? []);
  const outOfFold: OutOfFold = {
    summary: { ...summarizeScores(scores, task!), auc: auc?.mean ?? null },
    auc,
    dice: bootstrapMean(groupedByPatient(scores).map((scans) => scans.flatMap((scan) => subjectDice(scan) ?? []))),
    postProcessed: afterwards.length > 0 ? summarizeScores(afterwards, task!) : null,
    subjects: scores,
  };
  await mkdir(out, { recursive: true });
  await writeFileAtomic(join(out, TABLE), tableOf(scores, task!));
  await writeFileAtomic(
    join(out, FOLDS_FILE),
    jsonText({ formatVersion: 1, task, folds: results, outOfFold, postProcessing: found }),
  );
  return { out, finished: true, folds: results, outOfFold, postProcessing: found };
}

/** Mean and spread of a score over the folds that have it; null if none has. */
export function overFolds(scores: readonly (number | null | undefined)[]): OverFolds | null {
  const known = scores.filter((value) => typeof value === 'number');
  const folds = known.length;
  if (folds === 0) return null;
  const mean = known.reduce((sum, value) => sum + value, 0) / folds;
  const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, standardDeviation: folds > 1 ? Math.sqrt(squares / (folds - 1)) : null, folds };
}

/** @throws UsageError if a cross-validation cannot begin or go on there */
async function checkFolder(out: string, resume: boolean): Promise<void> {
  const names = await withMachineTrouble(out, () =>
    readdir(out).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      if (error.code === 'ENOTDIR') throw new UsageError(`\`out\` ${out}: is a file or inside one; expected a folder`);
      throw error;
    }),
  );
  if (resume && !(await isCrossValidation(out)))
    throw new UsageError(`\`resume\`: there is no cross-validation at ${out}; omit \`resume\` to start one`);
  if (!resume && names.length > 0)
    throw new UsageError(
      (await isCrossValidation(out))
        ? `\`out\` ${out}: already contains a cross-validation; continue it with \`resume\`, or choose another folder`
        : `\`out\` ${out}: is not empty (${names[0]}); choose a new or empty folder`,
    );
}

/** One line a subject. */
function tableOf(scores: readonly OutOfFoldScores[], task: Task): string {
  const lines =
    task.kind === 'segmentation'
      ? [
          csvLine(['subject', 'fold', ...task.labels.slice(1).map(({ name }) => `dice ${name}`)]),
          ...scores.map(({ id, fold, dice }) => csvLine([id, fold, ...dice!])),
        ]
      : [
          csvLine([
            'subject',
            'fold',
            'class',
            ...(task.classes.length === 2 ? task.classes.slice(1) : task.classes).map((name) => `p(${name})`),
          ]),
          ...scores.map(({ id, fold, class: name, probabilities }) => csvLine([id, fold, name, ...probabilities!])),
        ];
  return `${lines.join('\n')}\n`;
}
