/**
 * The same small search over learning rates of pre-training for every method: each is pre-trained at each of them, trained on the task once, and the
 * validation subjects choose. No score of a test subject is read.
 */
import { join } from 'node:path';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { UsageError } from '../common/errors.ts';
import { initialModelOf } from '../training/node/start.ts';
import { trainFacts } from '../training/node/task/facts.ts';
import type { Study } from './configuration.ts';
import { pretrainMethod } from './pretrain-method.ts';
import type { PlannedPretraining } from './pretraining.ts';
import { configurationOf, labelsInOrder, modesOf, type StudyRun, type StudyWork } from './runs.ts';
import { doPiece, NOT_YET } from './shared.ts';
import { readResult, trainRun } from './task-result.ts';

/** What a method's search found. */
export interface LearningRateSearch {
  readonly chosen: number;
  /** Best validation score of each learning rate: Dice, or AUC; null where training diverged. */
  readonly tried: readonly { readonly learningRate: number; readonly score: number | null }[];
}

/** By method. */
export type Searches = Readonly<Record<string, LearningRateSearch>>;

/** The training that judges a learning rate: fine-tuning where there is some, with the most labels, of the first seed. */
function judgingRun(study: Study): Pick<StudyRun, 'mode' | 'labels' | 'seed'> {
  const modes = modesOf(study).filter((mode) => mode !== 'probe');
  const most = labelsInOrder(study).at(-1)!;
  return { mode: modes.includes('finetune') ? 'finetune' : modes[0], labels: most, seed: study.seeds[0] };
}

/** @throws UsageError if a study has nobody to choose by */
export function requireValidation(study: Study, file: string): void {
  const { mode } = judgingRun(study);
  if (mode === undefined) throw new UsageError(`${file}: pretraining.search: needs the mode linear or finetune to choose by`);
  const { data } = configurationOf(study, { method: '', folder: '', ...judgingRun(study) }, 'scratch', file);
  if (data.validation === 0 && data.split === null)
    throw new UsageError(
      `${file}: pretraining.search: needs validation subjects (transfer.configuration.data.validation) to choose by`,
    );
}

/**
 * Searches; undefined if the study asks for none.
 * @throws RunError if it was stopped, UsageError if another study's results lie there
 */
export async function searchLearningRate(
  work: StudyWork,
  method: string,
  { chosen, configuration }: PlannedPretraining,
): Promise<LearningRateSearch | undefined | typeof NOT_YET> {
  const { study, out, progress } = work;
  const rates = study.pretraining.search.learningRate;
  if (rates.length === 0) return undefined;
  const judging = judgingRun(study);
  const cohort = await openCohort(study.cohort);
  const tried: { learningRate: number; score: number | null }[] = [];
  // nothing where it diverged, and others may be at this rate; the next can be tried meanwhile
  const skip = (learningRate: number, folder: string): void => {
    if (work.diverged.has(folder)) tried.push({ learningRate, score: null });
  };
  for (const learningRate of rates) {
    const name = `${method}-lr${learningRate}`;
    const pretrained = join('search', name);
    const init = await pretrainMethod(work, pretrained, { chosen, configuration: { ...configuration, learningRate } });
    if (init === NOT_YET) {
      skip(learningRate, pretrained);
      continue;
    }
    const folder = join('search', `${name}-${judging.mode}-${judging.labels}-seed${judging.seed}`);
    const run: StudyRun = { method, ...judging, folder };
    const trained = configurationOf(study, run, init);
    const model = await initialModelOf(init);
    const read = () => readResult(out, run, async () => (await trainFacts(cohort, trained, model)).facts);
    const isDone = async (): Promise<boolean> => (await read()) !== undefined;
    const make = (path: string, signal: AbortSignal | undefined) => trainRun(work, run, path, trained, signal);
    if ((await doPiece(work, { folder, isDone, make })) === NOT_YET) {
      skip(learningRate, folder);
      continue;
    }
    const result = await read();
    const scores = result!.curve.map(([, score]) => score);
    if (scores.length === 0)
      throw new UsageError(
        'pretraining.search: there is no validation score to choose by: evaluate more often (transfer.configuration.log.evaluateEverySteps)',
      );
    tried.push({ learningRate, score: Math.max(...scores) });
    progress.say(`${method}: learning rate ${learningRate}: validation ${Math.max(...scores).toFixed(4)}`);
  }
  if (tried.length < rates.length) return NOT_YET;
  const scores = tried.map(({ score }) => score ?? -Infinity);
  const best = Math.max(...scores);
  return best === -Infinity ? NOT_YET : { chosen: tried[scores.indexOf(best)]!.learningRate, tried };
}
