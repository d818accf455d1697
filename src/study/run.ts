/**
 * Runs a study: pre-trains each method once, trains the task from each with every mode, number of labels and seed, and gathers the scores on the
 * test subjects. Everything lies in the study's folder under a name that says what it is, so the same call continues after any stop.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cohort } from '../cohort/cohort.ts';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { counted } from '../common/counted.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { formatNames } from '../common/format-names.ts';
import { version } from '../common/version.ts';
import { findFolder } from '../platform/node/files.ts';
import { isInPart } from '../platform/node/parts.ts';
import { labelsText, type Mode } from '../report/study-table.ts';
import { readConfigurationOf } from '../training/node/read-configuration.ts';
import type { RunFacts, RunRecord } from '../training/node/run-record.ts';
import { initialModelOf } from '../training/node/start.ts';
import { trainFacts } from '../training/node/task/facts.ts';
import { TEST_FILE } from '../training/node/task/judge-best.ts';
import { taskOf } from '../training/node/task/task.ts';
import { summarizeScores, whose } from '../training/task/evaluate.ts';
import { STUDY, type Study } from './configuration.ts';
import { baseOf, methodsOf, namesOfKeys, SCRATCH } from './methods.ts';
import { pretrainMethod } from './pretrain-method.ts';
import { plannedPretraining, type StepSeconds, stepSecondsOf } from './pretraining.ts';
import { PROBE_FILE, probeTask } from './probe.ts';
import { agreeWithStudy } from './record.ts';
import { requireTrainable } from './requirements.ts';
import { type ReusedStudy, requireSameModel } from './reuse.ts';
import { configurationOf, runsOf, type StudyRun, type StudyWork } from './runs.ts';
import { type LearningRateSearch, requireValidation, type Searches, searchLearningRate } from './search.ts';
import { seenTestSubjects } from './seen.ts';
import { doPiece, NOT_YET } from './shared.ts';
import { readResult, type StudyRunResult, trainRun } from './task-result.ts';

/** Keys of a training that a study sets, and by which of its own. */
const SET_BY_STUDY: Readonly<Record<string, string>> = {
  task: '`task`',
  mode: '`modes`',
  init: '`methods`',
  seed: '`seeds`',
  'data.labels': '`labels`',
};

