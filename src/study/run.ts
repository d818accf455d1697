/**
 * Runs a study: pre-trains each method once, trains the task from each with every mode, number of labels and seed, and gathers the scores on the
 * test subjects. Everything lies in the study's folder under a name that says what it is, so the same call continues after any stop.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError, WorkError } from '../errors/errors.ts';
import { type Progress, SILENT } from '../node/progress.ts';
import { readCheckpoint } from '../training/checkpoint.ts';
import type { Task } from '../training/model-configuration.ts';
import { parseConfiguration, parseConfigurationOf, readConfigurationOf } from '../training/read-configuration.ts';
import { TRANSFER, type TransferConfiguration } from '../transfer/configuration.ts';
import type { SubjectScores, TaskEvaluation } from '../transfer/evaluate.ts';
import { type TestResult, train } from '../transfer/train.ts';
import { STUDY, type Study } from './configuration.ts';
import type { PretrainingMethod } from './methods/method.ts';
import { METHODS } from './methods/registry.ts';

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
}

export interface StudyCall {
  readonly study: Study;
  /** Folder of the study. */
  readonly out: string;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/** Reads and checks a study's file. @throws UsageError with a line for each problem */
export async function readStudy(file: string): Promise<Study> {
  const study = await readConfigurationOf(STUDY, file);
  if (!study.methods.includes(study.baseline))
    throw new UsageError(`${file}: baseline '${study.baseline}' is not among the methods ${study.methods.join(', ')}`);
  for (const name of Object.keys(study.pretraining.models))
    if (!study.methods.includes(name))
      throw new UsageError(`${file}: pretraining.models.${name}: not among the methods ${study.methods.join(', ')}`);
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
export function configurationOf(study: Study, { mode, labels, seed }: StudyRun, init: string): TransferConfiguration {
  const { configuration, [mode]: own } = study.transfer;
  const document = merged(merged(configuration, own), { task: study.task, mode, init, seed, data: { labels } });
  return parseConfigurationOf(TRANSFER, document, [], `transfer (${mode})`);
}

/** A finished training's scores; undefined if it is not finished. */
async function readResult(out: string, run: StudyRun): Promise<StudyRunResult | undefined> {
  const folder = join(out, run.folder);
  const text = await readFile(join(folder, 'test.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const { task, summary, subjects } = JSON.parse(text) as TestResult & { task: Task };
  const lines = (await readFile(join(folder, 'metrics.jsonl'), 'utf8')).trim().split('\n');
  const curve = lines.flatMap((line): [number, number][] => {
    const record = JSON.parse(line) as { kind: string; step: number; dice?: number | null; auc?: number | null };
    const score = record.dice ?? record.auc;
    return record.kind === 'evaluation' && typeof score === 'number' ? [[record.step, score]] : [];
  });
  return { ...run, task, summary, subjects, curve };
}

/** The model of a method: one that exists, or one that is pre-trained now. */
async function modelOf({ study, out, progress, signal }: StudyCall, method: PretrainingMethod): Promise<string> {
  const given = study.pretraining.models[method.name];
  if (given !== undefined) return given;
  const configuration = parseConfiguration(study.pretraining.configuration, [], 'pretraining.configuration');
  return method.pretrain({
    cohort: study.pretraining.cohort ?? study.cohort,
    out: join(out, 'pretrained', method.name),
    configuration,
    progress,
    ...(signal ? { signal } : {}),
  });
}

/** Runs what is not done yet. @throws UsageError or WorkError of the first training that cannot go on; what is done stays done */
export async function runStudy(call: StudyCall): Promise<StudyRunResult[]> {
  const { study, out, progress, signal } = call;
  const runs = runsOf(study);
  const results: StudyRunResult[] = [];
  const startedMs = performance.now();
  let done = 0;
  for (const method of METHODS.filter(({ name }) => study.methods.includes(name))) {
    const own = runs.filter((run) => run.method === method.name);
    const open = new Map<StudyRun, StudyRunResult | undefined>();
    for (const run of own) open.set(run, await readResult(out, run));
    const unfinished = [...open.values()].includes(undefined);
    // a method whose trainings are all done needs no model any more
    const init = unfinished ? await modelOf(call, method) : '';
    for (const run of own) {
      let result = open.get(run);
      if (!result) {
        if (signal?.aborted)
          throw new WorkError(`stopped: ${done} of ${runs.length} trainings are done; the same command continues`);
        const folder = join(out, run.folder);
        const begun = await readCheckpoint(folder, 'last');
        const trained = await train({
          cohort: study.cohort,
          out: folder,
          configuration: configurationOf(study, run, init),
          resume: begun !== undefined,
          progress: SILENT,
          ...(signal ? { signal } : {}),
        });
        if (!trained.finished)
          throw new WorkError(`stopped: ${done} of ${runs.length} trainings are done; the same command continues`);
        if (!trained.test)
          throw new UsageError('the study has no test subjects: set transfer.configuration.data.test, or a split with some');
        result = (await readResult(out, run))!;
      }
      results.push(result);
      done++;
      const score = result.summary.dice ?? result.summary.auc;
      progress.say(
        `${done}/${runs.length} ${run.method} ${run.mode} ${run.labels} labels, seed ${run.seed}: ${score?.toFixed(4) ?? '-'} (${Math.round((performance.now() - startedMs) / 1000)} s)`,
      );
    }
  }
  return results;
}
