/** The trainings on the task of a study: made, gone on with, or taken over if they are those that the study declares. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RunError, UsageError } from '../common/errors.ts';
import { SILENT } from '../common/progress.ts';
import type { Task } from '../model/configuration.ts';
import { readState } from '../training/node/checkpoint.ts';
import { readMetrics } from '../training/node/log/metrics.ts';
import { type RunFacts, type RunRecord, readRunRecord } from '../training/node/run-record.ts';
import { TEST_FILE, type TestResult } from '../training/node/task/judge-best.ts';
import { train } from '../training/node/task/train.ts';
import type { TransferConfiguration } from '../training/task/configuration.ts';
import type { SubjectScores, TaskEvaluation } from '../training/task/evaluate.ts';
import { requireResult } from './result.ts';
import type { StudyRun, StudyWork } from './runs.ts';

export interface StudyRunResult extends StudyRun {
  readonly summary: TaskEvaluation;
  readonly subjects: readonly SubjectScores[];
  /** (step, validation score) of every evaluation: Dice, or AUC. */
  readonly curve: readonly (readonly [step: number, score: number])[];
  readonly task: Task;
  /** Of the gvsl that made it. */
  readonly version: string;
}

/** A finished training's scores, if they are of the training that is wanted; undefined if it is not finished. @throws UsageError if they are not */
export async function readResult(
  out: string,
  run: StudyRun,
  facts: (record: RunRecord | undefined) => Promise<RunFacts>,
): Promise<StudyRunResult | undefined> {
  const folder = join(out, run.folder);
  const text = await readFile(join(folder, TEST_FILE), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
    return undefined;
  });
  if (text === undefined) return undefined;
  let result: TestResult & { task: Task; run?: string };
  try {
    result = JSON.parse(text) as typeof result;
  } catch (error) {
    throw new RunError(`${join(folder, TEST_FILE)}: not JSON (${(error as Error).message}); delete ${folder} to train it again`);
  }
  const { task, summary, subjects } = result;
  const record = await readRunRecord(folder);
  requireResult(folder, record, result.run, await facts(record));
  const curve = (await readMetrics(join(folder, 'metrics.jsonl'))).flatMap(({ kind, step, dice, auc }): [number, number][] => {
    const score = dice ?? auc;
    return kind === 'evaluation' && typeof score === 'number' ? [[step, score]] : [];
  });
  return { ...run, task, summary, subjects, curve, version: record?.versions?.gvsl ?? 'unknown' };
}

/** The training of a run in the folder `out`, made or gone on with. @returns false if it was stopped. @throws UsageError without test subjects */
export async function trainRun(
  { study, tracking }: Pick<StudyWork, 'study' | 'tracking'>,
  { folder }: Pick<StudyRun, 'folder'>,
  out: string,
  configuration: TransferConfiguration,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const trained = await train({
    cohort: study.cohort,
    out,
    configuration,
    resume: (await readState(out, 'last')) !== undefined,
    progress: SILENT,
    mlflow: tracking?.child(folder),
    ...(signal ? { signal } : {}),
  });
  if (!trained.finished) return false;
  if (!trained.test)
    throw new UsageError('the study has no test subjects: set transfer.configuration.data.test, or a split with test subjects');
  return true;
}
