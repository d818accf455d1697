/** `gvsl evaluate`: predictions against references, per case and class, with intervals. */
import type { Command } from 'commander';
import { counted } from '../../common/counted.ts';
import { csvLine } from '../../common/csv.ts';
import { UsageError } from '../../common/errors.ts';
import { formatNames } from '../../common/format-names.ts';
import { rangeText } from '../../common/range-text.ts';
import type { ClassificationsReport } from '../../metrics/node/classifications.ts';
import type { Measure, SegmentationsReport } from '../../metrics/node/segmentations.ts';
import type { Interval } from '../../metrics/statistics.ts';
import { failedTable, warningLines } from '../batch-text.ts';
import { numberIn, numberOf } from '../numbers.ts';
import { action, type CommandResult } from '../run-command.ts';
import { formatTable } from '../table.ts';

interface Options {
  readonly labels?: string;
  readonly ignore?: string;
  readonly tolerance?: string;
  readonly threshold?: string;
  readonly classColumn?: string;
  readonly skipMissing?: boolean;
  readonly out?: string;
  readonly part?: string;
}

const COLUMNS: readonly (readonly [Measure, string, number])[] = [
  ['dice', 'Dice', 4],
  ['jaccard', 'Jaccard', 4],
  ['hd95Mm', 'HD95 mm', 2],
  ['surfaceDistanceMm', 'ASD mm', 2],
  ['surfaceDice', 'surface Dice', 4],
  ['volumeError', 'volume error', 3],
];

const intervalText = (interval: Interval | null, digits: number): string =>
  interval === null ? '-' : `${interval.mean.toFixed(digits)}${rangeText(interval, (end) => end.toFixed(digits))}`;

function codes(option: string, text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const values = text.split(',').map(numberOf);
  if (!values.every(Number.isInteger)) throw new UsageError(`${option} ${text}: expected label codes, as in 205,420`);
  return values;
}

/** @throws UsageError for an option that says nothing of what is scored: it would be passed over in silence */
function refuseOptions(options: Options, names: Readonly<Partial<Record<keyof Options, string>>>, of: string): void {
  for (const [name, flag] of Object.entries(names))
    if (options[name as keyof Options] !== undefined) throw new UsageError(`${flag}: only valid with ${of}`);
}
const OF_LABEL_MAPS = { labels: '--labels', ignore: '--ignore', tolerance: '--tolerance', part: '--part' };
const OF_TABLES = { threshold: '--threshold', classColumn: '--class-column' };

/** All of a few; of many the first and their number, since --json has all. */
const skippedText = (skipped: readonly string[]): string[] =>
  skipped.length > 0 ? [`skipped ${skipped.length}: ${formatNames(skipped, 10)}`] : [];

const countedCases = (cases: number, patients: number | undefined): string =>
  `${counted(cases, 'case')}${patients === undefined ? '' : ` of ${counted(patients, 'patient')}`}`;
const overPatients = (patients: number | undefined): string => (patients === undefined ? '' : ' over patients');

function segmentationText({
  cases,
  patients,
  summary,
  mean,
  toleranceMm,
  skipped,
  failed,
  warnings,
}: SegmentationsReport): string {
  const row = (name: string, measures: Readonly<Record<Measure, Interval | null>>, counts: readonly string[]): string[] => [
    name,
    ...COLUMNS.map(([measure, , digits]) => intervalText(measures[measure], digits)),
    ...counts,
  ];
  const rows = summary.map(({ label, measures, absentFromBoth, missed, spurious }) =>
    row(String(label), measures, [String(absentFromBoth), String(missed), String(spurious)]),
  );
  return [
    ...warningLines(warnings),
    formatTable(
      ['label', ...COLUMNS.map(([, heading]) => heading), 'absent', 'missed', 'spurious'],
      [...rows, row('mean', mean, ['', '', ''])],
      COLUMNS.map((_, i) => i + 1).concat([7, 8, 9]),
    ),
    '',
    ...failedTable(failed),
    `${countedCases(cases.length, patients)}${failed.length > 0 ? `, ${failed.length} failed and excluded from means` : ''}${(patients ?? cases.length) > 1 ? `; means with 95 % bootstrap intervals${overPatients(patients)}` : ''}; surface Dice at ${toleranceMm} mm; a class absent from both is excluded from means`,
    ...skippedText(skipped),
  ].join('\n');
}

function classificationText({
  cases,
  patients,
  accuracy,
  balancedAccuracy,
  summary,
  threshold,
  skipped,
}: ClassificationsReport): string {
  const figure = (value: number | null): string => value?.toFixed(4) ?? '-';
  const rows = summary.map((one) => [
    one.class,
    `${figure(one.auc)}${one.aucInterval ? ` (${one.aucInterval.map(figure).join(' to ')})` : ''}`,
    ...[one.averagePrecision, one.sensitivity, one.specificity, one.accuracy].map(figure),
    `${one.positives} of ${cases}`,
  ]);
  return [
    formatTable(
      ['class', 'AUC', 'average precision', 'sensitivity', 'specificity', 'accuracy', 'cases'],
      rows,
      [1, 2, 3, 4, 5, 6],
    ),
    '',
    `most probable class: accuracy ${figure(accuracy)}, balanced accuracy ${figure(balancedAccuracy)}, over all classes`,
    `sensitivity, specificity and accuracy of each class at a probability above ${threshold}`,
    ...(patients === undefined
      ? []
      : [`${countedCases(cases, patients)}; the bootstrap interval of the AUC is${overPatients(patients)}`]),
    ...skippedText(skipped),
  ].join('\n');
}

