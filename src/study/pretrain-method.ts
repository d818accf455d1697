/** The pre-training of a study's method: made, gone on with, or taken over if it is the one that the study declares. */
import { RunError } from '../common/errors.ts';
import type { Progress } from '../common/progress.ts';
import { readCheckpoint } from '../training/node/checkpoint.ts';
import { pretrain } from '../training/node/pretrain.ts';
import { pretrainFacts } from '../training/node/pretraining-facts.ts';
import { readRunRecord } from '../training/node/run-record.ts';
import type { PlannedPretraining } from './pretraining.ts';
import { requireResult } from './result.ts';

export interface MethodCall extends PlannedPretraining {
  /** Folder that `prepare` made. */
  readonly cohort: string;
  /** Folder of the method's own, made by it; what lies there already is gone on with. */
  readonly out: string;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Trains, or goes on training, and returns what transfer starts from: the run's folder.
 * @throws UsageError if the folder holds another pre-training
 */
export async function pretrainMethod({ chosen, cohort, out, configuration, progress, signal }: MethodCall): Promise<string> {
  const { method } = chosen;
  const begun = await readCheckpoint(out, 'last');
  if (begun && begun.state.step >= configuration.steps) {
    requireResult(out, await readRunRecord(out), begun.state.run, (await pretrainFacts(cohort, configuration, method)).facts);
    return out;
  }
  const result = await pretrain({
    method,
    cohort,
    out,
    configuration,
    resume: begun !== undefined,
    progress,
    ...(signal ? { signal } : {}),
  });
  if (!result.finished)
    throw new RunError(
      `${out}: pre-training was stopped after step ${result.step} of ${configuration.steps}; run the same command to continue`,
    );
  return out;
}
