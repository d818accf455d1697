/**
 * What each method of a study is pre-trained with: the study's keys and its own, and a number of steps by which all methods have the same budget.
 *
 * The steps that a study declares are GVSL's. At equal passes a method whose sample goes through the encoder once makes twice as many, and so on;
 * warm-up and decay of the learning rate are stretched with them.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../common/errors.ts';
import { SILENT } from '../common/progress.ts';
import { GVSL } from '../methods/descriptions.ts';
import { methodNamed } from '../methods/registry.ts';
import { type PretrainingConfiguration, samplesPerStep } from '../methods/schema-parts.ts';
import { jsonText, readJson } from '../model/node/documents.ts';
import { findFolder, writeFileAtomic } from '../platform/node/files.ts';
import { readMetrics } from '../training/node/log/metrics.ts';
import { pretrain } from '../training/node/pretrain.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { type ChosenMethod, chooseMethod } from '../training/node/pretraining-method.ts';
import { parseConfigurationOf } from '../training/node/read-configuration.ts';
import type { Study } from './configuration.ts';
import { merged } from './merged.ts';
import { baseOf, namesOfKeys, SCRATCH } from './methods.ts';
import type { StudyWork } from './runs.ts';
import { doPiece, NOT_YET, type Piece } from './shared.ts';

/** A method with all that it is pre-trained with. */
export interface PlannedPretraining {
  readonly chosen: ChosenMethod;
  readonly configuration: PretrainingConfiguration;
}

/** What a method's training takes of time: a step (with its examples and target network), and what it computes between steps each time that it does. */
interface MethodSeconds {
  readonly step: number;
  readonly refresh: number;
}

/** Seconds by method. */
export type StepSeconds = Readonly<Record<string, MethodSeconds>>;

/** The configuration that a study declares for a method, with the steps of GVSL. */
async function declared(study: Study, name: string, source: string): Promise<PlannedPretraining> {
  const { pretraining } = study;
  const { configuration, methods, variants } = pretraining;
  const base = baseOf(study, name);
  const { of: _of, title: _title, ...keys } = variants[name] ?? { of: base };
  const own = [...namesOfKeys(base).map((key) => methods[key] ?? {}), keys].reduce((before, more) => merged(before, more), {});
  if (pretraining.budget !== 'steps' && 'steps' in own)
    throw new UsageError(
      `${source}: pretraining.${name in variants ? 'variants' : 'methods'}.${name}.steps: the budget '${pretraining.budget}' sets them; leave them out, or choose the budget 'steps'`,
    );
  const chosen = await chooseMethod(base);
  try {
    const whole = parseConfigurationOf(chosen.kind, merged(configuration, own), [], `${source}: pretraining.configuration`);
    return { chosen, configuration: whole };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(
      `${error.message}\n(for the method ${name}; keys of single methods stand in pretraining.methods.NAME, of variants in pretraining.variants.NAME)`,
    );
  }
}

/**
 * Steps that cost `perStep` each (passes, or seconds) and that, with the cost before steps 0, `every`, 2 `every`, ... (DeepCluster's clusterings), take
 * `total`: less by no more than one such cost, which the last steps would not be worth.
 */
function stepsWithin(total: number, perStep: number, every: number, between: number): number {
  const period = every * perStep + between;
  const periods = Math.floor(total / period);
  const rest = Math.round((total - periods * period - between) / perStep);
  return periods * every + Math.min(every, Math.max(0, rest));
}

/** What a method of a study takes beside its steps, in the budget's unit, and how often. */
async function besideSteps(study: Study, { chosen, configuration }: PlannedPretraining, seconds: MethodSeconds) {
  const { refresh } = chosen.method;
  if (!refresh) return undefined;
  const every = refresh.every(configuration);
  if (study.pretraining.budget === 'time') return seconds.refresh > 0 ? { every, cost: seconds.refresh } : undefined;
  const folder = study.pretraining.cohort ?? study.cohort;
  const { training } = await pretrainFacts(folder, { ...configuration, init: SCRATCH }, chosen.method);
  return { every, cost: refresh.passes(configuration, training.length) };
}

/** Of methods that were not measured: before a study begins, plans are checked for what else is in them. */
const UNMEASURED: MethodSeconds = { step: 1, refresh: 0 };

const scaled = (value: number | undefined, factor: number): number => Math.round((value ?? 0) * factor);

/**
 * What a method of a study is pre-trained with.
 * @param stepSeconds measured, for the budget `time`
 * @param source names the study in messages
 */
