/**
 * What a way to pre-train is: what the network is shown, what is computed from it, and how a state is judged. Each is a folder beside this
 * file that runs anywhere; how a run is kept, logged and resumed is the training's affair (src/training/node/pretrain.ts).
 */
import type { z } from 'zod';
import type { Subject } from '../cohort/cohort.ts';
import type { CohortReader } from '../cohort/reader.ts';
import type { Session } from '../engine/backend.ts';
import type { Program } from '../engine/graph.ts';
import type { Zyx } from '../geometry/volume.ts';
import type { Picture } from '../images/pictures/picture.ts';
import type { Heads } from '../model/architecture.ts';
import type { ParameterTable } from '../model/parameters.ts';
import type { PretrainingConfiguration } from './schema-parts.ts';

/** Inputs of the graph `gradient` by name: arrays of their own, so that they can be handed over to another thread. */
export type ExampleTensors = Readonly<Record<string, Float32Array>>;

/** Makes the example of a sample of a step; everything random about it follows from (seed, step, sample). */
export type ExampleMaker<Images> = (step: number, sample: number) => Promise<Images>;

/** What an evaluation found. The training writes it down: metrics, TensorBoard, evaluation.json, pictures. */
export interface EvaluationRecord<Summary extends object = object> {
  /** What the best state is chosen by, the lower the better; null if there is nothing to choose by. */
  readonly score: number | null;
  readonly summary: Summary;
  /** What was found of each pair or subject, under that name, for evaluation.json. */
  readonly details: Readonly<Record<string, readonly object[]>>;
  /** For TensorBoard, by tag. */
  readonly scalars: Readonly<Record<string, number>>;
  /** By tag: 'pair/0'. */
  readonly pictures: readonly { readonly tag: string; readonly picture: Picture }[];
  /** In a line. */
  readonly text: string;
}

/** What a method remembers beside the network, by name: kept in checkpoints, given to `examples`. */
export type Memory = Readonly<Record<string, Float32Array>>;

/** Outputs `out.NAME` of one run of `gradient`. */
export type StepOutputs = Readonly<Record<string, Float32Array>>;

/** When a run has failed although all numbers are finite: a measure stays below a limit. */
export interface Alarm {
  /** A name that `measure` gives. */
  readonly measure: string;
  readonly below: number;
  /** For so many steps in a row. */
  readonly steps: number;
  /** What has happened, and what to do. */
  readonly text: string;
}

/** What was computed anew. */
export interface Refreshed {
  readonly memory: Memory;
  /** In a line. */
  readonly text: string;
  /** For TensorBoard, by tag. */
  readonly scalars: Readonly<Record<string, number>>;
}

/** What a method computes anew now and then, between two steps. */
export interface Refresh<Configuration> {
  /** Steps between two times; the first is before step 0. */
  every(configuration: Configuration): number;
  /** Forward passes through the encoder that it takes each time, with so many training subjects. */
  passes(configuration: Configuration, subjects: number): number;
  /** Before step `step`. It may write states of the session; what it returns is kept until the next time. */
  compute(
    session: Session,
    configuration: Configuration,
    training: readonly Subject[],
    reader: CohortReader,
    step: number,
  ): Promise<Refreshed>;
}

/** Which evaluation is asked for. */
export interface EvaluationRequest {
  /** Steps done. */
  readonly step: number;
  /** Whether pictures are wanted. */
  readonly pictures: boolean;
  /** What the method remembers; undefined before its first `refresh`, and without one. */
  readonly memory?: Memory | undefined;
}

/** Which evaluation of a pre-training is asked for, and the subjects that a probe may be fitted on. */
export interface JudgementRequest extends EvaluationRequest {
  readonly training: readonly Subject[];
}

/** Where the picture of a tag lies inside a run's folder. */
export const picturePath = (step: number, tag: string): string =>
  `pictures/step-${String(step).padStart(6, '0')}-${tag.replaceAll('/', '-')}.png`;

/** How a program differs from the one that a configuration asks for: sizes that are tried, half precision. */
export interface ProgramVariant {
  readonly patch?: Zyx;
  readonly width?: number;
  readonly batch?: number;
  /** Channels of the images; 1 if absent. */
  readonly inputChannels?: number | undefined;
  /** Whether `gradient` takes the inputs that scale the loss. */
  readonly lossScaling?: boolean;
}

/**
 * A way to pre-train. All randomness is of (seed, step, sample), so that a run is the same in one go or resumed.
 *
 * A run keeps the method's name; its models hold all of the table's parameters, and `config.json` names `heads`: whoever applies or fine-tunes
 * one finds the backbone under the names `unet.*` (`unet`, `parameterTable`).
 */
export interface PretrainingMethod<
  Configuration extends PretrainingConfiguration = PretrainingConfiguration,
  Summary extends object = object,
> {
  /** As run.json names it. */
  readonly name: string;
  /**
   * URL (`import.meta.url`) of a module that exports this method as `method`, and imports nothing of a page or a training of its own: then
   * examples are made there ahead of time, on a thread of their own. Without it they are made on the calling thread.
   */
  readonly module?: string;
  /** What it can be told: `pretrainingSchema`, with keys of its own. */
  readonly schema: z.ZodType<Configuration>;
  /** What its models have beside the backbone. */
  heads(configuration: Configuration): Heads;
  /** As tables name it. */
  readonly title: string;
  /** Images of a patch's size that an example holds, */
  readonly imagesPerExample: number;
  /** and maps of one channel beside them; default 0. */
  readonly mapsPerExample?: number;
  /**
   * Refuses a cohort that it cannot be trained on, before anything is written.
   * @param training those of its subjects that it is trained on
   * @throws UsageError that says why, and what to do
   */
  check?(configuration: Configuration, subjects: readonly Subject[], training: readonly Subject[]): void;
  /** The program of a step: the graphs `gradient`, `norms` and `update`, and what `evaluate` runs. */
  program(configuration: Configuration, variant?: ProgramVariant): { program: Program; table: ParameterTable };
  /** What the network is shown of the training subjects. @param memory what `refresh` gave last */
  examples(
    configuration: Configuration,
    training: readonly Subject[],
    reader: CohortReader,
    memory?: Memory,
  ): ExampleMaker<ExampleTensors>;
  /**
   * What a run of `gradient` takes: a sample (the default; the batch's gradients are added up), or the whole batch, each input's samples behind one
   * another, where the loss compares samples.
   */
  readonly takes?: 'sample' | 'batch';
  /** What is measured of a step beside its losses, from the outputs of its runs of `gradient`. */
  measure?(outputs: readonly StepOutputs[], configuration: Configuration): Readonly<Record<string, number>>;
  /** What ends a run; null: nothing. */
  alarm?(configuration: Configuration): Alarm | null;
  /**
   * States of the program, shaped like `parameters`, that a run carries beside them: BYOL's target network. A new run's are a copy of the
   * parameters; checkpoints hold them as NAME.PARAMETER.
   */
  readonly carried?: readonly string[];
  /** After an update, the `step`-th (1 is the first). */
  afterUpdate?(session: Session, configuration: Configuration, step: number): Promise<void>;
  readonly refresh?: Refresh<Configuration>;
  /** Judges the session's state on held-out subjects; null if there is nothing to judge by. */
  evaluate(
    session: Session,
    configuration: Configuration,
    heldOut: readonly Subject[],
    reader: CohortReader,
    request: JudgementRequest,
  ): Promise<EvaluationRecord<Summary> | null>;
}
