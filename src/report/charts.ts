/**
 * The curves of a run as plain data for the page's script: which charts there are, their series, thinned to what a screen shows.
 * A chart needs two points; what has fewer is left out.
 */
import { decimals, MEASURES, mean, short } from './figures.ts';
import { lossName, measureName, probeScores } from './method-page.ts';
import {
  type EvaluationRecord,
  isJudgedByPairs,
  type RunData,
  type Stages,
  type StepRecord,
  type TaskRecord,
} from './run-data.ts';

export interface Series {
  readonly label: string;
  /** A name of the style sheet's colours: --before, --affine, --after, --series-1 ... */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  /** What was logged, drawn thin behind its running mean and left out of the legend. */
  readonly faint?: boolean;
}

export interface Chart {
  readonly title: string;
  /** Of the vertical axis; empty for bare numbers. */
  readonly unit: string;
  readonly logarithmic: boolean;
  readonly steps: readonly number[];
  readonly series: readonly Series[];
  /** First and last value of each series, for whoever reads without scripts. */
  readonly summary: string;
}

/** More points than this no screen shows. */
const MAX_POINTS = 500;
/** Colours of the style sheet for series of equal rank. */
const SERIES_COLOURS = 6;
/** The running mean looks at this share of the points. */
const SMOOTHING = 1 / 15;

/** Means of equal numbers of neighbours, so that at most MAX_POINTS are left. */
function thin(values: readonly (number | null)[], group: number): (number | null)[] {
  return Array.from({ length: Math.ceil(values.length / group) }, (_, k) => mean(values.slice(k * group, (k + 1) * group)));
}

/** The mean of the points around each, which does not lag as one over the past would; at the ends, of those that there are. */
export function runningMean(values: readonly (number | null)[]): (number | null)[] {
  const half = Math.floor((values.length * SMOOTHING) / 2);
  return values.map((_, k) => mean(values.slice(Math.max(0, k - half), k + half + 1)));
}

const span = (values: readonly (number | null)[]): [number, number] | undefined => {
  const numbers = values.filter((value) => value !== null);
  return numbers.length < 2 ? undefined : [numbers[0], numbers.at(-1)!];
};
const summaryOf = (series: readonly Series[], format: (value: number) => string): string =>
  series
    .filter(({ faint }) => !faint)
    .map(({ label, values }) => {
      const [first, last] = span(values)!;
      return `${label} ${format(first)} \u2192 ${format(last)}`;
    })
    .join('; ');

/** A chart over the training steps of the values that `of` finds under each name. */
function stepChart(
  steps: readonly StepRecord[],
  title: string,
  labels: Readonly<Record<string, string>>,
  of: (record: StepRecord, name: string) => number | null | undefined,
  logarithmic: boolean,
): Chart | undefined {
  const group = Math.ceil(steps.length / MAX_POINTS);
  const series = Object.entries(labels).flatMap(([name, label], k): Series[] => {
    const logged = steps.map((record) => {
      const value = of(record, name) ?? null;
      // A logarithmic axis has no place for zero.
      return value !== null && logarithmic && value <= 0 ? null : value;
    });
    const values = thin(logged, group);
    if (!span(values)) return [];
    const colour = `--series-${k + 1}`;
    return [
      { label: `${label}, logged`, colour, values, faint: true },
      { label, colour, values: runningMean(values) },
    ];
  });
  if (series.length === 0) return undefined;
  const at = Array.from(
    { length: Math.ceil(steps.length / group) },
    (_, k) => mean(steps.slice(k * group, (k + 1) * group).map(({ step }) => step))!,
  );
  return { title, unit: '', logarithmic, steps: at, series, summary: summaryOf(series, short) };
}

/** The scores of a task over its evaluations. */
function taskCharts(evaluations: readonly EvaluationRecord[], task: TaskRecord): Chart[] {
  const steps = evaluations.map(({ step }) => step);
  const chart = (title: string, unit: string, lines: readonly (readonly [string, readonly (number | null)[]])[]): Chart[] => {
    const series = lines.flatMap(([label, values], k): Series[] =>
      span(values) ? [{ label, colour: `--series-${(k % SERIES_COLOURS) + 1}`, values }] : [],
    );
    const format = (value: number): string => decimals(value, 3);
    return series.length > 0 ? [{ title, unit, logarithmic: false, steps, series, summary: summaryOf(series, format) }] : [];
  };
  if (task.kind === 'classification')
    return chart('Scores', '', [
      ['area under the ROC curve', evaluations.map(({ auc }) => auc)],
      ['accuracy', evaluations.map(({ accuracy }) => accuracy)],
    ]);
  const classes = task.labels.slice(1);
  // more lines than colours cannot be told apart: then the mean alone, classes in the table
  const each = classes.length > 1 && classes.length <= SERIES_COLOURS;
  return [
    ...chart('Mean overlap', 'Dice', [['mean over classes', evaluations.map(({ dice }) => dice)]]),
    ...(each
      ? chart(
          'Overlap by class',
          'Dice',
          classes.map(({ name }, c) => [name, evaluations.map(({ dicePerClass }) => dicePerClass?.[c] ?? null)] as const),
        )
      : []),
  ];
}

const STAGES = { before: 'before', affine: 'after affine', after: 'after both' } as const;

