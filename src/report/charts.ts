/**
 * The curves of a run as plain data: which charts there are and their lines, as logged, for a page that zooms and compares; and thinned to what a
 * screen shows, for the report's script. A chart needs two points; what has fewer is left out.
 */
import { lossName, measureName } from '../methods/judgement/names.ts';
import { decimals, MEASURES, short } from './figures.ts';
import { probeScores } from './method-page.ts';
import {
  type EvaluationRecord,
  isJudgedByPairs,
  type RunData,
  type Stages,
  type StepRecord,
  type TaskRecord,
} from './run-data.ts';
import { aligned } from './thin.ts';

/** A line of a chart as it was logged. */
export interface Line {
  readonly label: string;
  /** A name of the style sheet's colours: --before, --affine, --after, --series-1 ... */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

/** A chart as it was logged. */
export interface Curves {
  readonly title: string;
  /** Of the vertical axis; empty for bare numbers. */
  readonly unit: string;
  readonly logarithmic: boolean;
  readonly steps: readonly number[];
  readonly lines: readonly Line[];
  /** Of single steps, one harder than the other: shown with its running mean. */
  readonly noisy: boolean;
  /** First and last value of each line (of its running mean), for whoever reads without scripts. */
  readonly summary: string;
}

/** A line of the report's script. */
export interface Series extends Line {
  /** What was logged, drawn thin behind its running mean and left out of the legend. */
  readonly faint?: boolean;
}

/** A chart of the report's script. */
export interface Chart extends Pick<Curves, 'title' | 'unit' | 'logarithmic' | 'steps' | 'summary'> {
  readonly series: readonly Series[];
}

/** Columns of the report's charts: more than their width holds no screen shows. */
const COLUMNS = 250;
/** Colours of the style sheet for series of equal rank. */
const SERIES_COLOURS = 6;
/** The running mean looks at this share of the points. */
const SMOOTHING = 1 / 15;

/** The mean of the points around each, which does not lag as one over the past would; at the ends, of those that there are. */
export function runningMean(values: readonly (number | null)[]): (number | null)[] {
  const half = Math.floor((values.length * SMOOTHING) / 2);
  // sums and counts of what comes before each place, so that long curves take no longer a point
  const sums = new Float64Array(values.length + 1);
  const counts = new Uint32Array(values.length + 1);
  values.forEach((value, k) => {
    const counts_ = value !== null && Number.isFinite(value);
    sums[k + 1] = sums[k] + (counts_ ? value : 0);
    counts[k + 1] = counts[k] + (counts_ ? 1 : 0);
  });
  return values.map((_, k) => {
    const [from, to] = [Math.max(0, k - half), Math.min(values.length, k + half + 1)];
    const count = counts[to] - counts[from];
    return count === 0 ? null : (sums[to] - sums[from]) / count;
  });
}

const span = (values: readonly (number | null)[]): [number, number] | undefined => {
  const numbers = values.filter((value) => value !== null);
  return numbers.length < 2 ? undefined : [numbers[0], numbers.at(-1)!];
};
const summaryOf = (lines: readonly Line[], format: (value: number) => string): string =>
  lines
    .map(({ label, values }) => {
      const [first, last] = span(values)!;
      return `${label} ${format(first)} \u2192 ${format(last)}`;
    })
    .join('; ');

/** A chart over the training steps of the values that `of` finds under each name. @param noisy false for what follows from the step alone */
function stepChart(
  records: readonly StepRecord[],
  title: string,
  labels: Readonly<Record<string, string>>,
  of: (record: StepRecord, name: string) => number | null | undefined,
  logarithmic: boolean,
  unit = '',
  noisy = true,
): Curves | undefined {
  const lines = Object.entries(labels).flatMap(([name, label], k): Line[] => {
    const values = records.map((record) => {
      const value = of(record, name) ?? null;
      // A logarithmic axis has no place for zero.
      return value !== null && logarithmic && value <= 0 ? null : value;
    });
    return span(values) ? [{ label, colour: `--series-${(k % SERIES_COLOURS) + 1}`, values }] : [];
  });
  if (lines.length === 0) return undefined;
  const steps = records.map(({ step }) => step);
  const shown = noisy ? lines.map((line) => ({ ...line, values: runningMean(line.values) })) : lines;
  return { title, unit, logarithmic, steps, lines, noisy, summary: summaryOf(shown, short) };
}

/** Thinned for the report. */
function asChart({ steps, lines, noisy, ...chart }: Curves): Chart {
  const series = lines.flatMap((line): Series[] =>
    noisy
      ? [
          { ...line, label: `${line.label}, logged`, faint: true },
          { ...line, values: runningMean(line.values) },
        ]
      : [line],
  );
  const shown = aligned(
    series.map(({ values }) => ({ steps, values })),
    steps[0],
    steps.at(-1)!,
    COLUMNS,
  );
  return { ...chart, steps: shown.steps, series: series.map((each, k) => ({ ...each, values: shown.curves[k] })) };
}

/** The scores of a task over its evaluations. */
function taskCharts(evaluations: readonly EvaluationRecord[], task: TaskRecord): Curves[] {
  const steps = evaluations.map(({ step }) => step);
  const chart = (title: string, unit: string, found: readonly (readonly [string, readonly (number | null)[]])[]): Curves[] => {
    const lines = found.flatMap(([label, values], k): Line[] =>
      span(values) ? [{ label, colour: `--series-${(k % SERIES_COLOURS) + 1}`, values }] : [],
    );
    const format = (value: number): string => decimals(value, 3);
    return lines.length > 0
      ? [{ title, unit, logarithmic: false, steps, lines, noisy: false, summary: summaryOf(lines, format) }]
      : [];
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

function evaluationCharts(evaluations: readonly EvaluationRecord[]): Curves[] {
  return MEASURES.flatMap(({ name, title, unit, format }) => {
    const scale = name === 'foldedShare' ? 100 : 1;
    const lines = (Object.keys(STAGES) as (keyof Stages)[]).flatMap((stage): Line[] => {
      const values = evaluations.map((record) => {
        const value = record[name]?.[stage] ?? null;
        return value === null ? null : scale * value;
      });
      return span(values) ? [{ label: STAGES[stage], colour: `--${stage}`, values }] : [];
    });
    if (lines.length === 0) return [];
    const summary = summaryOf(lines, (value) => format(value / scale));
    const steps = evaluations.map(({ step }) => step);
    return [{ title, unit: name === 'foldedShare' ? '%' : unit, logarithmic: false, steps, lines, noisy: false, summary }];
  });
}

/** Of a pre-training by another method: held-out losses and measures beside those of training subjects, and the probe. */
function methodCharts(evaluations: readonly EvaluationRecord[]): Curves[] {
  const steps = evaluations.map(({ step }) => step);
  const chart = (
    title: string,
    unit: string,
    found: readonly (readonly [string, readonly (number | null | undefined)[]])[],
  ): Curves[] => {
    const lines = found.flatMap(([label, given], k): Line[] => {
      const values = given.map((value) => value ?? null);
      return span(values) ? [{ label, colour: `--series-${(k % SERIES_COLOURS) + 1}`, values }] : [];
    });
    return lines.length > 0
      ? [{ title, unit, logarithmic: false, steps, lines, noisy: false, summary: summaryOf(lines, short) }]
      : [];
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

/** Where the time of a step goes. */
const TIMES: Readonly<Record<string, { readonly label: string; of(record: StepRecord): number | null }>> = {
  step: { label: 'whole step', of: ({ stepSeconds }) => stepSeconds },
  wait: {
    label: 'waiting for input',
    of: ({ stepSeconds, waitShare }) => (stepSeconds === null || waitShare === null ? null : stepSeconds * waitShare),
  },
  ranks: { label: 'waiting for other processes', of: ({ sharing }) => sharing?.waitSeconds ?? null },
  exchange: { label: 'exchange of gradients', of: ({ sharing }) => sharing?.exchangeSeconds ?? null },
};

/** Keys that stand in any of the records, for those that have no label here. */
const others = (records: readonly Readonly<Record<string, unknown>>[], known: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    [...new Set(records.flatMap((record) => Object.keys(record)))].filter((key) => !known.includes(key)).map((key) => [key, key]),
  );

/** The curves of what is held out, then those of training. */
export function curvesOf({ run, steps, evaluations }: RunData): { readonly evaluation: Curves[]; readonly training: Curves[] } {
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
  const times = Object.fromEntries(Object.entries(TIMES).map(([name, { label }]) => [name, label]));
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
      rates.size > 1
        ? stepChart(steps, 'Learning rate', { rate: 'learning rate' }, (r) => r.learningRate, true, '', false)
        : undefined,
      steps.some(({ lossScale }) => lossScale !== null)
        ? stepChart(steps, 'Loss scale', { scale: 'loss scale' }, (r) => r.lossScale, true, '', false)
        : undefined,
      stepChart(steps, 'Time of a step', times, (r, name) => TIMES[name].of(r), false, 'seconds'),
    ].filter((chart) => chart !== undefined),
  };
}

/** The same, thinned. */
export function chartsOf(data: RunData): { readonly evaluation: Chart[]; readonly training: Chart[] } {
  const { evaluation, training } = curvesOf(data);
  return { evaluation: evaluation.map(asChart), training: training.map(asChart) };
}
