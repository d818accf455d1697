/**
 * Whether the tables of a finished study are those of its scores: they are computed again from `scores.csv` (scores.ts) and what `study.json` declares.
 * Neither the cohort nor any training is needed.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../common/errors.ts';
import { taskSchema } from '../model/configuration.ts';
import { readJson } from '../model/node/documents.ts';
import { findFolder } from '../platform/node/files.ts';
import { namingFile } from '../platform/node/machine.ts';
import { MODE_TITLES } from '../report/study-table.ts';
import { summarizeScores } from '../training/task/evaluate.ts';
import { studySchema } from './configuration.ts';
import type { PretrainingCost } from './cost.ts';
import { runsOf } from './runs.ts';
import { parseScores } from './scores.ts';
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

/** A study with the curves of its runs can hold some megabytes. */
const MAX_BYTES = 64e6;
const fileSchema = z.looseObject({
  study: studySchema,
  task: taskSchema,
  rows: z.array(z.unknown()),
  ranks: z.array(z.unknown()),
  pretraining: z.array(z.looseObject({})),
  runs: z.array(
    z.looseObject({
      method: z.string(),
      mode: z.enum(Object.keys(MODE_TITLES) as [keyof typeof MODE_TITLES]),
      labels: z.union([z.literal('all'), z.number()]),
      seed: z.number(),
      summary: z.unknown(),
    }),
  ),
});

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
  for (const name of ['study.json', 'scores.csv'])
    if ((await findFolder(join(folder, name))) === undefined)
      throw new UsageError(
        `${folder}: no ${name} in it; expected the folder of a study that this version of gvsl compare has finished`,
      );
  const document = await readJson(join(folder, 'study.json'), fileSchema, MAX_BYTES);
  const { study, task, runs } = document;
  const text = (name: string): Promise<string> => namingFile(join(folder, name), () => readFile(join(folder, name), 'utf8'));
  const scores = parseScores(await text('scores.csv'), task, join(folder, 'scores.csv'));
  const differences: string[] = [];
  const results = runsOf(study).flatMap((run): StudyRunResult[] => {
    const title = `${run.method}, ${run.mode}, ${run.labels} labels, seed ${run.seed}`;
    const known = runs.find(
      ({ method, mode, labels, seed }) =>
        method === run.method && mode === run.mode && labels === run.labels && seed === run.seed,
    );
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