export async function plannedPretraining(
  study: Study,
  name: string,
  stepSeconds: StepSeconds = {},
  source = 'study',
): Promise<PlannedPretraining> {
  const { chosen, configuration } = await declared(study, name, source);
  const { budget } = study.pretraining;
  if (budget === 'steps' || name === GVSL) return { chosen, configuration };
  const reference = (await declared(study, GVSL, source).catch(() => undefined))?.configuration ?? configuration;
  const cost = ({ batch, accumulate = 1 }: PretrainingConfiguration, method: string): number =>
    budget === 'time'
      ? (stepSeconds[method] ?? UNMEASURED).step
      : samplesPerStep({ batch, accumulate }) * methodNamed(baseOf(study, method))!.passes;
  const [total, perStep] = [configuration.steps * cost(reference, GVSL), cost(configuration, name)];
  const beside = await besideSteps(study, { chosen, configuration }, stepSeconds[name] ?? UNMEASURED);
  const steps = Math.max(1, beside ? stepsWithin(total, perStep, beside.every, beside.cost) : Math.round(total / perStep));
  const factor = steps / configuration.steps;
  return {
    chosen,
    configuration: {
      ...configuration,
      steps,
      warmupSteps: scaled(configuration.warmupSteps, factor),
      learningRateDecaySteps: scaled(configuration.learningRateDecaySteps, factor),
    },
  };
}

const FILE = 'step-seconds.json';
/** A number alone is a step's: of methods that compute nothing between steps; in studies of older versions, which did not measure it, of all. */
const secondsSchema = z.record(
  z.string(),
  z.union([
    z
      .number()
      .positive()
      .transform((step): MethodSeconds => ({ step, refresh: 0 })),
    z.object({ step: z.number().positive(), refresh: z.number().nonnegative() }),
  ]),
);
/** Steps of which the first half is not counted: code gets faster while it runs. */
const MEASURED_STEPS = 12;

/** The typical of these seconds (the upper median); null of none. */
export function typicalOf(seconds: readonly number[]): number | null {
  const sorted = [...seconds].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? null;
}

/** The same of what is not of the beginning; 0 of none. */
const typicalLater = (seconds: readonly number[]): number => typicalOf(seconds.slice(seconds.length >> 1)) ?? 0;

/** Measures a method's training on a few real steps, in a folder that is removed again. */
async function measure(study: Study, name: string, folder: string): Promise<MethodSeconds> {
  const { chosen, configuration } = await declared(study, name, 'study');
  await rm(folder, { recursive: true, force: true });
  await pretrain({
    method: chosen.method,
    cohort: study.pretraining.cohort ?? study.cohort,
    out: folder,
    configuration: {
      ...configuration,
      steps: MEASURED_STEPS,
      log: { ...configuration.log, everySteps: 1, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 0 },
    },
    progress: SILENT,
  });
  const { steps, refreshes } = await loggedSeconds(folder);
  await rm(folder, { recursive: true, force: true });
  return { step: typicalLater(steps), refresh: typicalLater(refreshes) };
}

/** Seconds of the steps that a run's log has, and of what was computed between steps. */
export async function loggedSeconds(folder: string): Promise<{ readonly steps: number[]; readonly refreshes: number[] }> {
  const lines = (await readMetrics(join(folder, 'metrics.jsonl'))).filter(({ kind }) => kind === 'step');
  const of = (key: string): number[] => lines.flatMap(({ [key]: value }) => (typeof value === 'number' ? [value] : []));
  return { steps: of('stepSeconds'), refreshes: of('refreshSeconds') };
}

/**
 * What each method and GVSL take of time, for the budget `time`: measured once, by one process, and kept in the study's folder, so that a study that
 * goes on gives each method the steps that it had. Empty for another budget.
 */
export async function stepSecondsOf(work: StudyWork, names: readonly string[]): Promise<StepSeconds | typeof NOT_YET> {
  const { study, out } = work;
  if (study.pretraining.budget !== 'time') return {};
  const path = join(out, FILE);
  const read = async (): Promise<StepSeconds> => ((await findFolder(path)) === undefined ? {} : readJson(path, secondsSchema));
  const wanted = new Set([GVSL, ...names]);
  const missing = (known: StepSeconds): string[] => [...wanted].filter((name) => known[name] === undefined);
  const piece: Piece = {
    folder: 'measured',
    isDone: async () => missing(await read()).length === 0,
    make: async (folder) => {
      const known: Record<string, MethodSeconds> = { ...(await read()) };
      for (const name of missing(known)) {
        known[name] = await measure(study, name, folder);
        const written = Object.entries(known).map(([of, seconds]) => [of, seconds.refresh > 0 ? seconds : seconds.step]);
        await writeFileAtomic(path, jsonText(Object.fromEntries(written)));
      }
      return true;
    },
  };
  await doPiece(work, piece);
  return (await piece.isDone()) ? read() : NOT_YET;
}