/** One line a class. */
const classificationCsv = ({ cases, threshold, summary }: ClassificationsReport): string =>
  [
    'class,auc,aucLow,aucHigh,averagePrecision,sensitivity,specificity,accuracy,threshold,positives,cases',
    ...summary.map((one) =>
      csvLine([
        one.class,
        one.auc,
        one.aucInterval?.[0],
        one.aucInterval?.[1],
        one.averagePrecision,
        one.sensitivity,
        one.specificity,
        one.accuracy,
        threshold,
        one.positives,
        cases,
      ]),
    ),
    '',
  ].join('\n');

/** One line a case and class. */
const segmentationCsv = ({ cases }: SegmentationsReport): string =>
  [
    csvLine(['case', 'label', ...COLUMNS.map(([measure]) => measure), 'predictedMl', 'referenceMl']),
    ...cases.flatMap(({ case: name, labels }) =>
      labels.map((scores) =>
        csvLine([name, scores.label, ...COLUMNS.map(([measure]) => scores[measure]), scores.predictedMl, scores.referenceMl]),
      ),
    ),
    '',
  ].join('\n');

async function run(predictions: string, references: string, options: Options): Promise<CommandResult> {
  const { guardInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
  const inputs = [
    { path: predictions, what: 'the predictions' },
    { path: references, what: 'the references' },
  ];
  return guardInputs(inputs, async () => {
    if (options.out !== undefined) await refuseReplacing(options.out);
    return evaluate(predictions, references, options);
  });
}

async function evaluate(predictions: string, references: string, options: Options): Promise<CommandResult> {
  const { writeFileAtomic } = await import('../../platform/node/files.ts');
  const write = async <Report>(report: Report, csv: (report: Report) => string): Promise<void> => {
    if (options.out !== undefined)
      await writeFileAtomic(options.out, /\.csv$/i.test(options.out) ? csv(report) : `${JSON.stringify(report, null, 2)}\n`);
  };
  const tables = [predictions, references].filter((path) => /\.[ct]sv$/i.test(path));
  if (tables.length === 1)
    throw new UsageError(
      `${tables[0]}: a table; expected two tables (classification) or two label maps or folders (segmentation)`,
    );
  const skipMissing = options.skipMissing ?? false;
  if (tables.length === 2) {
    refuseOptions(options, OF_LABEL_MAPS, 'label maps, not with tables');
    const { scoreClassifications } = await import('../../metrics/node/classifications.ts');
    const report = await scoreClassifications(predictions, references, {
      threshold: numberIn('--threshold', options.threshold ?? '0.5', 0, 1),
      skipMissing,
      ...(options.classColumn === undefined ? {} : { classColumn: options.classColumn }),
    });
    await write(report, classificationCsv);
    return { json: report, text: classificationText(report) };
  }
  refuseOptions(options, OF_TABLES, 'tables of classes, not with label maps');
  const { scoreSegmentations } = await import('../../metrics/node/segmentations.ts');
  const { createProgress } = await import('../progress.ts');
  const { parsePart } = await import('../../platform/node/parts.ts');
  const labels = codes('--labels', options.labels);
  const ignore = codes('--ignore', options.ignore);
  const report = await scoreSegmentations({
    predictions,
    references,
    ...(labels ? { labels } : {}),
    ...(ignore ? { ignore } : {}),
    toleranceMm: numberIn('--tolerance', options.tolerance ?? '1', 0, 1000),
    skipMissing,
    ...(options.part === undefined ? {} : { part: parsePart(options.part) }),
    progress: createProgress(),
  });
  await write(report, segmentationCsv);
  return { json: report, text: segmentationText(report), exitCode: report.failed.length > 0 ? 1 : 0 };
}

/** Adds `gvsl evaluate`. */
export function registerEvaluate(program: Command): void {
  const command = program
    .command('evaluate')
    .description(
      'score predictions against references: label maps (files or folders, paired by name) or tables of class probabilities',
    )
    .argument('<predictions>', 'label map, folder of label maps, or CSV table written by gvsl classify')
    .argument(
      '<references>',
      'reference label map or folder; for tables a CSV with columns case and label, and patient where patients have several cases',
    )
    .option('--labels <codes>', 'label codes to score (default: all except 0)')
    .option('--ignore <codes>', 'label codes to leave out')
    .option('--tolerance <mm>', 'tolerance of the surface Dice (default: 1)')
    .option('--threshold <p>', 'tables: probability above which a case counts as positive (default: 0.5)')
    .option('--class-column <name>', 'tables: class column of the reference table (default: label or class)')
    .option('--skip-missing', 'skip cases that only one side has, instead of failing')
    .option(
      '--part <i/n>',
      'only the cases of part I of N (from 1), by their names, for job arrays; give each part its own --out FILE.csv',
    )
    .option('--out <file>', 'also write all scores: .json, or .csv with one row per case and class (tables: per class)')
    .addHelpText(
      'after',
      '\nExamples:\n  gvsl evaluate labels data/labelsTs --out scores.csv\n  gvsl evaluate classes.csv labels.csv',
    );
  action(command, run);
}
