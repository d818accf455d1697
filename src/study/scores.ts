/**
 * The scores of a study by test subject, as `scores.csv` has them: what its tables are computed from, so that whoever has this file can compute them
 * again (check.ts) or another way.
 *
 * A line for each subject of each training: method, mode, labels, seed, subject; where some patients have several subjects, patient (empty where it
 * is not known); then for a segmentation the Dice of each label code but the
 * background (empty where prediction and truth both lack it), for a classification the true class and the probability of each output.
 */
import { groupedByPatient } from '../cohort/patients.ts';
import { csvLine, parseCsv } from '../common/csv.ts';
import { RunError } from '../common/errors.ts';
import type { Task } from '../model/configuration.ts';
import { outputsOf } from '../training/task/classes.ts';
import { type SubjectScores, whose } from '../training/task/evaluate.ts';
import type { StudyRun } from './runs.ts';

const HEAD = ['method', 'mode', 'labels', 'seed', 'subject'];
const PATIENT = 'patient';

/** Classes whose probabilities a network gives: of two the second alone. */
const judgedClasses = (task: Task & { kind: 'classification' }): readonly string[] =>
  outputsOf(task) === 1 ? [task.classes[1]] : task.classes;

/** Columns after those that say whose scores they are. */
const columnsOf = (task: Task): string[] =>
  task.kind === 'segmentation'
    ? task.labels.slice(1).map(({ code }) => `dice ${code}`)
    : ['class', ...judgedClasses(task).map((name) => `probability ${name}`)];

/** What says whose scores they are, as numbers and texts alike. */
const nameOf = (...run: readonly (string | number)[]): string => run.join(',');

export function scoresCsv(task: Task, results: readonly (StudyRun & { readonly subjects: readonly SubjectScores[] })[]): string {
  const withPatients = results.some(({ subjects }) => groupedByPatient(subjects).length < subjects.length);
  const lines = results.flatMap(({ method, mode, labels, seed, subjects }) =>
    subjects.map((scores) =>
      csvLine([
        ...[method, mode, labels, seed, scores.id],
        ...(withPatients ? [scores.patient] : []),
        ...(task.kind === 'segmentation' ? scores.dice! : [scores.class, ...scores.probabilities!]),
      ]),
    ),
  );
  return [csvLine([...HEAD, ...(withPatients ? [PATIENT] : []), ...columnsOf(task)]), ...lines, ''].join('\n');
}

/**
 * The scores of each run, by the name of `of`.
 * @param file its name, for messages
 * @throws RunError naming the line that is none
 */
export function parseScores(
  text: string,
  task: Task,
  file: string,
): { of(run: Pick<StudyRun, 'method' | 'mode' | 'labels' | 'seed'>): readonly SubjectScores[] | undefined } {
  const [head = [], ...lines] = parseCsv(text);
  const withPatients = head[HEAD.length] === PATIENT;
  const expected = [...HEAD, ...(withPatients ? [PATIENT] : []), ...columnsOf(task)];
  if (head.join() !== expected.join())
    throw new RunError(`${file}: expected the columns ${expected.join(', ')}; found ${head.join(', ') || 'none'}`);
  const runs = new Map<string, SubjectScores[]>();
  for (const [i, fields] of lines.entries()) {
    const number = (field: string): number => {
      const value = field === '' ? Number.NaN : Number(field);
      if (!Number.isFinite(value)) throw new RunError(`${file}: subject ${i + 1}: expected a number, found '${field}'`);
      return value;
    };
    if (fields.length !== expected.length)
      throw new RunError(`${file}: subject ${i + 1}: expected ${expected.length} values, found ${fields.length}`);
    const [method, mode, labels, seed, id, ...others] = fields;
    const [patient = '', ...scores] = withPatients ? others : ['', ...others];
    const run = nameOf(method, mode, labels, seed);
    const own = runs.get(run) ?? [];
    if (own.some((other) => other.id === id))
      throw new RunError(
        `${file}: subject ${i + 1}: ${id} is there twice for ${method}, ${mode}, labels ${labels}, seed ${seed}`,
      );
    own.push(
      task.kind === 'segmentation'
        ? { ...whose({ id, patient: patient || null }), dice: scores.map((field) => (field === '' ? null : number(field))) }
        : { ...whose({ id, patient: patient || null }), class: scores[0], probabilities: scores.slice(1).map(number) },
    );
    runs.set(run, own);
  }
  return { of: ({ method, mode, labels, seed }) => runs.get(nameOf(method, mode, labels, seed)) };
}
