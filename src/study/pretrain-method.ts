/** The pre-training of a study's method: made, gone on with, or taken over if it is the one that the study declares. */
import { RunError } from '../common/errors.ts';
import type { Progress } from '../common/progress.ts';
import type { PretrainConfiguration } from '../methods/gvsl/configuration.ts';
import { methodNamed } from '../methods/registry.ts';
import { readCheckpoint } from '../training/node/checkpoint.ts';
import { pretrain, pretrainFacts } from '../training/node/pretrain.ts';
import { readRunRecord } from '../training/node/run-record.ts';
import { SCRATCH } from './methods.ts';
import { requireResult } from './result.ts';

export interface MethodCall {
  readonly method: string;
  /** Folder that `prepare` made. */
  readonly cohort: string;
  /** Folder of the method's own, made by it; what lies there already is gone on with. */
  readonly out: string;
  /** What all methods of a study share: steps, batch, learning rate, width, crops, seed. */
  readonly configuration: PretrainConfiguration;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Trains, or goes on training, and returns what transfer starts from: a run's folder; 'scratch' for random numbers.
 * @throws UsageError if the folder holds another pre-training
 */
export async function pretrainMethod({ method, cohort, out, configuration, progress, signal }: MethodCall): Promise<string> {
  if (method === SCRATCH) return SCRATCH;
  const heads = methodNamed(method)!.preset?.model.heads ?? { affine: true, matching: true, restoration: true };
  const whole = { ...configuration, model: { ...configuration.model, heads } };
  const begun = await readCheckpoint(out, 'last');
  if (begun && begun.state.step >= configuration.steps) {
    requireResult(out, await readRunRecord(out), begun.state.run, (await pretrainFacts(cohort, whole)).facts);
    return out;
  }
  const result = await pretrain({
    cohort,
    out,
    configuration: whole,
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