function evaluationCharts(evaluations: readonly EvaluationRecord[]): Chart[] {
  return MEASURES.flatMap(({ name, title, unit, format }) => {
    const scale = name === 'foldedShare' ? 100 : 1;
    const series = (Object.keys(STAGES) as (keyof Stages)[]).flatMap((stage): Series[] => {
      const values = evaluations.map((record) => {
        const value = record[name]?.[stage] ?? null;
        return value === null ? null : scale * value;
      });
      return span(values) ? [{ label: STAGES[stage], colour: `--${stage}`, values }] : [];
    });
    if (series.length === 0) return [];
    const summary = summaryOf(series, (value) => format(value / scale));
    const steps = evaluations.map(({ step }) => step);
    return [{ title, unit: name === 'foldedShare' ? '%' : unit, logarithmic: false, steps, series, summary }];
  });
}

/** Of a pre-training by another method: held-out losses and measures beside those of training subjects, and the probe. */
function methodCharts(evaluations: readonly EvaluationRecord[]): Chart[] {
  const steps = evaluations.map(({ step }) => step);
  const chart = (
    title: string,
    unit: string,
    lines: readonly (readonly [string, readonly (number | null | undefined)[]])[],
  ): Chart[] => {
    const series = lines.flatMap(([label, found], k): Series[] => {
      const values = found.map((value) => value ?? null);
      return span(values) ? [{ label, colour: `--series-${(k % SERIES_COLOURS) + 1}`, values }] : [];
    });
    return series.length > 0 ? [{ title, unit, logarithmic: false, steps, series, summary: summaryOf(series, short) }] : [];
  };
  const keysOf = (kind: 'loss' | 'measures'): string[] => [
    ...new Set(evaluations.flatMap(({ heldOut }) => Object.keys(heldOut?.[kind] ?? {}))),
  ];
  const sides = (kind: 'loss' | 'measures', name: string) =>
    [
      ['held-out subjects', evaluations.map(({ heldOut }) => heldOut?.[kind][name])],
      ['training subjects', evaluations.map(({ training }) => training?.[kind][name])],
    ] as const;
  const losses = keysOf('loss');
  const scores = [...new Set(evaluations.flatMap(({ probe }) => probeScores(probe).map(([name]) => name)))];
  const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
  return [
    ...chart(
      'Linear probe of the features',
      'held-out subjects',
      scores.map(
        (name) => [name, evaluations.map(({ probe }) => probeScores(probe).find(([one]) => one === name)?.[1])] as const,
      ),
    ),
    ...losses
      // with one term the total is that term
      .filter((name) => name !== 'total' || losses.length > 2)
      .flatMap((name) => chart(capital(lossName(name)), '', sides('loss', name))),
    ...keysOf('measures').flatMap((name) => chart(capital(measureName(name)), '', sides('measures', name))),
  ];
}

/** Keys that stand in any of the records, for those that have no label here. */
const others = (records: readonly Readonly<Record<string, unknown>>[], known: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    [...new Set(records.flatMap((record) => Object.keys(record)))].filter((key) => !known.includes(key)).map((key) => [key, key]),
  );

/** The charts of the held-out pairs, then those of training. */
export function chartsOf({ run, steps, evaluations }: RunData): { readonly evaluation: Chart[]; readonly training: Chart[] } {
  const loss = (record: StepRecord, name: string): number | null | undefined => record.loss[name];
  const norm = (record: StepRecord, name: string): number | null | undefined => record.gradientNorm[name];
  const large = {
    total: 'total',
    ncc: '1 \u2212 NCC',
    affineNcc: '1 \u2212 NCC, affine only',
    ...(run.task || run.method !== undefined ? { dice: '1 \u2212 Dice', crossEntropy: 'cross-entropy' } : {}),
  };
  const small = { mse: 'restoration (MSE)', smooth: 'smoothness of the flow' };
  const parts = {
    backbone: 'U-Net',
    affine: 'affine head',
    deformable: 'deformable head',
    restoration: 'restoration head',
    head: 'task head',
  };
  const moreLosses = others(
    steps.map((record) => record.loss),
    [...Object.keys(large), ...Object.keys(small)],
  );
  const moreParts = others(
    steps.map((record) => record.gradientNorm),
    Object.keys(parts),
  );
  const rates = new Set(steps.map(({ learningRate }) => learningRate));
  return {
    evaluation: run.task
      ? taskCharts(evaluations, run.task)
      : isJudgedByPairs({ run, evaluations })
        ? evaluationCharts(evaluations)
        : methodCharts(evaluations),
    training: [
      stepChart(steps, 'Loss', large, loss, false),
      stepChart(steps, 'Smaller loss terms', { ...small, ...moreLosses }, loss, true),
      ...Object.keys(steps.at(-1)?.measure ?? {}).map((name) =>
        stepChart(steps, measureName(name), { [name]: 'training' }, (record) => record.measure[name], false),
      ),
      stepChart(steps, 'Gradient norms', { ...parts, ...moreParts }, norm, true),
      steps.some(({ clipFactor }) => clipFactor !== null)
        ? stepChart(steps, 'Gradient clipping', { clip: 'factor (1: not clipped)' }, (r) => r.clipFactor, false)
        : undefined,
      // A constant rate is said among the facts; a straight line would say no more.
      rates.size > 1 ? stepChart(steps, 'Learning rate', { rate: 'learning rate' }, (r) => r.learningRate, true) : undefined,
    ].filter((chart) => chart !== undefined),
  };
}
