/**
 * Runs a study: pre-trains each method once, trains the task from each with every mode, number of labels and seed, and gathers the scores on the
 * test subjects. Everything lies in the study's folder under a name that says what it is, so the same call continues after any stop.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { type Progress, type ProgressListener, SILENT } from '../common/progress.ts';
import { version } from '../common/version.ts';
import type { Task } from '../model/configuration.ts';
import { findFolder } from '../platform/node/files.ts';
import { readCheckpoint } from '../training/node/checkpoint.ts';
import { readMetrics } from '../training/node/log/metrics.ts';
import { parseConfiguration, parseConfigurationOf, readConfigurationOf } from '../training/node/read-configuration.ts';
import { type RunFacts, type RunRecord, readRunRecord } from '../training/node/run-record.ts';
import { initialModelOf } from '../training/node/start.ts';
import type { SubjectScores, TaskEvaluation } from '../training/node/task/evaluate.ts';
import { trainFacts } from '../training/node/task/facts.ts';
import { TEST_FILE, type TestResult } from '../training/node/task/test-subjects.ts';
import { train } from '../training/node/task/train.ts';
import { TRANSFER, type TransferConfiguration } from '../training/task/configuration.ts';
import { STUDY, type Study } from './configuration.ts';
import { STUDY_METHODS } from './methods.ts';
import { pretrainMethod } from './pretrain-method.ts';
import { agreeWithStudy } from './record.ts';
import { requireResult } from './result.ts';

export type Mode = 'linear' | 'finetune';

/** One training of a study. */
export interface StudyRun {
  readonly method: string;
  readonly mode: Mode;
  readonly labels: number | 'all';
  readonly seed: number;
  /** Inside the study's folder. */
  readonly folder: string;
}

export interface StudyRunResult extends StudyRun {
  readonly summary: TaskEvaluation;
  readonly subjects: readonly SubjectScores[];
  /** (step, validation score) of every evaluation: Dice, or AUC. */
  readonly curve: readonly (readonly [step: number, score: number])[];
  readonly task: Task;
  /** Of the gvsl that made it. */
  readonly version: string;
}

export interface StudyCall {
  readonly study: Study;
  /** Folder of the study. */
  readonly out: string;
  readonly progress?: ProgressListener;
  /** Aborted: the training that is under way ends after its step, and so the call; the same call goes on from there. */
  readonly signal?: AbortSignal;
}

/** The same, as it is carried out. */
export interface StudyWork extends StudyCall {
  readonly progress: Progress;
}

/** Reads and checks a study's file. @throws UsageError with a line for each problem */
export async function readStudy(file: string): Promise<Study> {
  const study = await readConfigurationOf(STUDY, file);
  if (!study.methods.includes(study.baseline))
    throw new UsageError(`${file}: baseline '${study.baseline}' is not among the methods ${study.methods.join(', ')}`);
  for (const name of Object.keys(study.pretraining.models))
    if (!study.methods.includes(name))
      throw new UsageError(`${file}: pretraining.models.${name}: not among the methods ${study.methods.join(', ')}`);
  // what its trainings would be refused for, before the first of them
  parseConfiguration(study.pretraining.configuration, [], `${file}: pretraining.configuration`);
  for (const run of runsOf(study)) configurationOf(study, run, 'scratch', `${file}: transfer`);
  return study;
}

/** Every training that a study declares, in order. */
export function runsOf({ methods, modes, labels, seeds }: Study): StudyRun[] {
  return methods.flatMap((method) =>
    modes.flatMap((mode) =>
      labels.flatMap((count) =>
        seeds.map((seed) => ({
          method,
          mode,
          labels: count,
          seed,
          folder: join('runs', `${method}-${mode}-${count}-seed${seed}`),
        })),
      ),
    ),
  );
}

/** Sections of `over` replace the same keys of `base`, however deep. */
function merged(base: Readonly<Record<string, unknown>>, over: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const isSection = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = out[key];
    out[key] = isSection(value) && isSection(before) ? merged(before, value) : value;
  }
  return out;
}

