/** Scoring predicted probabilities against true classes: two tables, paired by case. */
import { patientsOf } from '../../cohort/node/names.ts';
import { caseColumn, caseName, caseOf, readClasses, readTable } from '../../cohort/node/table.ts';
import { groupedByPatient } from '../../cohort/patients.ts';
import { UsageError } from '../../common/errors.ts';
import { formatNames } from '../../common/format-names.ts';
import { randomStream } from '../../common/random.ts';
import { areaUnderCurve, averagePrecision, type ClassScores, classScores, thresholdScores } from '../classification.ts';
import { percentileOf } from '../segmentation.ts';

export interface ClassSummary {
  readonly class: string;
  readonly positives: number;
  readonly negatives: number;
  readonly auc: number | null;
  /** 95 % interval of the AUC by the percentile bootstrap over cases, or over patients where some have several; null where it is not defined. */
  readonly aucInterval: readonly [number, number] | null;
  readonly averagePrecision: number | null;
  readonly sensitivity: number | null;
  readonly specificity: number | null;
  readonly accuracy: number | null;
}

export interface ClassificationsReport extends ClassScores {
  readonly kind: 'classification';
  readonly threshold: number;
  readonly cases: number;
  /** Patients, where some have several cases; absent where each has one. */
  readonly patients?: number;
  readonly summary: readonly ClassSummary[];
  readonly skipped: readonly string[];
}

const RESAMPLES = 2000;

/** @param patients the cases of each, as places in the others */
function aucInterval(
  scores: readonly number[],
  positive: readonly boolean[],
  patients: readonly (readonly number[])[],
): [number, number] | null {
  const stream = randomStream(1, 'aucInterval', patients.length);
  const found: number[] = [];
  for (let k = 0; k < RESAMPLES; k++) {
    const drawn = patients.flatMap(() => patients[stream.integer(0, patients.length)]);
    const area = areaUnderCurve(
      drawn.map((i) => scores[i]),
      drawn.map((i) => positive[i]),
    );
    // a resample of one class only has no area
    if (area !== null) found.push(area);
  }
  if (found.length < RESAMPLES / 2) return null;
  found.sort((a, b) => a - b);
  return [percentileOf(found, 0.025), percentileOf(found, 0.975)];
}

/** Whose each case is: by the references' column `patient`, else by its name as for label maps; null where neither says it. */
async function patientsOfCases(references: string, names: readonly string[]): Promise<(string | null)[]> {
  const table = await readTable(references);
  const column = table.columns.find((name) => name.toLowerCase() === 'patient');
  if (column === undefined) return patientsOf('', names);
  const cases = caseColumn(table, references);
  const known = new Map(table.rows.map(({ values }) => [caseName(values[cases]), values[column] || null]));
  return names.map((name) => known.get(name) ?? null);
}

/**
 * Scores `predictions` (case and a column of probabilities for each class, as gvsl classify writes it) against `references` (case, label, and patient where patients have several cases).
 * Of two classes the second is the positive one; of more each is scored against the others.
 * @throws UsageError naming file and line
 */
export async function scoreClassifications(
  predictions: string,
  references: string,
  {
    threshold,
    skipMissing,
    classColumn,
  }: { readonly threshold: number; readonly skipMissing: boolean; readonly classColumn?: string },
): Promise<ClassificationsReport> {
  const truth = await readClasses(references, classColumn);
  const table = await readTable(predictions);
  const cases = caseColumn(table, predictions);
  const classes = table.columns.filter((name) => name !== cases && name !== 'prediction');
  const unknown = [...new Set(truth.values())].filter((name) => !classes.includes(name));
  if (unknown.length > 0)
    throw new UsageError(`${references}: class '${unknown[0]}' has no column in ${predictions}, which has ${classes.join(', ')}`);
  const rows = new Map<string, readonly number[]>();
  for (const row of table.rows) {
    const { line, values } = row;
    const name = caseName(caseOf(row, cases, predictions));
    if (rows.has(name)) throw new UsageError(`${predictions}, line ${line}: duplicate case '${name}'`);
    rows.set(
      name,
      classes.map((column) => {
        const value = Number(values[column]);
        if (values[column] === '' || !(value >= 0 && value <= 1))
          throw new UsageError(
            `${predictions}, line ${line}: ${column}: expected a probability from 0 to 1; found '${values[column]}'`,
          );
        return value;
      }),
    );
  }
  const names = [...truth.keys()].filter((name) => rows.has(name));
  const skipped = [
    ...[...truth.keys()].filter((name) => !rows.has(name)).map((name) => `${name}: no prediction`),
    ...[...rows.keys()].filter((name) => !truth.has(name)).map((name) => `${name}: no reference`),
  ];
  if (skipped.length > 0 && !skipMissing)
    throw new UsageError(
      `${predictions} and ${references}: ${skipped.length} cases are in one table only (${formatNames(skipped, 5)}); skip them with \`skipMissing\``,
    );
  if (names.length === 0) throw new UsageError(`${predictions} and ${references} have no case in common`);
  const owners = await patientsOfCases(references, names);
  const patients = groupedByPatient(owners.map((patient, at) => ({ patient, at }))).map((group) => group.map(({ at }) => at));
  const positives = classes.length === 2 ? [classes[1]] : classes;
  const summary = positives.map((name): ClassSummary => {
    const scores = names.map((id) => rows.get(id)![classes.indexOf(name)]);
    const positive = names.map((id) => truth.get(id) === name);
    const count = positive.filter(Boolean).length;
    return {
      class: name,
      positives: count,
      negatives: names.length - count,
      auc: areaUnderCurve(scores, positive),
      aucInterval: aucInterval(scores, positive, patients),
      averagePrecision: averagePrecision(scores, positive),
      ...thresholdScores(scores, positive, threshold),
    };
  });
  // the most probable class, of equal ones the first, as gvsl classify writes it
  const predicted = names.map((id) => rows.get(id)!.reduce((best, value, i, all) => (value > all[best] ? i : best), 0));
  const known = names.map((id) => classes.indexOf(truth.get(id)!));
  const counts = { cases: names.length, ...(patients.length < names.length && { patients: patients.length }) };
  return { kind: 'classification', threshold, ...counts, ...classScores(predicted, known), summary, skipped };
}
