/** A study's scores as a table: means over seeds, and each method against the baseline on the same test subjects. */
import { groupedByPatient } from '../cohort/patients.ts';
import { counted, countedScans } from '../common/counted.ts';
import { csvLine } from '../common/csv.ts';
import { markdownCell } from '../common/markdown.ts';
import { rangeText } from '../common/range-text.ts';
import { type ClassifiedCase, delongTest } from '../metrics/delong.ts';
import { bootstrapMean, holm, type Interval, wilcoxonSignedRank } from '../metrics/statistics.ts';
import { labelsText, MODE_TITLES, type Mode } from '../report/study-table.ts';
import { subjectDice } from '../training/task/evaluate.ts';
import type { Study } from './configuration.ts';
import { methodsOf } from './methods.ts';
import { modesOf } from './runs.ts';
import type { StudyRunResult } from './task-result.ts';

/** One cell: a method in a mode with a number of labels. */
export interface StudyRow {
  readonly method: string;
  readonly title: string;
  readonly mode: Mode;
  readonly labels: number | 'all';
  readonly seeds: number;
  /** Of the score (mean Dice over test subjects, or AUC) over seeds. */
  readonly mean: number;
  /** Standard deviation over seeds (n - 1); null with one. */
  readonly deviation: number | null;
  /**
   * Against the baseline, paired by test subject, each subject's share averaged over seeds, with its 95 % interval (none for one patient): of Dice the mean difference
   * with a bootstrap interval and Wilcoxon's p, of AUC the difference with DeLong's interval and p. Where patients have several scans, the bootstrap
   * draws patients, Wilcoxon's test compares the means of their scans, and the variance of the area is Obuchowski's for clustered data.
   */
  readonly difference: Interval | null;
  readonly p: number | null;
  /** p after Holm's correction over all comparisons of the study's table. */
  readonly pHolm: number | null;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviationOf(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** A subject's score averaged over the runs: its mean Dice over classes; by subject. */
function subjectScores(results: readonly StudyRunResult[]): Map<string, number> {
  const all = new Map<string, number[]>();
  for (const { subjects } of results)
    for (const subject of subjects) {
      const score = subjectDice(subject);
      if (score !== null) all.set(subject.id, [...(all.get(subject.id) ?? []), score]);
    }
  return new Map([...all].map(([id, values]) => [id, mean(values)]));
}

/**
 * Scores of the test subjects that all have a score of, in groups of one patient's scans: in each group, the scores of every subject in the order of
 * `results`.
 */
export function pairedScores(results: readonly (readonly StudyRunResult[])[]): number[][][] {
  const scores = results.map(subjectScores);
  const subjects = new Map(results.flat().flatMap((run) => run.subjects.map((subject) => [subject.id, subject] as const)));
  const shared = [...scores.at(-1)!.keys()].filter((id) => scores.every((of) => of.has(id)));
  return groupedByPatient(shared.map((id) => subjects.get(id)!)).map((scans) =>
    scans.map(({ id }) => scores.map((of) => of.get(id)!)),
  );
}

/** A patient's scores: means over the scans. */
export const patientMeans = (scans: readonly (readonly number[])[]): number[] =>
  scans[0].map((_, k) => mean(scans.map((scores) => scores[k])));

type Comparison = Pick<StudyRow, 'difference' | 'p'>;

/** Dice: Wilcoxon's test of the patients whose scans both have. */
function compareDice(base: readonly StudyRunResult[], own: readonly StudyRunResult[]): Comparison {
  const patients = pairedScores([base, own]);
  const means = patients.map(patientMeans);
  return {
    difference: bootstrapMean(patients.map((scans) => scans.map(([before, after]) => after - before))),
    p:
      wilcoxonSignedRank(
        means.map(([before]) => before),
        means.map(([, after]) => after),
      )?.p ?? null,
  };
}

/** AUC: DeLong's test; every run is a model that judged the same test subjects. */
function compareAreas(base: readonly StudyRunResult[], own: readonly StudyRunResult[]): Comparison {
  const casesOf = ({ task, subjects }: StudyRunResult): ClassifiedCase[] =>
    subjects.map(({ id, patient, class: name, probabilities }) => ({
      id,
      patient,
      truth: task.kind === 'classification' ? task.classes.indexOf(name!) : -1,
      probabilities: probabilities!,
    }));
  const test = delongTest(base.map(casesOf), own.map(casesOf));
  return { difference: test?.difference ?? null, p: test?.p ?? null };
}

/** The rows, method by method as the study has them. */
export function studyRows(study: Study, results: readonly StudyRunResult[]): StudyRow[] {
  const rows: Omit<StudyRow, 'pHolm'>[] = [];
  for (const mode of modesOf(study))
    for (const labels of study.labels)
      for (const { name, title } of methodsOf(study)) {
        const own = results.filter((run) => run.method === name && run.mode === mode && run.labels === labels);
        if (own.length === 0) continue;
        const scores = own.flatMap(({ summary }) => summary.dice ?? summary.auc ?? []);
        if (scores.length === 0) continue;
        const base = results.filter((run) => run.method === study.baseline && run.mode === mode && run.labels === labels);
        const compared = name !== study.baseline && base.length > 0;
        const compare = study.task === 'segmentation' ? compareDice : compareAreas;
        rows.push({
          method: name,
          title,
          mode,
          labels,
          seeds: own.length,
          mean: mean(scores),
          deviation: deviationOf(scores),
          ...(compared ? compare(base, own) : { difference: null, p: null }),
        });
      }
  const corrected = holm(rows.map(({ p }) => p));
  return rows.map((row, i) => ({ ...row, pHolm: corrected[i]! }));
}

/** A p as tables have it: three digits. */
export const pText = (p: number | null): string => (p === null ? '-' : p < 0.001 ? '< 0.001' : p.toFixed(3));

const signed = (value: number): string => `${value >= 0 ? '+' : ''}${value.toFixed(3)}`;

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Where patients have several test scans, how many of how many, and what takes account of it; else ''. */
export function patientsNote({ task }: Pick<Study, 'task'>, rows: readonly StudyRow[]): string {
  const found = rows.find(({ difference }) => difference?.patients !== undefined)?.difference;
  if (!found) return '';
  const how =
    task === 'segmentation'
      ? 'the interval is over patients, and p compares the means of their scans'
      : 'interval and p are those of clustered data (Obuchowski 1997)';
  return `${countedScans(found.count, found.patients)}: ${how}`;
}

/** A table for each mode: methods down, numbers of labels across. */
export function studyMarkdown(study: Study, rows: readonly StudyRow[]): string {
  const marked = (encoderOnly: boolean, mode: Mode): string =>
    encoderOnly && study.task === 'segmentation' && mode !== 'probe' ? ' \u2020' : '';
  const parts = modesOf(study).map((mode) => {
    const cell = (row: StudyRow | undefined): string => {
      if (!row) return '-';
      const spread = row.deviation === null ? '' : ` ± ${row.deviation.toFixed(3)}`;
      const against =
        row.difference === null
          ? ''
          : `<br>${signed(row.difference.mean)}${rangeText(row.difference, signed)}, p ${pText(row.p)}, Holm ${pText(row.pHolm)}`;
      return `${row.mean.toFixed(3)}${spread}${against}`;
    };
    const lines = methodsOf(study).map(
      ({ name, title, encoderOnly }) =>
        `| ${markdownCell(title)}${marked(encoderOnly, mode)} | ${study.labels.map((labels) => cell(rows.find((row) => row.method === name && row.mode === mode && row.labels === labels))).join(' | ')} |`,
    );
    return [
      `**${capitalised(MODE_TITLES[mode])}**`,
      '',
      `| pre-training | ${study.labels.map(labelsText).join(' | ')} |`,
      `| --- | ${study.labels.map(() => '---:').join(' | ')} |`,
      ...lines,
      '',
    ].join('\n');
  });
  const what =
    study.task === 'segmentation'
      ? 'Dice on the test subjects (mean over subjects of the mean over classes)'
      : 'AUC on the test subjects';
  const test = study.task === 'segmentation' ? "95 % bootstrap interval and Wilcoxon's p" : "DeLong's 95 % interval and p";
  const unmarked = methodsOf(study).every(({ encoderOnly }) => !encoderOnly);
  const note =
    study.task !== 'segmentation' || unmarked
      ? ''
      : ' \u2020: pre-trains the encoder alone, so its decoder is random when training begins; linear evaluation of a random decoder says little, the probe of the encoder is what compares such methods.';
  const comparisons = rows.filter(({ p }) => p !== null).length;
  const scans = patientsNote(study, rows);
  const over = study.seeds.length > 1 ? `; mean ± standard deviation over ${study.seeds.length} seeds` : ', of one seed';
  return `${what}${over}. Below: difference to ${study.baseline}, paired by test subject${scans && ` (${scans})`}, with its ${test}; Holm: p corrected for the ${counted(comparisons, 'comparison')} of this table (Holm 1979).${note}\n\n${parts.join('\n')}`;
}

/**
 * Of test subjects with an empty label map: those that some trainings have a Dice of (0: they found something) and others have not (they rightly found
 * nothing). '' without any.
 */
export function emptySubjectsMarkdown({ task }: Pick<Study, 'task'>, results: readonly StudyRunResult[]): string {
  if (task !== 'segmentation') return '';
  const scored = new Map<string, Set<boolean>>();
  for (const { subjects } of results)
    for (const subject of subjects)
      scored.set(subject.id, (scored.get(subject.id) ?? new Set<boolean>()).add(subjectDice(subject) !== null));
  const count = [...scored.values()].filter(({ size }) => size > 1).length;
  return count === 0
    ? ''
    : `Empty label maps: ${counted(count, 'test subject')} with Dice 0 in some trainings, which found something, and without a Dice in others, which rightly found nothing. Means are over the subjects with a Dice; differences and ranks over those that have one with each of the methods compared, so they do not count this.\n`;
}

export const studyCsv = (rows: readonly StudyRow[]): string =>
  [
    'method,mode,labels,seeds,mean,deviation,difference,low,high,p,pHolm',
    ...rows.map((row) =>
      csvLine([
        row.method,
        row.mode,
        row.labels,
        row.seeds,
        row.mean,
        row.deviation ?? '',
        row.difference?.mean ?? '',
        row.difference?.low ?? '',
        row.difference?.high ?? '',
        row.p ?? '',
        row.pHolm ?? '',
      ]),
    ),
    '',
  ].join('\n');