/** The configuration of one training. @throws UsageError if the study's document is none */
export function configurationOf(
  study: Study,
  { mode, labels, seed }: StudyRun,
  init: string,
  source = 'transfer',
): TransferConfiguration {
  const { configuration, [mode]: own } = study.transfer;
  const document = merged(merged(configuration, own), { task: study.task, mode, init, seed, data: { labels } });
  return parseConfigurationOf(TRANSFER, document, [], `${source} (${mode})`);
}

/** A finished training's scores, if they are of the training that is wanted; undefined if it is not finished. @throws UsageError if they are not */
async function readResult(
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

/** The model of a method: one that exists, or one that is pre-trained now. */
async function modelOf({ study, out, progress, signal }: StudyWork, method: string): Promise<string> {
  const given = study.pretraining.models[method];
  if (given !== undefined) return given;
  const configuration = parseConfiguration(study.pretraining.configuration, [], 'pretraining.configuration');
  return pretrainMethod({
    method,
    cohort: study.pretraining.cohort ?? study.cohort,
    out: join(out, 'pretrained', method),
    configuration,
    progress,
    ...(signal ? { signal } : {}),
  });
}

/**
 * Runs what is not done yet, in a folder that the caller has locked.
 * @throws UsageError if the folder holds another study's results; UsageError or RunError of the first training that cannot go on; what is done
 *   stays done
 */
export async function runStudy(call: StudyWork): Promise<StudyRunResult[]> {
  const { study, out, progress, signal } = call;
  const runs = runsOf(study);
  for (const run of runs) configurationOf(study, run, 'scratch');
  await agreeWithStudy(study, out);
  const cohort = await openCohort(study.cohort);
  const results: StudyRunResult[] = [];
  const startedMs = performance.now();
  const stopped = (): RunError =>
    new RunError(`stopped: ${results.length} of ${runs.length} trainings are done; run the same command to continue`);
  for (const { name: method } of STUDY_METHODS.filter(({ name }) => study.methods.includes(name))) {
    const own = runs.filter((run) => run.method === method);
    if (signal?.aborted) throw stopped();
    // whether its results start from this model is seen by the model alone; one of the study's own that was deleted since is not made again
    // for trainings that are done
    const deleted =
      study.pretraining.models[method] === undefined &&
      (await findFolder(join(out, 'pretrained', method, 'last'))) === undefined &&
      (await Promise.all(own.map(({ folder }) => findFolder(join(out, folder, TEST_FILE))))).every(Boolean);
    const init = deleted ? join(out, 'pretrained', method) : await modelOf(call, method);
    const initialModel = deleted ? undefined : await initialModelOf(init);
    for (const run of own) {
      const configuration = configurationOf(study, run, init);
      const facts = async (record: RunRecord | undefined): Promise<RunFacts> => {
        const model = initialModel === undefined ? (record?.initialModel ?? null) : initialModel;
        return (await trainFacts(cohort, configuration, model)).facts;
      };
      let result = await readResult(out, run, facts);
      if (!result) {
        if (signal?.aborted) throw stopped();
        const folder = join(out, run.folder);
        const begun = await readCheckpoint(folder, 'last');
        const trained = await train({
          cohort: study.cohort,
          out: folder,
          configuration,
          resume: begun !== undefined,
          progress: SILENT,
          ...(signal ? { signal } : {}),
        });
        if (!trained.finished) throw stopped();
        if (!trained.test)
          throw new UsageError(
            'the study has no test subjects: set transfer.configuration.data.test, or a split with test subjects',
          );
        result = (await readResult(out, run, facts))!;
      }
      results.push(result);
      const score = result.summary.dice ?? result.summary.auc;
      progress.say(
        `${results.length}/${runs.length} ${run.method} ${run.mode} ${run.labels} labels, seed ${run.seed}: ${score?.toFixed(4) ?? '-'} (${Math.round((performance.now() - startedMs) / 1000)} s)`,
      );
    }
  }
  const older = results.filter((result) => result.version !== version);
  if (older.length > 0)
    progress.say(
      `warning: ${older.length} of ${results.length} trainings were made with gvsl ${[...new Set(older.map((result) => result.version))].join(', ')}, this is ${version}`,
    );
  return results;
}
