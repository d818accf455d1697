/** A finished study as `compare` wrote it: what it declares, and the scores of its trainings. The trainings themselves need not be there. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../common/errors.ts';
import { taskSchema } from '../model/configuration.ts';
import { readJson } from '../model/node/documents.ts';
import { findFolder } from '../platform/node/files.ts';
import { namingFile } from '../platform/node/machine.ts';
import { MODE_TITLES } from '../report/study-table.ts';
import { studySchema } from './configuration.ts';
import type { StudyRun } from './runs.ts';
import { parseScores } from './scores.ts';

/** A study with the curves of its runs can hold some megabytes. */
const MAX_BYTES = 64e6;
const fileSchema = z.looseObject({
  study: studySchema,
  task: taskSchema,
  inputs: z
    .object({ cohort: z.string(), pretrainingCohort: z.string().nullable(), models: z.record(z.string(), z.string().nullable()) })
    .optional(),
  rows: z.array(z.unknown()),
  ranks: z.array(z.unknown()),
  pretraining: z.array(z.looseObject({ method: z.string() })),
  runs: z.array(
    z.looseObject({
      method: z.string(),
      mode: z.enum(Object.keys(MODE_TITLES) as [keyof typeof MODE_TITLES]),
      labels: z.union([z.literal('all'), z.number()]),
      seed: z.number(),
      summary: z.unknown(),
      curve: z.array(z.tuple([z.number(), z.number()])).optional(),
      version: z.string().optional(),
    }),
  ),
});

export type StudyDocument = z.output<typeof fileSchema>;
type RunName = Pick<StudyRun, 'method' | 'mode' | 'labels' | 'seed'>;

export interface PublishedStudy {
  readonly document: StudyDocument;
  readonly scores: ReturnType<typeof parseScores>;
  /** What study.json has of a training. */
  runOf(run: RunName): StudyDocument['runs'][number] | undefined;
  /** The text of a file in the folder. */
  text(name: string): Promise<string>;
}

/**
 * @param folder with study.json and scores.csv
 * @throws UsageError if it is not the folder of a finished study, RunError naming a file that is damaged
 */
export async function readPublished(folder: string): Promise<PublishedStudy> {
  if (!(await stat(folder).catch(() => undefined))?.isDirectory())
    throw new UsageError(`${folder}: no such folder; expected that of a study which gvsl compare has finished`);
  for (const name of ['study.json', 'scores.csv'])
    if ((await findFolder(join(folder, name))) === undefined)
      throw new UsageError(
        `${folder}: no ${name} in it; expected the folder of a study that this version of gvsl compare has finished`,
      );
  const document = await readJson(join(folder, 'study.json'), fileSchema, MAX_BYTES);
  const text = (name: string): Promise<string> => namingFile(join(folder, name), () => readFile(join(folder, name), 'utf8'));
  return {
    document,
    scores: parseScores(await text('scores.csv'), document.task, join(folder, 'scores.csv')),
    runOf: (run) =>
      document.runs.find(
        ({ method, mode, labels, seed }) =>
          method === run.method && mode === run.mode && labels === run.labels && seed === run.seed,
      ),
    text,
  };
}
