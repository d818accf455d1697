/** What a study declares: its modes, its trainings, the configuration of each. */
import { join } from 'node:path';
import type { Progress, ProgressListener } from '../common/progress.ts';
import type { Part } from '../platform/node/parts.ts';
import { type Mode, studyRunName } from '../report/study-table.ts';
import { parseConfigurationOf } from '../training/node/read-configuration.ts';
import type { ChildRun } from '../training/node/tracking/tracker.ts';
import { TRANSFER, type TransferConfiguration } from '../training/task/configuration.ts';
import type { Claims, ClaimTiming } from './claims.ts';
import type { Study } from './configuration.ts';
import { merged } from './merged.ts';
import { methodsOf, SCRATCH } from './methods.ts';

/** A study's modes; `linear` of a method that trains the encoder alone brings `probe` with it. */
export function modesOf(study: Study): readonly Mode[] {
  const { modes, task } = study;
  const encoderOnly = methodsOf(study).some((method) => method.encoderOnly);
  if (!encoderOnly || task !== 'segmentation' || !modes.includes('linear') || modes.includes('probe')) return modes;
  return modes.flatMap((mode): Mode[] => (mode === 'linear' ? ['linear', 'probe'] : [mode]));
}

/** One training of a study. */
export interface StudyRun {
  readonly method: string;
  readonly mode: Mode;
  readonly labels: number | 'all';
  readonly seed: number;
  /** Inside the study's folder. */
  readonly folder: string;
}

export interface StudyCall {
  readonly study: Study;
  /** Folder of the study. */
  readonly out: string;
  readonly progress?: ProgressListener;
  /** Does the trainings of a part alone, and writes no table. Pre-trainings are whoever's who needs one first. */
  readonly part?: Part;
  /** Trains nothing: writes the table of what is there. */
  readonly table?: boolean;
  /** Folder of a published study with the same declaration: its trainings are taken over by their scores (reuse.ts). */
  readonly reuse?: string;
  /** Address of an MLflow server that is told of the study and its trainings (tracking.ts). Without one the network is not used. */
  readonly mlflow?: string;
  /** How claims are watched; for tests. */
  readonly timing?: ClaimTiming;
  /** Aborted: the training that is under way ends after its step, and so the call; the same call goes on from there. */
  readonly signal?: AbortSignal;
}

/** The same, as it is carried out. */
export interface StudyWork extends StudyCall {
  readonly progress: Progress;
  readonly claims: Claims;
  /** What a training in a folder of the study is to tell a server; undefined without one. */
  readonly tracking: { child(folder: string): ChildRun } | undefined;
  /** Folders of what `table` misses. */
  readonly missing: string[];
  /** Why what can't be made can't, by its folder: a pre-training or a training that diverged. What does not need it goes on. */
  readonly diverged: Map<string, string>;
}

/** The numbers of labels from the smallest on; 'all' is the largest. */
export const labelsInOrder = ({ labels }: Pick<Study, 'labels'>): Study['labels'] => {
  const place = (count: number | 'all'): number => (count === 'all' ? Number.POSITIVE_INFINITY : count);
  return [...labels].sort((a, b) => place(a) - place(b));
};

/** Every training that a study declares, in order. */
export function runsOf(study: Study): StudyRun[] {
  const { methods, labels, seeds } = study;
  const modes = modesOf(study);
  return methods.flatMap((method) =>
    modes.flatMap((mode) =>
      labels.flatMap((count) =>
        seeds.map((seed) => ({
          method,
          mode,
          labels: count,
          seed,
          folder: join('runs', studyRunName(method, mode, count, seed)),
        })),
      ),
    ),
  );
}

/** The configuration of one training. @throws UsageError if the study's document is none */
export function configurationOf(
  study: Study,
  { mode, labels, seed }: StudyRun,
  init: string,
  source = 'transfer',
): TransferConfiguration {
  const { configuration, linear, finetune } = study.transfer;
  const own = mode === 'finetune' ? finetune : linear;
  const document = merged(merged(configuration, own), {
    task: study.task,
    mode: mode === 'probe' ? 'linear' : mode,
    init,
    seed,
    data: { labels },
  });
  return parseConfigurationOf(TRANSFER, document, [], `${source} (${mode})`);
}

/** Where the model of a study's method lies; undefined for one without. */
export const pretrainedAt = ({ pretraining }: Study, out: string, method: string): string | undefined =>
  method === SCRATCH ? undefined : (pretraining.models[method] ?? join(out, 'pretrained', method));
