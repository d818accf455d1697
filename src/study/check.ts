/**
 * Whether the tables of a finished study are those of its scores: they are computed again from `scores.csv` (scores.ts) and what `study.json` declares.
 * Neither the cohort nor any training is needed.
 */
import { labelsText } from '../report/study-table.ts';
import { summarizeScores } from '../training/task/evaluate.ts';
import type { PretrainingCost } from './cost.ts';
import { readPublished } from './published.ts';
import { runsOf } from './runs.ts';
import { summarizeStudy } from './summary.ts';
import type { StudyRunResult } from './task-result.ts';

export interface StudyCheck {
  /** The study's name. */
  readonly name: string;
  readonly trainings: number;
  /** Lines of scores: subjects of all trainings. */
  readonly scores: number;
  /** What was computed again. */
  readonly files: readonly string[];
  /** What is not what the scores give, a line each: where, what is there, what the scores give. */
  readonly differences: readonly string[];
}

/** Relative: logarithms and exponentials may differ in their last digit between versions of Node. */
const TOLERANCE = 1e-9;

const isSame = (a: unknown, b: unknown): boolean =>
  typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b)) : a === b;

/** Where two JSON values differ. */
function differencesOf(found: unknown, given: unknown, path: string): string[] {
  const isTree = (value: unknown): value is object => typeof value === 'object' && value !== null;
  if (!isTree(found) || !isTree(given))
    return isSame(found, given) ? [] : [`${path}: ${JSON.stringify(found)}; the scores give ${JSON.stringify(given)}`];
  const keys = new Set([...Object.keys(found), ...Object.keys(given)]);
  return [...keys].flatMap((key) =>
    differencesOf(found[key as keyof object], given[key as keyof object], path === '' ? key : `${path}.${key}`),
  );
}

/** Lines of a table that differ; prose around it may be worded as another version of gvsl words it. */
function lineDifferences(found: string, given: string, file: string, isTable: (line: string) => boolean): string[] {
  const [there, computed] = [found, given].map((text) => text.split(/\r?\n/).filter(isTable));
  return Array.from({ length: Math.max(there.length, computed.length) }, (_, i) => i)
    .filter((i) => there[i] !== computed[i])
    .map((i) => `${file}: ${there[i] ?? 'no line'}; the scores give ${computed[i] ?? 'no line'}`);
}

/** As JSON has it. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/**
 * Computes the tables of a study again.
 * @param folder with study.json, scores.csv, table.md and table.csv
 * @throws UsageError if it is not the folder of a finished study, RunError naming a file that is damaged
 */
export async function checkStudy(folder: string): Promise<StudyCheck> {
  const { document, scores, runOf, text } = await readPublished(folder);
  const { study, task } = document;
  const differences: string[] = [];
  const results = runsOf(study).flatMap((run): StudyRunResult[] => {
    const title = `${run.method}, ${run.mode}, ${labelsText(run.labels)}, seed ${run.seed}`;
    const known = runOf(run);
    const subjects = scores.of(run);
    if (!known) differences.push(`study.json: no training of ${title}, which the study declares`);
    if (!subjects) differences.push(`scores.csv: no scores of ${title}, which the study declares`);
    if (!known || !subjects) return [];
    const summary = summarizeScores(subjects, task);
    differences.push(...differencesOf(known.summary, plain(summary), `study.json: ${title}`));
    return [{ ...run, task, summary, subjects, curve: [], version: '' }];
  });
  const { rows, ranks, markdown, csv } = summarizeStudy(study, results, document.pretraining as unknown[] as PretrainingCost[]);
  differences.push(
    ...differencesOf(document.rows, plain(rows), 'study.json: rows'),
    ...differencesOf(document.ranks, plain(ranks), 'study.json: ranks'),
    ...lineDifferences(await text('table.md'), markdown, 'table.md', (line) => line.startsWith('|')),
    ...lineDifferences(await text('table.csv'), csv, 'table.csv', (line) => line !== ''),
  );
  return {
    name: study.name,
    trainings: results.length,
    scores: results.reduce((sum, { subjects }) => sum + subjects.length, 0),
    files: ['study.json', 'table.md', 'table.csv'],
    differences,
  };
}
