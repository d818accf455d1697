/** How a pre-training is called, and what it gives. */
import type { PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import type { Evaluation } from '../../methods/gvsl/evaluate.ts';
import type { PretrainingMethod } from '../../methods/method.ts';
import type { PretrainingConfiguration } from '../../methods/schema-parts.ts';
import type { TrainingState } from './checkpoint.ts';
import type { TrainingCall } from './training-call.ts';

export interface PretrainCall<
  Configuration extends PretrainingConfiguration = PretrainConfiguration,
  Summary extends object = Evaluation,
> extends TrainingCall<Configuration> {
  /** The way to pre-train: an object, as this package's methods are and your own can be. Default: GVSL. */
  readonly method?: PretrainingMethod<Configuration, Summary>;
  /** Seconds that a step takes, where that is known; otherwise it is estimated. */
  readonly stepSeconds?: number;
}

/** A call that names its method. */
export interface NamedPretrainCall extends Omit<PretrainCall<PretrainingConfiguration, object>, 'method' | 'configuration'> {
  /** A name of `METHODS`: 'mae', 'without-affine'. */
  readonly method: string;
  /** Of that method; what is left out is as its schema has it. */
  readonly configuration?: Readonly<Record<string, unknown>>;
}

export interface PretrainResult<Summary extends object = Evaluation> {
  readonly out: string;
  /** What it was trained by: a name of `METHODS`, or of a method of the caller's own. */
  readonly method: string;
  /** Steps done in all. */
  readonly step: number;
  /** Steps of this call: 0 if a run that is resumed was done. */
  readonly newSteps: number;
  /** False if it was stopped before the last step. */
  readonly finished: boolean;
  /** Total loss of the last step of this call that was not skipped; null if there was none. */
  readonly loss: number | null;
  /** The last evaluation of this call, and the steps that were done then; null if there was none. */
  readonly evaluation: (Summary & { readonly step: number }) | null;
  /** The same in a line. */
  readonly evaluationText: string | null;
  readonly best: TrainingState['best'];
  readonly skippedSteps: number;
  readonly parameters: number;
  /** Share of the time that computing waited for examples. */
  readonly waitShare: number;
}
