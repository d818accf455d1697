/**
 * What a method of pre-training is to a study: something that makes a backbone from unlabelled images. A new one is a folder beside the others
 * with a `method.ts`, and a line in registry.ts; how it trains is its own affair, as long as it resumes and leaves a model folder.
 */
import { WorkError } from '../../common/errors.ts';
import type { PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import { ALL_HEADS, type Heads } from '../../model/architecture.ts';
import type { Progress } from '../../platform/node/progress.ts';
import { readCheckpoint } from '../../training/node/checkpoint.ts';
import { pretrain, pretrainFacts } from '../../training/node/pretrain.ts';
import { readRunRecord } from '../../training/node/run-record.ts';
import { requireResult } from '../result.ts';

export interface MethodCall {
  /** Folder that `prepare` made. */
  readonly cohort: string;
  /** Folder of the method's own, made by it; what lies there already is gone on with. */
  readonly out: string;
  /** What all methods of a study share: steps, batch, learning rate, width, crops, seed. */
  readonly configuration: PretrainConfiguration;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

export interface PretrainingMethod {
  /** As a study names it, and its folder. */
  readonly name: string;
  /** As tables name it. */
  readonly title: string;
  /** Trains, or goes on training, and returns what transfer starts from: a model folder or a run; 'scratch' for random numbers. */
  readonly pretrain: (call: MethodCall) => Promise<string>;
}

/** GVSL with some of its heads: the whole and its ablations. @throws UsageError if the folder holds another pre-training */
export async function pretrainWithHeads(
  { cohort, out, configuration, progress, signal }: MethodCall,
  heads: Partial<Heads>,
): Promise<string> {
  const model = { ...configuration.model, heads: { ...configuration.model.heads, ...ALL_HEADS, ...heads } };
  const whole = { ...configuration, model };
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
    throw new WorkError(
      `${out}: pre-training was stopped after step ${result.step} of ${configuration.steps}; the same command continues`,
    );
  return out;
}
