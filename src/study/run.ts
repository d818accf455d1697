/**
 * Runs a study: pre-trains each method once, trains the task from each with every mode, number of labels and seed, and gathers the scores on the
 * test subjects. Everything lies in the study's folder under a name that says what it is, so the same call continues after any stop.
 */
import { join } from 'node:path';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { version } from '../common/version.ts';
import { findFolder } from '../platform/node/files.ts';
import { readConfigurationOf } from '../training/node/read-configuration.ts';
import type { RunFacts, RunRecord } from '../training/node/run-record.ts';
import { initialModelOf } from '../training/node/start.ts';
import { trainFacts } from '../training/node/task/facts.ts';
import { TEST_FILE } from '../training/node/task/judge-best.ts';
import { taskOf } from '../training/node/task/task.ts';
import { STUDY, type Study } from './configuration.ts';
import { namesOfKeys, SCRATCH, STUDY_METHODS } from './methods.ts';
import { pretrainMethod } from './pretrain-method.ts';
import { plannedPretraining, type StepSeconds, stepSecondsOf } from './pretraining.ts';
import { PROBE_FILE, probeTask } from './probe.ts';
import { agreeWithStudy } from './record.ts';
import { configurationOf, type Mode, runsOf, type StudyWork } from './runs.ts';
import { type LearningRateSearch, requireValidation, type Searches, searchLearningRate } from './search.ts';
import { readResult, type StudyRunResult, trainRun } from './task-result.ts';

/** Reads and checks a study's file. @throws UsageError with a line for each problem */
export async function readStudy(file: string): Promise<Study> {
  const study = await readConfigurationOf(STUDY, file);
  if (!study.methods.includes(study.baseline))
    throw new UsageError(`${file}: baseline '${study.baseline}' is not among the methods ${study.methods.join(', ')}`);
  const { models, methods, search } = study.pretraining;
  const keysTaken = new Set(study.methods.flatMap(namesOfKeys));
  for (const [section, names] of Object.entries({ models: study.methods, methods: [...keysTaken] }))
    for (const name of Object.keys(section === 'models' ? models : methods))
      if (!names.includes(name))
        throw new UsageError(`${file}: pretraining.${section}.${name}: not among the methods ${study.methods.join(', ')}`);
  if (study.modes.includes('probe') && study.task !== 'segmentation')
    throw new UsageError(`${file}: modes: probe is of segmentations; for classes, linear is the same`);
  // what its trainings would be refused for, before the first of them
  for (const name of study.methods)
    if (name !== SCRATCH && models[name] === undefined) await plannedPretraining(study, name, {}, file);
  for (const run of runsOf(study)) configurationOf(study, run, 'scratch', `${file}: transfer`);
  if (search.learningRate.length > 0) requireValidation(study, file);
  return study;
}

/** What transfer starts from. */
interface Pretrained {
  readonly init: string;
  readonly search: LearningRateSearch | undefined;
}

const resultFileOf = (mode: Mode): string => (mode === 'probe' ? PROBE_FILE : TEST_FILE);

/** The model of a method: one that exists, or one that is pre-trained now; with a search, at the learning rate that it chose. */
async function modelOf(work: StudyWork, method: string, stepSeconds: StepSeconds): Promise<Pretrained> {
  const { study, out, progress, signal } = work;
  const given = study.pretraining.models[method];
  if (method === SCRATCH || given !== undefined) return { init: given ?? SCRATCH, search: undefined };
  const planned = await plannedPretraining(study, method, stepSeconds, 'study');
  const search = await searchLearningRate(work, method, planned);
  const init = await pretrainMethod({
    chosen: planned.chosen,
    configuration: { ...planned.configuration, ...(search && { learningRate: search.chosen }) },
    cohort: study.pretraining.cohort ?? study.cohort,
    out: join(out, 'pretrained', method),
    progress,
    ...(signal ? { signal } : {}),
  });
  return { init, search };
}

/**
 * Runs what is not done yet, in a folder that the caller has locked.
 * @throws UsageError if the folder holds another study's results; UsageError or RunError of the first training that cannot go on; what is done
 *   stays done
 */
export async function runStudy(call: StudyWork): Promise<{ results: StudyRunResult[]; searches: Searches }> {
  const { study, out, progress, signal } = call;
  const runs = runsOf(study);
  for (const run of runs) configurationOf(study, run, 'scratch');
  await agreeWithStudy(study, out);
  const cohort = await openCohort(study.cohort);
  const results: StudyRunResult[] = [];
  const searches: Record<string, LearningRateSearch> = {};
  const stepSeconds = await stepSecondsOf(
    study,
    out,
    study.methods.filter((name) => name !== SCRATCH && study.pretraining.models[name] === undefined),
  );
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
      (await Promise.all(own.map(({ folder, mode }) => findFolder(join(out, folder, resultFileOf(mode)))))).every(Boolean);
    const made = deleted ? undefined : await modelOf(call, method, stepSeconds);
    const init = made?.init ?? join(out, 'pretrained', method);
    if (made?.search) searches[method] = made.search;
    const initialModel = deleted ? undefined : await initialModelOf(init);
    for (const run of own) {
      const configuration = configurationOf(study, run, init);
      const facts = async (record: RunRecord | undefined): Promise<RunFacts> => {
        const model = initialModel === undefined ? (record?.initialModel ?? null) : initialModel;
        return (await trainFacts(cohort, configuration, model)).facts;
      };
      if (run.mode === 'probe' && signal?.aborted) throw stopped();
      let result: StudyRunResult | undefined =
        run.mode === 'probe'
          ? {
              ...run,
              ...(await probeTask(cohort, configuration, join(out, run.folder))),
              task: await taskOf(cohort, configuration),
              curve: [],
            }
          : await readResult(out, run, facts);
      if (!result) {
        if (signal?.aborted || !(await trainRun(call, run.folder, configuration))) throw stopped();
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
  return { results, searches };
}
