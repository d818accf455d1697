/** How a training is called, whatever it trains, and what it does where the call does not say. */
import type { z } from 'zod';
import { type Progress, type ProgressListener, SILENT, toProgress } from '../../common/progress.ts';
import { refuseInside } from '../../platform/node/guard.ts';
import { ALONE, type Ranks } from '../../platform/node/ranks/ranks.ts';
import type { ConfigurationKind } from '../configuration-reference.ts';
import { type Partially, parseConfigurationOf, readRunConfigurationOf } from './read-configuration.ts';
import { mlflowAddress } from './tracking/mlflow-client.ts';
import type { ChildRun } from './tracking/tracker.ts';

/** A call: a cohort, a run's folder, and what is to be other than the default. */
export interface TrainingCall<Configuration> {
  /** Folder that `prepareCohort` made; for a task, with label maps or classes. */
  readonly cohort: string;
  /** Folder of the run: a new one, or with `resume` the one to continue. */
  readonly out: string;
  /** What is to be other than the default; of a resumed run, by default what it began with. */
  readonly configuration?: Partially<Configuration>;
  /** Continues from the run's last checkpoint. Default: false. */
  readonly resume?: boolean;
  readonly progress?: ProgressListener;
  /** Aborted: the run ends after the step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /**
   * The processes that share this training (`openRanks`), each of which makes the same call. Rank 0 alone writes and reports. Default: this one alone.
   */
  readonly ranks?: Ranks;
  /** Address of an MLflow server that is told of the run (tracking/tracker.ts), or a study's run there. Without one the network is not used. */
  readonly mlflow?: string | ChildRun | undefined;
}

/** A call with its whole, checked configuration. */
export interface CheckedCall<Configuration> {
  readonly cohort: string;
  readonly out: string;
  readonly configuration: Configuration;
  readonly resume: boolean;
  /** Silent but on rank 0. */
  readonly progress: Progress;
  readonly ranks: Ranks;
  readonly signal?: AbortSignal;
  readonly mlflow?: string | ChildRun | undefined;
}

/** Fills in what a call leaves out. @throws UsageError for a configuration with a problem, a run in the cohort, or one that is not there to be resumed */
export async function checkCall<Configuration>(
  kind: ConfigurationKind<z.ZodType<Configuration>>,
  { cohort, out, configuration, resume = false, progress, signal, ranks = ALONE, mlflow }: TrainingCall<Configuration>,
): Promise<CheckedCall<Configuration>> {
  if (typeof mlflow === 'string') mlflowAddress(mlflow);
  await refuseInside(out, cohort, 'the cohort');
  const checked =
    resume && configuration === undefined
      ? await readRunConfigurationOf(kind, out)
      : parseConfigurationOf(kind, configuration ?? {});
  return {
    cohort,
    out,
    configuration: checked,
    resume,
    progress: toProgress(ranks.rank === 0 ? progress : SILENT),
    ranks,
    ...(signal && { signal }),
    mlflow,
  };
}

/** Does the work of a call; if it fails, the other ranks hear of it, so that none waits for what does not come. */
export async function onRanks<Result>(
  { ranks = ALONE }: { readonly ranks?: Ranks },
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw await ranks.fail(error);
  }
}
