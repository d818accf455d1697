/**
 * The demo: from nothing to a trained network and its report, in minutes.
 *
 * The same library calls as `phantom`, `prepare`, `pretrain` and `report`, with a small network on coarse images. Each part keeps what
 * an earlier, interrupted call did, so the same call continues. Everything lies in subfolders of `out`. Before a training begins, a few real
 * steps are timed: on a slow machine there is a shorter one.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareCohort } from '../cohort/node/prepare.ts';
import { counted } from '../common/counted.ts';
import { RunError, UsageError } from '../common/errors.ts';
import { formatDuration } from '../common/format-duration.ts';
import type { Progress } from '../common/progress.ts';
import type { BackendName } from '../engine/backend.ts';
import { createBackend } from '../platform/node/backends.ts';
import { writeReport } from '../report/node/write-report.ts';
import type { EvaluationRecord } from '../report/run-data.ts';
import { DEMO_SETTINGS } from '../training/demo-settings.ts';
import { pretrain } from '../training/node/pretrain.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { parseConfiguration } from '../training/node/read-configuration.ts';
import { type RunRecord, readRunRecord } from '../training/node/run-record.ts';
import { measureStepSeconds } from '../training/node/speed.ts';
import { writePhantomCohort } from './phantom-cohort.ts';

export interface DemoCall {
  readonly out: string;
  /** Names the patients and the training; equal seeds give equal demos. */
  readonly seed: number;
  /** Of the training in all; left out: as many as the demo has, or the short demo. */
  readonly steps?: number;
  /** The short demo, which a slow machine gets otherwise too. */
  readonly short?: boolean;
  /** Asks a person, who is told how long both take; true: the short one. Left out: nobody is there, and a slow machine gets the short one. */
  readonly ask?: (question: string, signal: AbortSignal) => Promise<boolean>;
  /** All cores if left out. */
  readonly threads?: number;
  readonly backend: BackendName;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** How the reader calls the program. */
  readonly program: string;
}

export interface DemoResult {
  readonly cohort: string;
  readonly run: string;
  readonly report: string;
  readonly step: number;
  /** Whether it was the short demo. */
  readonly short: boolean;
  /** False if it was stopped: the same call continues. */
  readonly finished: boolean;
  /** On held-out pairs; null if it was stopped before the first one. */
  readonly evaluation: EvaluationRecord | null;
}

/** More is no demo any more: a shorter one is offered. */
const PATIENCE_MS = 10 * 60_000;
/** What evaluations, pictures and checkpoints add to the steps. */
const BESIDE_STEPS = 1.1;

/** How a training is told: how many steps, and how long its learning rate falls. */
interface Plan {
  readonly steps: number;
  readonly learningRateDecaySteps: number;
}
const wholePlan = (steps: number = DEMO_SETTINGS.pretrain.steps): Plan => ({
  steps,
  learningRateDecaySteps: DEMO_SETTINGS.pretrain.learningRateDecaySteps,
});
const SHORT: Plan = { steps: DEMO_SETTINGS.shortSteps, learningRateDecaySteps: DEMO_SETTINGS.shortSteps };

const isShort = (plan: Pick<Plan, 'learningRateDecaySteps'>): boolean =>
  plan.learningRateDecaySteps === SHORT.learningRateDecaySteps;

/** A training that was begun goes on as it was begun. */
export function begunPlan({ configuration }: RunRecord, steps: number | undefined): Plan {
  const { learningRateDecaySteps = 0 } = configuration as Partial<Plan>;
  return isShort({ learningRateDecaySteps }) ? { ...SHORT, ...(steps !== undefined && { steps }) } : wholePlan(steps);
}

/** The whole demo where that takes minutes, otherwise what the caller, or whoever is asked, wants. */
export async function newPlan(
  { steps, short, ask, progress, signal }: Pick<DemoCall, 'steps' | 'short' | 'ask' | 'progress' | 'signal'>,
  stepSeconds: number,
): Promise<Plan> {
  const lasts = (plan: Plan): number => plan.steps * stepSeconds * BESIDE_STEPS * 1000;
  const text = (plan: Plan): string => `${formatDuration(lasts(plan))} for ${counted(plan.steps, 'step')}`;
  const measured = `a step takes ${stepSeconds.toPrecision(2)} s on this machine`;
  const wanted = short ? SHORT : wholePlan(steps);
  if (short || steps !== undefined || lasts(wanted) <= PATIENCE_MS) {
    progress.say(`${measured}: about ${text(wanted)}`);
    return wanted;
  }
  const choice = `${measured}: the full demo would take about ${text(wanted)}, the short one about ${text(SHORT)}, with a weaker result`;
  if (ask) return (await ask(choice, signal)) ? SHORT : wanted;
  progress.say(`${choice}. Running the short one; for the full demo use --steps ${wanted.steps} with another --out`);
  return SHORT;
}

/** @throws RunError if it is stopped before training, or `out` holds another demo */
export async function runDemo(call: DemoCall): Promise<DemoResult> {
  const { out, seed, threads, backend, progress, signal, program } = call;
  const { phantoms, prepare, pretrain: training } = DEMO_SETTINGS;
  const configurationOf = (plan: Plan) =>
    parseConfiguration({ ...training, ...plan, seed, threads: threads ?? 'auto', backend }, [], 'the settings of the demo');
  const [images, cohort, run] = ['images', 'cohort', 'run'].map((name) => join(out, name)) as [string, string, string];
  const stopHere = (): void => {
    if (signal.aborted) throw new RunError(`stopped; the same command continues in ${out}`);
  };

  const isThere = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  const report = join(out, 'report.html');
  if ((await isThere(report)) && !(await isThere(run)))
    throw new RunError(`${report}: exists already and is not the report of a demo; choose a new or empty folder`);

  progress.say(`1/4 generating ${phantoms.subjects} synthetic patients: ${images}`);
  await writePhantomCohort(images, { ...phantoms, seed }, progress, signal);
  stopHere();

  progress.say(`2/4 preparing the cohort: ${cohort}`);
  await prepareCohort({ source: images, out: cohort, options: prepare, progress, signal });
  progress.stop();
  stopHere();

  progress.say(`3/4 pre-training: ${run}`);
  const record = await readRunRecord(run);
  let [plan, stepSeconds]: [Plan, number | undefined] = [wholePlan(call.steps), undefined];
  if (record) {
    plan = begunPlan(record, call.steps);
    if (call.short && !isShort(plan))
      throw new UsageError(`--short: ${run} was started as a full demo; choose another --out, or omit --short`);
  } else {
    const configuration = configurationOf(plan);
    const { training: subjects } = await pretrainFacts(cohort, configuration);
    const job = { cohort, training: subjects.map(({ id }) => id), configuration };
    stepSeconds = await measureStepSeconds(await createBackend(backend, threads), job, signal);
    stopHere();
    plan = await newPlan(call, stepSeconds);
    stopHere();
  }
  const { finished, step } = await pretrain({
    cohort,
    out: run,
    configuration: configurationOf(plan),
    resume: record !== undefined,
    progress,
    ...(stepSeconds !== undefined && { stepSeconds }),
    signal,
  });

  progress.say(`4/4 writing the report: ${report}`);
  const title = `Matching hearts in ${phantoms.subjects} synthetic CTs`;
  const { evaluation } = await writeReport({ run, out: report, title, program });
  return { cohort, run, report, step, finished, short: isShort(plan), evaluation };
}
