/**
 * What is known of a run, from the texts of its folder: `run.json`, `metrics.jsonl`, `evaluation.json`, `validation.json`, `test.json`.
 *
 * Lenient on purpose: a report must come out of a run that was killed, is still going on, was trained without a head or has no
 * landmarks. What is missing is undefined, null or empty, and the page leaves it out. It judges nothing and computes no figure.
 */
import { z } from 'zod';

const number = z.number().nullable().catch(null);
const named = z.record(z.string(), number).catch({});

/** A measure before matching, after the affine part alone (null without one), and after the whole field. */
const stages = z.object({ before: number.default(null), affine: number.default(null), after: number.default(null) });
const stagesOrNull = stages.nullable().catch(null).default(null);
export type Stages = z.output<typeof stages>;

/** Means over fixed examples of one side of the split (methods/judgement). */
const exampleScores = z.object({ examples: z.number(), loss: named, measures: named });
const exampleScoresOrNull = exampleScores.nullable().catch(null).default(null);
export type ExampleScores = z.output<typeof exampleScores>;

const probeSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('segmentation'),
    fittedOn: z.number(),
    subjects: z.number(),
    dice: number,
    dicePerLabel: z.array(z.object({ label: z.number(), dice: number })).catch([]),
  }),
  z.object({
    kind: z.literal('classification'),
    fittedOn: z.number(),
    subjects: z.number(),
    auc: number,
    balancedAccuracy: number,
    nearestNeighbours: number,
  }),
]);
export type ProbeRecord = z.output<typeof probeSchema>;

const stepSchema = z.object({
  kind: z.literal('step'),
  step: z.number(),
  /** By name: total, ncc, smooth, mse. */
  loss: named,
  /** By part: backbone, affine, deformable, restoration. */
  gradientNorm: named.default({}),
  /** What a method measures in training: collapse. */
  measure: named.default({}),
  learningRate: number.default(null),
  /** What clipping multiplied the gradients by; null where they are not clipped. */
  clipFactor: number.default(null),
  stepSeconds: number.default(null),
  /** What was computed anew before the step: DeepCluster's clusters. */
  refreshSeconds: number.default(null),
  /** Of the step's time, the share that computing waited for input. */
  waitShare: number.default(null),
  /** Of a step that several processes share: seconds that this one waited for others, and exchanged sums. */
  sharing: z.object({ ranks: z.number(), waitSeconds: number, exchangeSeconds: number }).nullable().catch(null).default(null),
  /** Of half precision: what the loss is multiplied by. */
  lossScale: number.default(null),
  skipped: z.boolean().catch(false).default(false),
});
const evaluationSchema = z.object({
  kind: z.literal('evaluation'),
  step: z.number(),
  pairs: number.default(null),
  /** Local NCC, 0 to 1, higher is better. */
  ncc: stagesOrNull,
  /** Share of voxels where the field is folded; before matching there is no field. */
  foldedShare: stagesOrNull,
  landmarkErrorMm: stagesOrNull,
  labelDice: stagesOrNull,
  // of a training on a task
  subjects: number.default(null),
  /** Where some have several of the subjects. */
  patients: number.default(null),
  dice: number.default(null),
  dicePerClass: z.array(number).nullable().catch(null).default(null),
  auc: number.default(null),
  accuracy: number.default(null),
  // of a pre-training by another method than GVSL
  heldOut: exampleScoresOrNull,
  training: exampleScoresOrNull,
  probe: probeSchema.nullable().catch(null).default(null),
  chosenBy: z.string().nullable().catch(null).default(null),
});
export type StepRecord = z.output<typeof stepSchema>;
export type EvaluationRecord = z.output<typeof evaluationSchema>;

const pairSchema = z.object({
  moving: z.string(),
  fixed: z.string(),
  ncc: stagesOrNull,
  foldedShare: stagesOrNull,
  landmarksMm: z
    .array(stages.extend({ name: z.string() }))
    .nullable()
    .catch(null)
    .default(null),
  labels: z
    .array(stages.extend({ label: z.number() }))
    .nullable()
    .catch(null)
    .default(null),
  /** A strip of the pair, relative to the run's folder: a row for each plane, a column for each panel. */
  picture: z.string().nullable().catch(null).default(null),
});
const detailsSchema = z.object({
  step: z.number(),
  /** What the columns of the pictures show; all of src/pictures' panels if it does not say. */
  panels: z.array(z.string()).optional().catch(undefined),
  pairs: z.array(pairSchema),
});
export type PairRecord = z.output<typeof pairSchema>;
export type EvaluationDetails = z.output<typeof detailsSchema>;

const subjectSchema = z.object({
  id: z.string(),
  /** Segmentation: of each class but the background; null where it is absent from both. */
  dice: z.array(number).optional().catch(undefined),
  /** Classification: of each output, and the true class. */
  probabilities: z.array(number).optional().catch(undefined),
  class: z.string().optional().catch(undefined),
});
const taskDetailsSchema = z.object({ step: z.number(), subjects: z.array(subjectSchema) });
const methodDetailsSchema = z.object({
  step: z.number(),
  confusion: z
    .array(z.object({ turned: z.string(), predicted: named }))
    .optional()
    .catch(undefined),
});
export type ConfusionRow = NonNullable<z.output<typeof methodDetailsSchema>['confusion']>[number];
const summarySchema = z.object({ summary: z.looseObject({}) });
/** Scores of a best checkpoint: validation.json, test.json. */
const judgedSchema = taskDetailsSchema
  .extend(summarySchema.shape)
  .extend({ postProcessed: summarySchema.optional().catch(undefined) })
  .transform(({ summary, postProcessed, ...details }) => {
    const asEvaluation = (scores: object): EvaluationRecord =>
      evaluationSchema.parse({ ...scores, kind: 'evaluation', step: details.step });
    return {
      ...details,
      summary: asEvaluation(summary),
      /** After the post-processing that the model keeps. */
      postProcessed: postProcessed && asEvaluation(postProcessed.summary),
    };
  });
