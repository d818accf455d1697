/**
 * A cohort from what its sources came to: the order of the source, patients, classes, and every problem. It follows from the source and the
 * outcomes alone, not from who prepared which subject when.
 */
import { dirname } from 'node:path';
import { COHORT_FORMAT, type Cohort, type CohortProblem } from '../cohort.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { assignClasses, type ClassTable } from './classes.ts';
import { findDuplicates } from './duplicates.ts';
import type { Outcome, SubjectRecord } from './prepare-subject.ts';
import type { FoundSubjects, SubjectTask } from './subject-task.ts';

export interface Assembled {
  readonly source: string;
  readonly out: string;
  readonly options: PrepareOptions;
  readonly table: ClassTable | null;
  /** By id, of every task and of every file that was taken for a label map but is an image. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** Tasks of such files, by path. */
  readonly own: ReadonlyMap<string, SubjectTask>;
}

export function assembleCohort(found: FoundSubjects, { source, out, options, table, outcomes, own }: Assembled): Cohort {
  const recordOf = (id: string): SubjectRecord | undefined => {
    const outcome = outcomes.get(id);
    return outcome && 'record' in outcome ? outcome.record : undefined;
  };
  const problems: CohortProblem[] = [...found.problems];
  const patients = new Map(found.tasks.map((task) => [task.id, task.patient]));
  const further = new Map<string, SubjectTask>();
  for (const { id } of found.tasks)
    for (const path of recordOf(id)?.notLabels ?? []) {
      const task = own.get(path)!;
      if (further.has(task.id)) continue;
      further.set(task.id, task);
      // both are named after one subject
      const patient = patients.get(id) ?? id;
      patients.set(id, patient);
      patients.set(task.id, patient);
      const message = `named like a label map of ${recordOf(id)!.subject.source}, but contains an image: prepared as a separate subject`;
      problems.push({ source: path, kind: 'warning', message });
    }
  const tasks = [...found.tasks, ...further.values()];
  for (const { id } of tasks) {
    const outcome = outcomes.get(id);
    if (outcome && 'refused' in outcome) problems.push(outcome.refused);
  }
  const done = tasks.flatMap(({ id }) => recordOf(id) ?? []);
  problems.push(...problemsOf(done), ...mixedContrasts(found.tasks.filter(({ id }) => recordOf(id) !== undefined)));
  const order = new Map(done.map(({ subject }, k) => [subject.source, k]));
  problems.sort(
    (a, b) =>
      (order.get(a.source) ?? -1) - (order.get(b.source) ?? -1) || (a.source < b.source ? -1 : a.source > b.source ? 1 : 0),
  );
  const root = found.layout === 'MONAI' ? dirname(source) : source;
  // refused images too: their rows are in order
  const named = new Map(found.tasks.map(({ id, image }) => [id, { id, source: image.path }]));
  for (const { subject } of done) named.set(subject.id, subject);
  const assigned = table ? assignClasses(table, [...named.values()], root) : { classes: new Map<string, string>(), problems: [] };
  problems.push(...assigned.problems);
  // the table before the list of files: it is what a call names
  const listed = new Map(found.tasks.map((task) => [task.id, task.class]));
  const subjects = done.map(({ subject }) => ({
    ...subject,
    class: assigned.classes.get(subject.id) ?? listed.get(subject.id) ?? null,
    patient: patients.get(subject.id) ?? null,
  }));
  const { labelNames } = found;
  return { folder: out, format: COHORT_FORMAT, options, ...(labelNames && { labelNames }), subjects, problems };
}

/** A warning where images of several contrasts are together. */
function mixedContrasts(tasks: readonly SubjectTask[]): CohortProblem[] {
  const counts = new Map<string, number>();
  for (const { contrast } of tasks) if (contrast !== null) counts.set(contrast, (counts.get(contrast) ?? 0) + 1);
  if (counts.size < 2) return [];
  const list = [...counts].sort((a, b) => b[1] - a[1]).map(([contrast, n]) => `${n} ${contrast}`);
  const message = `several contrasts (${list.join(', ')}), each image treated as a separate example; choose one with \`match\` '*_${[...counts.keys()][0]}.*'`;
  return [{ source: 'the cohort', kind: 'warning', message }];
}

/** Problems of the prepared subjects, and of the cohort as a whole. */
function problemsOf(records: readonly SubjectRecord[]): CohortProblem[] {
  const problems = records.flatMap(({ subject }) =>
    subject.problems.map((message): CohortProblem => ({ source: subject.source, kind: 'warning', message })),
  );
  const thumbnails = records.map((record) => {
    const bytes = Buffer.from(record.thumbnail, 'base64');
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  });
  for (const { index, of, correlation } of findDuplicates(thumbnails)) {
    const message = `duplicate of ${records[of].subject.source} (correlation ${correlation.toFixed(4)}): keep one of them`;
    problems.push({ source: records[index].subject.source, kind: 'duplicate', message });
  }
  const counts = new Map<string, number>();
  for (const { subject } of records) counts.set(subject.sourceOrientation, (counts.get(subject.sourceOrientation) ?? 0) + 1);
  if (counts.size > 1) {
    const list = [...counts].sort((a, b) => b[1] - a[1]).map(([code, n]) => `${n} ${code}`);
    problems.push({
      source: 'the cohort',
      kind: 'warning',
      message: `mixed orientations (${list.join(', ')}), all reoriented to RAS`,
    });
  }
  return problems;
}
