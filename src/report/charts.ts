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

/** A line of a chart as it was logged; a logarithmic axis has no place for what is not positive. */
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
  const width = 2 * half + 1;
  const numbers = values.map((value) => (value !== null && Number.isFinite(value) ? value : undefined));
  // In blocks of the window's width, sums from the block's start to each place and from it to the block's end: a window is the end of one block and the
  // start of the next. Long curves take no longer a point, and nothing is subtracted: a loss that once was 1e20 leaves nothing behind.
  const sums = (weigh: (value: number | undefined) => number): ((from: number, to: number) => number) => {
    const [starts, ends] = [new Float64Array(values.length), new Float64Array(values.length)];
    numbers.forEach((value, k) => {
      starts[k] = weigh(value) + (k % width === 0 ? 0 : starts[k - 1]);
    });
    for (let k = values.length - 1; k >= 0; k--)
      ends[k] = weigh(numbers[k]) + (k + 1 === values.length || (k + 1) % width === 0 ? 0 : ends[k + 1]);
    return (from, to) => {
      if (from % width === 0) return starts[to - 1];
      const next = (Math.floor(from / width) + 1) * width;
      return next < to ? ends[from] + starts[to - 1] : ends[from];
    };
  };
  const [sum, count] = [sums((value) => value ?? 0), sums((value) => (value === undefined ? 0 : 1))];
  return values.map((_, k) => {
    const [from, to] = [Math.max(0, k - half), Math.min(values.length, k + half + 1)];
    return count(from, to) === 0 ? null : sum(from, to) / count(from, to);
  });
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const isPositive = (value: number | null): boolean => value !== null && value > 0;
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
    const values = records.map((record) => of(record, name) ?? null);
    return span(values) ? [{ label, colour: `--series-${(k % SERIES_COLOURS) + 1}`, values }] : [];
  });
  if (lines.length === 0) return undefined;
  const steps = records.map(({ step }) => step);
  const shown = noisy ? lines.map((line) => ({ ...line, values: runningMean(line.values) })) : lines;
  // of what is zero throughout a logarithmic axis would show nothing
  const hasPlace = lines.some(({ values }) => values.some(isPositive));
  return { title, unit, logarithmic: logarithmic && hasPlace, steps, lines, noisy, summary: summaryOf(shown, short) };
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
    series.map(({ values }) => ({
      steps,
      values: chart.logarithmic ? values.map((value) => (isPositive(value) ? value : null)) : values,
    })),
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
  const keys = (kind: 'loss' | 'measures'): string[] => keysOf(evaluations.map(({ heldOut }) => heldOut?.[kind] ?? {}));
  const sides = (kind: 'loss' | 'measures', name: string) =>
    [
      ['held-out subjects', evaluations.map(({ heldOut }) => heldOut?.[kind][name])],
      ['training subjects', evaluations.map(({ training }) => training?.[kind][name])],
    ] as const;
  const losses = keys('loss');
  const scores = [...new Set(evaluations.flatMap(({ probe }) => probeScores(probe).map(([name]) => name)))];
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
    ...keys('measures').flatMap((name) => chart(capital(measureName(name)), '', sides('measures', name))),
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

/** Terms of the total's size. */
const LARGE = ['ncc', 'wideNcc', 'reverseNcc', 'affineNcc', 'features', 'dice', 'crossEntropy'];

/** Keys that stand in any of the records. */
const keysOf = (records: readonly Readonly<Record<string, unknown>>[]): string[] => [
  ...new Set(records.flatMap((record) => Object.keys(record))),
];

/** The curves of what is held out, then those of training. */
export function curvesOf({ run, steps, evaluations }: RunData): { readonly evaluation: Curves[]; readonly training: Curves[] } {
  const loss = (record: StepRecord, name: string): number | null | undefined => record.loss[name];
  const norm = (record: StepRecord, name: string): number | null | undefined => record.gradientNorm[name];
  const labelled = (names: readonly string[], label: (name: string) => string): Record<string, string> =>
    Object.fromEntries(names.map((name) => [name, label(name)]));
  const terms = keysOf(steps.map((record) => record.loss)).filter((name) => name !== 'total');
  // what is smaller than the total, and always positive, has a logarithmic axis of its own; with one term the total is that term
  const isSmall = (name: string): boolean => !LARGE.includes(name) && steps.every((record) => (record.loss[name] ?? 0) >= 0);
  const [large, small] = [(name: string) => !isSmall(name), isSmall].map((which) =>
    terms.length > 1 ? terms.filter(which) : [],
  );
  const parts: Readonly<Record<string, string>> = {
    backbone: 'U-Net',
    affine: 'affine head',
    deformable: 'deformable head',
    restoration: 'restoration head',
    head: run.task ? 'task head' : 'head',
  };
  const ofParts = labelled(keysOf(steps.map((record) => record.gradientNorm)), (name) => parts[name] ?? name);
  const times = Object.fromEntries(Object.entries(TIMES).map(([name, { label }]) => [name, label]));
  const rates = new Set(steps.map(({ learningRate }) => learningRate));
  return {
    evaluation: run.task
      ? taskCharts(evaluations, run.task)
      : isJudgedByPairs({ run, evaluations })
        ? evaluationCharts(evaluations)
        : methodCharts(evaluations),
    training: [
      stepChart(steps, 'Loss', { total: 'total', ...labelled(large, lossName) }, loss, false),
      stepChart(steps, 'Smaller loss terms', labelled(small, lossName), loss, true),
      ...Object.keys(steps.at(-1)?.measure ?? {}).map((name) =>
        stepChart(steps, capital(measureName(name)), { [name]: 'training' }, (record) => record.measure[name], false),
      ),
      stepChart(steps, 'Gradient norms', ofParts, norm, true),
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