export type TaskSubject = z.output<typeof subjectSchema>;
export type TaskDetails = z.output<typeof taskDetailsSchema>;

const taskSchema = z.union([
  z.object({ kind: z.literal('segmentation'), labels: z.array(z.object({ code: z.number(), name: z.string() })) }),
  z.object({ kind: z.literal('classification'), classes: z.array(z.string()) }),
]);
/** What a run on a task learns. */
export type TaskRecord = z.output<typeof taskSchema>;

const maybe = <Schema extends z.ZodType>(schema: Schema) => schema.optional().catch(undefined);
/** How many, given as the number or as the list of names. */
const amount = z.union([z.number(), z.array(z.unknown()).transform((list) => list.length)]);
const runSchema = z.object({
  /** The way to pre-train; absent: GVSL. */
  method: maybe(z.string()),
  cohort: maybe(
    z.object({
      folder: maybe(z.string()),
      subjects: maybe(amount),
      training: maybe(amount),
      heldOut: maybe(amount),
      modality: maybe(z.string()),
      spacingMm: maybe(z.array(z.number())),
    }),
  ),
  task: maybe(taskSchema),
  configuration: maybe(z.record(z.string(), z.unknown())),
  parameters: maybe(z.number()),
  machine: maybe(
    z.object({
      node: maybe(z.string()),
      backend: maybe(z.string()),
      cpu: maybe(z.string()),
    }),
  ),
  /** When the run began, in ISO 8601, UTC. */
  startedAt: maybe(z.string()),
  /** What was unusual about its start. */
  warnings: maybe(z.array(z.string())),
});
export type RunRecord = z.output<typeof runSchema>;

export interface RunData {
  /** The run's folder, as given. */
  readonly folder: string;
  readonly run: RunRecord;
  /** Ascending in step. */
  readonly steps: readonly StepRecord[];
  readonly evaluations: readonly EvaluationRecord[];
  /** Of the last evaluation; undefined before the first. */
  readonly details: EvaluationDetails | undefined;
  /** Of another method's last evaluation. */
  readonly methodDetails: z.output<typeof methodDetailsSchema> | undefined;
  /** Of a training on a task: subjects of the last evaluation, and the scores of its best state when it is done. */
  readonly taskDetails: TaskDetails | undefined;
  readonly validation: z.output<typeof judgedSchema> | undefined;
  readonly test: z.output<typeof judgedSchema> | undefined;
}

/** Whether a pre-training is judged by how it lays held-out subjects onto each other: GVSL, unless it has no matching head. */
export const isJudgedByPairs = ({ run, evaluations }: Pick<RunData, 'run' | 'evaluations'>): boolean =>
  run.task === undefined && run.method === undefined && evaluations.every(({ heldOut }) => heldOut === null);

/** The value at 'data.patch' in a configuration. */
export const valueAt = (configuration: RunRecord['configuration'], path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>(
      (value, key) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined),
      configuration,
    );

/** The JSON of a text; undefined where it is none, such as the half line that a killed process left. */
function json(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A line of `metrics.jsonl`; undefined for what is none that is known. */
export function logRecord(line: string): StepRecord | EvaluationRecord | undefined {
  const record = json(line);
  const kind = typeof record === 'object' && record !== null && 'kind' in record ? record.kind : undefined;
  return kind === 'step'
    ? stepSchema.safeParse(record).data
    : kind === 'evaluation'
      ? evaluationSchema.safeParse(record).data
      : undefined;
}

/** A run's `run.json`; empty without one. */
export const runRecord = (text: string | undefined): RunRecord => runSchema.safeParse(json(text)).data ?? {};

/** The texts of a run's folder besides its log; undefined where a file is missing. */
export interface RunTexts {
  readonly run: string | undefined;
  readonly evaluation: string | undefined;
  readonly validation: string | undefined;
  readonly test: string | undefined;
}

/** A run from its folder's texts and the lines of its log, in any order. */
export function runData(
  folder: string,
  { run, evaluation, validation, test }: RunTexts,
  records: readonly (StepRecord | EvaluationRecord)[],
): RunData {
  const bySteps = (a: { step: number }, b: { step: number }): number => a.step - b.step;
  const details = json(evaluation);
  return {
    folder,
    run: runRecord(run),
    steps: records.filter((record) => record.kind === 'step').toSorted(bySteps),
    evaluations: records.filter((record) => record.kind === 'evaluation').toSorted(bySteps),
    details: detailsSchema.safeParse(details).data,
    methodDetails: methodDetailsSchema.safeParse(details).data,
    taskDetails: taskDetailsSchema.safeParse(details).data,
    validation: judgedSchema.safeParse(json(validation)).data,
    test: judgedSchema.safeParse(json(test)).data,
  };
}