/** Reads and checks a study's file. @throws UsageError with a line for each problem */
export async function readStudy(file: string): Promise<Study> {
  const study = await readConfigurationOf(STUDY, file);
  if (!study.methods.includes(study.baseline))
    throw new UsageError(`${file}: baseline '${study.baseline}' is not among the methods ${study.methods.join(', ')}`);
  const { models, methods, variants, search } = study.pretraining;
  const keysTaken = new Set(study.methods.flatMap((name) => namesOfKeys(baseOf(study, name))));
  const named = { models, methods, variants };
  for (const [section, names] of Object.entries({ models: study.methods, methods: [...keysTaken], variants: study.methods }))
    for (const name of Object.keys(named[section as keyof typeof named]))
      if (!names.includes(name))
        throw new UsageError(`${file}: pretraining.${section}.${name}: not among the methods ${study.methods.join(', ')}`);
  if (study.modes.includes('probe') && study.task !== 'segmentation')
    throw new UsageError(`${file}: modes: probe is of segmentations; for classes, linear is the same`);
  // each training has these from the study: what stands in its configuration would count for nothing
  for (const [section, { data, ...keys }] of Object.entries(study.transfer))
    for (const [key, own] of Object.entries(SET_BY_STUDY)) {
      const given = key === 'data.labels' ? (data as { readonly labels?: unknown } | null | undefined)?.labels : keys[key];
      if (given !== undefined)
        throw new UsageError(`${file}: transfer.${section}.${key}: set by ${own} of the study; leave it out`);
    }
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
async function modelOf(work: StudyWork, method: string, stepSeconds: StepSeconds): Promise<Pretrained | typeof NOT_YET> {
  const { study } = work;
  const given = study.pretraining.models[method];
  if (method === SCRATCH || given !== undefined) return { init: given ?? SCRATCH, search: undefined };
  const { chosen, configuration } = await plannedPretraining(study, method, stepSeconds, 'study');
  const search = await searchLearningRate(work, method, { chosen, configuration });
  if (search === NOT_YET) return NOT_YET;
  const planned = { chosen, configuration: { ...configuration, ...(search && { learningRate: search.chosen }) } };
  const init = await pretrainMethod(work, join('pretrained', method), planned);
  return init === NOT_YET ? NOT_YET : { init, search };
}

/** What a study came to. */
export interface StudyOutcome {
  readonly results: readonly StudyRunResult[];
  readonly searches: Searches;
  /** Where its networks saw who is tested on. */
  readonly warnings: readonly string[];
}

/** What is known of a study so far. */
interface Known {
  /** By the training's folder. */
  readonly results: Map<string, StudyRunResult>;
  /** Folders of those that were taken over, and from where. */
  readonly taken: ReadonlySet<string>;
  readonly reused: ReusedStudy | undefined;
  readonly searches: Record<string, LearningRateSearch>;
}

/** A training's result: taken over, or made now. */
async function resultOf(
  work: StudyWork,
  run: StudyRun,
  cohort: Cohort,
  init: string,
  initialModel: RunFacts['initialModel'] | undefined,
): Promise<StudyRunResult | typeof NOT_YET> {
  const { study, out } = work;
  const configuration = configurationOf(study, run, init);
  const facts = async (record: RunRecord | undefined): Promise<RunFacts> => {
    const model = initialModel === undefined ? (record?.initialModel ?? null) : initialModel;
    return (await trainFacts(cohort, configuration, model)).facts;
  };
  if (run.mode === 'probe') {
    const isDone = async (): Promise<boolean> => (await findFolder(join(out, run.folder, PROBE_FILE))) !== undefined;
    const make = async (folder: string): Promise<boolean> => {
      await probeTask(cohort, configuration, folder);
      return true;
    };
    if ((await doPiece(work, { folder: run.folder, isDone, make })) === NOT_YET) return NOT_YET;
    const probe = await probeTask(cohort, configuration, join(out, run.folder));
    return { ...run, ...probe, task: await taskOf(cohort, configuration), curve: [] };
  }
  const read = (): Promise<StudyRunResult | undefined> => readResult(out, run, facts);
  const isDone = async (): Promise<boolean> => (await read()) !== undefined;
  const make = (folder: string, signal: AbortSignal | undefined): Promise<boolean> =>
    trainRun(work, run, folder, configuration, signal);
  return (await doPiece(work, { folder: run.folder, isDone, make })) === NOT_YET ? NOT_YET : (await read())!;
}

/** What is taken over: all that is published and was not done here. */
async function reusedResults(
  out: string,
  wanted: readonly StudyRun[],
  reused: ReusedStudy | undefined,
): Promise<Map<string, StudyRunResult>> {
  const results = new Map<string, StudyRunResult>();
  for (const run of wanted) {
    const result = reused?.of(run);
    if (result && (await findFolder(join(out, run.folder, resultFileOf(run.mode)))) === undefined)
      results.set(run.folder, result);
  }
  return results;
}

/** A result with whose scans its subjects are: scores of older versions, and published ones, may not say it. */
function withPatients(result: StudyRunResult, cohort: Cohort): StudyRunResult {
  const known = new Map(cohort.subjects.map((subject) => [subject.id, whose(subject)]));
  const subjects = result.subjects.map((scores) => ({ ...scores, ...known.get(scores.id) }));
  return { ...result, subjects, summary: summarizeScores(subjects, result.task) };
}

/** Goes once over all that is not known yet. @returns whether something is another process's */
async function goOver(work: StudyWork, cohort: Cohort, wanted: readonly StudyRun[], known: Known): Promise<boolean> {
  const { study, out, progress, signal } = work;
  const { results, searches } = known;
  const own = study.methods.filter((name) => name !== SCRATCH && study.pretraining.models[name] === undefined);
  const stepSeconds = await stepSecondsOf(work, own);
  if (stepSeconds === NOT_YET) return true;
  const startedMs = performance.now();
  let isWaiting = false;
  for (const { name: method } of methodsOf(study)) {
    const own = wanted.filter((run) => run.method === method);
    const open = own.filter(({ folder }) => !results.has(folder));
    if (open.length === 0) continue;
    if (signal?.aborted) break;
    // whether its results start from this model is seen by the model alone; one of the study's own that was deleted since is not made again
    // for trainings that are done
    const deleted =
      study.pretraining.models[method] === undefined &&
      (await findFolder(join(out, 'pretrained', method, 'last'))) === undefined &&
      (await Promise.all(open.map(({ folder, mode }) => findFolder(join(out, folder, resultFileOf(mode)))))).every(Boolean);
    const made = deleted ? undefined : await modelOf(work, method, stepSeconds);
    if (made === NOT_YET) {
      isWaiting = true;
      continue;
    }
    const init = made?.init ?? join(out, 'pretrained', method);
    if (made?.search) searches[method] = made.search;
    const initialModel = deleted ? undefined : await initialModelOf(init);
    if (own.some(({ folder }) => known.taken.has(folder))) requireSameModel(known.reused!, method, initialModel?.sha256);
    for (const run of open) {
      if (signal?.aborted) break;
      const result = await resultOf(work, run, cohort, init, initialModel);
      if (result === NOT_YET) {
        isWaiting = true;
        continue;
      }
      results.set(run.folder, result);
      const score = result.summary.dice ?? result.summary.auc;
      progress.say(
        `${results.size}/${wanted.length} ${run.method} ${run.mode} ${labelsText(run.labels)}, seed ${run.seed}: ${score?.toFixed(4) ?? '-'} (${Math.round((performance.now() - startedMs) / 1000)} s)`,
      );
    }
  }
  return isWaiting;
}

/**
 * Runs what is not done yet; several processes may be at the same study, each training what it has claimed (claims.ts).
 * @param reused whose trainings are taken over rather than made
 * @throws UsageError if the folder holds another study's results; UsageError or RunError of the first training that cannot go on; RunError with
 *   all that diverged, after everything else is done. What is done stays done
 */
export async function runStudy(work: StudyWork, reused?: ReusedStudy): Promise<StudyOutcome> {
  const { study, out, progress, signal, part, claims } = work;
  const runs = runsOf(study);
  for (const run of runs) configurationOf(study, run, 'scratch');
  const cohort = await openCohort(study.cohort);
  if (!work.table) await requireTrainable(study, cohort, out);
  await agreeWithStudy(study, out);
  const warnings = await seenTestSubjects(study, cohort);
  for (const line of warnings) progress.say(`warning: ${line}`);
  const wanted = runs.filter(({ folder }) => isInPart(folder, part));
  const results = await reusedResults(out, wanted, reused);
  const known: Known = { results, taken: new Set(results.keys()), reused, searches: {} };
  if (results.size > 0) progress.say(`${results.size} of ${wanted.length} trainings are taken over from ${reused?.folder}`);
  let isSaid = false;
  for (;;) {
    let isWaiting: boolean;
    const others = await claims.holders();
    try {
      isWaiting = await goOver(work, cohort, wanted, known);
    } catch (error) {
      if (!signal?.aborted) throw error;
      isWaiting = true;
    }
    if (work.missing.length > 0) throw await missingError(work, wanted.length - results.size);
    if (signal?.aborted && results.size < wanted.length)
      throw new RunError(`stopped: ${results.size} of ${wanted.length} trainings are done; run the same command to continue`);
    if (!isWaiting) break;
    if (work.diverged.size > 0 && others.length === 0) throw divergedError(work, wanted.length - results.size);
    if (!isSaid) progress.say(`waiting for ${formatNames(await claims.holders())}`);
    isSaid = true;
    // until it is asked to stop; nothing of the wait stays with the signal, since waits are many
    await sleep(claims.timing.waitMs, undefined, signal ? { signal } : {}).catch(() => {});
  }
  const all = wanted.map(({ folder }) => withPatients(results.get(folder)!, cohort));
  const older = all.filter((result) => result.version !== version);
  if (older.length > 0)
    progress.say(
      `warning: ${older.length} of ${all.length} trainings were made with gvsl ${[...new Set(older.map((result) => result.version))].join(', ')}, this is ${version}`,
    );
  return { results: all, searches: known.searches, warnings };
}

/** What could not be made, and all that needed it. */
const divergedError = ({ diverged }: StudyWork, count: number): RunError =>
  new RunError(
    [
      `${counted(count, 'training')} not done; all others are. In \`methods\`, leave out what diverged, or name a variant of it with other settings (\`pretraining.variants\`), and run the same command again:`,
      ...[...diverged].map(([folder, reason]) => `  ${folder}: ${reason}`),
    ].join('\n'),
  );

/** What a table misses. */
async function missingError({ out, missing, claims }: StudyWork, count: number): Promise<RunError> {
  const holders = await claims.holders();
  const underWay = holders.length > 0 ? `; under way: ${formatNames(holders)}` : '';
  return new RunError(
    `${out}: ${count} trainings are not done (first ${formatNames([...new Set(missing)])})${underWay}; run the command without \`table\` to do them`,
  );
}
