/**
 * What a method of pre-training is to a study: something that makes a backbone from unlabelled images. A new one is a folder beside the others
 * with a `method.ts`, and a line in registry.ts; how it trains is its own affair, as long as it resumes and leaves a model folder.
 */
import { UsageError } from '../../errors/errors.ts';
import { ALL_HEADS, type Heads } from '../../model/architecture.ts';
import type { Progress } from '../../node/progress.ts';
import { readCheckpoint } from '../../training/checkpoint.ts';
import type { PretrainConfiguration } from '../../training/configuration.ts';
import { pretrain } from '../../training/pretrain.ts';

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

/** GVSL with some of its heads: the whole and its ablations. */
export async function pretrainWithHeads(
  { cohort, out, configuration, progress, signal }: MethodCall,
  heads: Partial<Heads>,
): Promise<string> {
  const begun = await readCheckpoint(out, 'last');
  if (begun && begun.state.step >= configuration.steps) return out;
  const model = { ...configuration.model, heads: { ...configuration.model.heads, ...ALL_HEADS, ...heads } };
  const result = await pretrain({
    cohort,
    out,
    configuration: { ...configuration, model },
    resume: begun !== undefined,
    progress,
    ...(signal ? { signal } : {}),
  });
  if (!result.finished) throw new UsageError(`${out}: pre-training was stopped; the same command continues`);
  return out;
}
