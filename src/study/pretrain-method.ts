/** The pre-training of a study's method: made, gone on with, or taken over if it is the one that the study declares. */
import { join } from 'node:path';
import { readState } from '../training/node/checkpoint.ts';
import { isExhausted } from '../training/node/loop.ts';
import { pretrain } from '../training/node/pretrain.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { readRunRecord } from '../training/node/run-record.ts';
import type { PlannedPretraining } from './pretraining.ts';
import { requireResult } from './result.ts';
import type { StudyWork } from './runs.ts';
import { doPiece, NOT_YET } from './shared.ts';

/**
 * Trains, or goes on training, in a folder of the method's own inside the study's.
 * @returns what transfer starts from: the run's folder; or that it is not there yet
 * @throws UsageError if the folder holds another pre-training
 */
export async function pretrainMethod(
  work: StudyWork,
  folder: string,
  { chosen, configuration }: PlannedPretraining,
): Promise<string | typeof NOT_YET> {
  const { study, progress, tracking } = work;
  const { method } = chosen;
  const cohort = study.pretraining.cohort ?? study.cohort;
  const path = join(work.out, folder);
  const isDone = async (): Promise<boolean> => {
    const state = await readState(path, 'last');
    if (!state || (state.step < configuration.steps && !isExhausted(state, configuration))) return false;
    requireResult(path, await readRunRecord(path), state.run, (await pretrainFacts(cohort, configuration, method)).facts);
    return true;
  };
  const make = async (out: string, signal: AbortSignal | undefined): Promise<boolean> => {
    const resume = (await readState(out, 'last')) !== undefined;
    const result = await pretrain({
      method,
      cohort,
      out,
      configuration,
      resume,
      progress,
      mlflow: tracking?.child(folder),
      ...(signal ? { signal } : {}),
    });
    if (!result.finished) progress.say(`${folder}: pre-training was stopped after step ${result.step} of ${configuration.steps}`);
    return result.finished;
  };
  return (await doPiece(work, { folder, isDone, make })) === NOT_YET ? NOT_YET : path;
}
