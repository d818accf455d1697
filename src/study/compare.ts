/** A whole study: run, table, figures, all written into its folder. */
import { join } from 'node:path';
import { toProgress } from '../common/progress.ts';
import { jsonText } from '../model/node/model-folder.ts';
import { writeFileAtomic } from '../platform/node/files.ts';
import { lockFolder } from '../platform/node/lock.ts';
import { correlationFigure, featuresFigure, labelsFigure, learningFigure } from './figures.ts';
import { runStudy, type StudyCall, type StudyWork } from './run.ts';
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
] as const;

export interface StudyReport {
  readonly name: string;
  readonly runs: number;
  readonly rows: readonly StudyRow[];
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
  const results = await runStudy(call);
  const rows = studyRows(study, results);
  const files: Partial<Record<(typeof STUDY_FILES)[number], string | undefined>> = {
    'table.md': studyMarkdown(study, rows),
    'table.csv': studyCsv(rows),
    'study.json': jsonText({
      study,
      rows,
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
    'correlation.svg': await correlationFigure(study, out),
  };
  progress.say('t-SNE of local features');
  files['features.svg'] = await featuresFigure(study, out);
  const written = Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined);
  for (const [name, text] of written) await writeFileAtomic(join(out, name), text);
  return { name: study.name, runs: results.length, rows, files: written.map(([name]) => name) };
}
