/** What each method of a study was pre-trained with, as its runs record it: steps, samples, passes, time. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { markdownCell } from '../common/markdown.ts';
import { methodNamed } from '../methods/registry.ts';
import type { PretrainingConfiguration } from '../methods/schema-parts.ts';
import { readRunRecord } from '../training/node/run-record.ts';
import type { Study } from './configuration.ts';
import { methodsOf } from './methods.ts';
import { loggedSeconds, typicalOf } from './pretraining.ts';
import { pretrainedAt } from './runs.ts';
import type { LearningRateSearch, Searches } from './search.ts';

export interface PretrainingCost {
  readonly method: string;
  readonly title: string;
  /** Whether it is the study's own: a model that was given may come from anywhere. */
  readonly given: boolean;
  readonly steps: number | null;
  /** Crops of subjects that were looked at. */
  readonly images: number | null;
  /** Passes through the encoder, those between steps (DeepCluster's for its clusters) counted. */
  readonly passes: number | null;
  /**
   * Computing and waiting for examples, without evaluation: the median step times the steps, and the median of what is computed between steps
   * (DeepCluster's clusterings) as often as it is; null where the log does not say it.
   */
  readonly seconds: number | null;
  readonly learningRate: number | null;
  readonly search: LearningRateSearch | null;
}

const numberIn = (configuration: Readonly<Record<string, unknown>> | undefined, key: string): number | null => {
  const value = configuration?.[key];
  return typeof value === 'number' ? value : null;
};

/** Seconds of so many steps and refreshes of a run, by its log; null if that is not at hand. */
async function secondsOf(folder: string, steps: number, refreshes: number): Promise<number | null> {
  if (!(await stat(join(folder, 'metrics.jsonl')).catch(() => undefined))) return null;
  const logged = await loggedSeconds(folder);
  const [step, refresh] = [typicalOf(logged.steps), refreshes === 0 ? 0 : typicalOf(logged.refreshes)];
  return step === null || refresh === null ? null : steps * step + refreshes * refresh;
}

/** Of every method but scratch, in the order of tables. */
export async function pretrainingCosts(study: Study, out: string, searches: Searches): Promise<PretrainingCost[]> {
  const costs: PretrainingCost[] = [];
  for (const { name, title, of } of methodsOf(study)) {
    const folder = pretrainedAt(study, out, name);
    if (folder === undefined) continue;
    const record = await readRunRecord(folder);
    const steps = numberIn(record?.configuration, 'steps');
    const batch = numberIn(record?.configuration, 'batch');
    const samples =
      steps !== null && batch !== null ? steps * batch * (numberIn(record?.configuration, 'accumulate') ?? 1) : null;
    const described = methodNamed(of)!;
    const { images, passes } = described;
    const { refresh } = await described.load();
    const configuration = record?.configuration as PretrainingConfiguration | undefined;
    const refreshes = refresh && configuration && steps !== null ? Math.ceil(steps / refresh.every(configuration)) : 0;
    const between =
      refresh && configuration ? refreshes * refresh.passes(configuration, record?.split?.training?.length ?? 0) : 0;
    costs.push({
      method: name,
      title,
      given: study.pretraining.models[name] !== undefined,
      steps,
      images: samples === null ? null : samples * images,
      passes: samples === null ? null : samples * passes + between,
      seconds: record && steps !== null ? await secondsOf(folder, steps, refreshes) : null,
      learningRate: numberIn(record?.configuration, 'learningRate'),
      search: searches[name] ?? null,
    });
  }
  return costs;
}

const grouped = (value: number | null): string => (value === null ? '-' : value.toLocaleString('en'));

/** '1.5 h', '12 min', '40 s'. */
function timeText(seconds: number | null): string {
  if (seconds === null) return '-';
  if (seconds >= 5400) return `${(seconds / 3600).toFixed(1)} h`;
  return seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`;
}

const BUDGETS: Readonly<Record<Study['pretraining']['budget'], string>> = {
  passes: 'every method has as many passes through the encoder as GVSL in its steps',
  steps: 'every method has the steps that the study declares',
  time: "every method has the time that GVSL takes for its steps, by a step (and DeepCluster's clustering) measured once",
};

/** The table of what pre-training cost. */
export function costMarkdown(study: Study, costs: readonly PretrainingCost[]): string {
  if (costs.length === 0) return '';
  const searched = costs.some(({ search }) => search !== null);
  const tried = ({ search }: PretrainingCost): string =>
    search
      ? search.tried.map(({ learningRate, score }) => `${learningRate}: ${score?.toFixed(3) ?? 'diverged'}`).join(', ')
      : '-';
  const lines = costs.map((cost) =>
    [
      `${markdownCell(cost.title)}${cost.given ? ' (given model)' : ''}`,
      grouped(cost.steps),
      grouped(cost.images),
      grouped(cost.passes),
      timeText(cost.seconds),
      cost.learningRate === null ? '-' : String(cost.learningRate),
      ...(searched ? [tried(cost)] : []),
    ].join(' | '),
  );
  const heads = ['pre-training', 'steps', 'images seen', 'forward passes', 'time', 'learning rate'];
  return [
    '**What pre-training cost**',
    '',
    `Budget: ${BUDGETS[study.pretraining.budget]}. Time is the median step's times the steps, clusterings of DeepCluster added, without evaluation.${searched ? ' Learning rates were searched on the validation subjects: best validation score of each.' : ''}`,
    '',
    `| ${[...heads, ...(searched ? ['validation by learning rate'] : [])].join(' | ')} |`,
    `| --- | ${heads
      .slice(1)
      .map(() => '---:')
      .join(' | ')} |${searched ? ' --- |' : ''}`,
    ...lines.map((line) => `| ${line} |`),
    '',
  ].join('\n');
}
