/** A whole study: run, table, figures, all written into its folder. */
import { join } from 'node:path';
import { toProgress } from '../common/progress.ts';
import { jsonText } from '../model/node/model-folder.ts';
import { writeFileAtomic } from '../platform/node/files.ts';
import { lockFolder } from '../platform/node/lock.ts';
import { costMarkdown, type PretrainingCost, pretrainingCosts } from './cost.ts';
import { correlationFigure, featuresFigure, labelsFigure, learningFigure } from './figures.ts';
import { type Ranking, ranksFigure, ranksMarkdown, studyRanks } from './ranks.ts';
import { runStudy } from './run.ts';
import type { StudyCall, StudyWork } from './runs.ts';
import { type StudyRow, studyCsv, studyMarkdown, studyRows } from './tables.ts';

/** What `compare` writes into the study's folder, beside its trainings. */
export const STUDY_FILES = [
  'table.md',
  'table.csv',
  'study.json',
  'labels.svg',
  'learning.svg',
  'correlation.svg',
  'features.svg',
  'ranks.svg',
] as const;

export interface StudyReport {
  readonly name: string;
  readonly runs: number;
  readonly rows: readonly StudyRow[];
  readonly pretraining: readonly PretrainingCost[];
  readonly ranks: readonly Ranking[];
  readonly files: readonly string[];
}

/** Runs what is not done, then writes table.md, table.csv, study.json and the figures. @throws as `runStudy` */
export async function compare(call: StudyCall): Promise<StudyReport> {
  const unlock = lockFolder(call.out);
  try {
    return await compareLocked({ ...call, progress: toProgress(call.progress) });
  } finally {
    unlock();
  }
}

async function compareLocked(call: StudyWork): Promise<StudyReport> {
  const { study, out, progress } = call;
  const { results, searches } = await runStudy(call);
  const rows = studyRows(study, results);
  const pretraining = await pretrainingCosts(study, out, searches);
  const ranks = studyRanks(study, results);
  const files: Partial<Record<(typeof STUDY_FILES)[number], string | undefined>> = {
    'table.md': [studyMarkdown(study, rows), ranksMarkdown(ranks), costMarkdown(study, pretraining)]
      .filter((part) => part !== '')
      .join('\n'),
    'table.csv': studyCsv(rows),
    'study.json': jsonText({
      study,
      rows,
      pretraining,
      ranks,
      runs: results.map(({ method, mode, labels, seed, summary, curve, version }) => ({
        method,
        mode,
        labels,
        seed,
        summary,
        curve,
        version,
      })),
    }),
    'labels.svg': labelsFigure(study, rows),
    'learning.svg': learningFigure(study, results),
    'ranks.svg': ranksFigure(ranks),
    'correlation.svg': await correlationFigure(study, out),
  };
  progress.say('t-SNE of local features');
  files['features.svg'] = await featuresFigure(study, out);
  const written = Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined);
  for (const [name, text] of written) await writeFileAtomic(join(out, name), text);
  return { name: study.name, runs: results.length, rows, pretraining, ranks, files: written.map(([name]) => name) };
}
