/** A whole study: run, table, figures, all written into its folder. */
import { join } from 'node:path';
import { toProgress } from '../common/progress.ts';
import { version } from '../common/version.ts';
import { jsonText } from '../model/node/documents.ts';
import { writeFileAtomic } from '../platform/node/files.ts';
import { openClaims } from './claims.ts';
import { type PretrainingCost, pretrainingCosts } from './cost.ts';
import { correlationFigure, featuresFigure, labelsFigure, learningFigure } from './figures.ts';
import { studyInputs } from './inputs.ts';
import { type Ranking, ranksFigure } from './ranks.ts';
import { openReused, type ReusedStudy } from './reuse.ts';
import { runStudy, type StudyOutcome } from './run.ts';
import type { StudyCall, StudyWork } from './runs.ts';
import { scoresCsv } from './scores.ts';
import { summarizeStudy } from './summary.ts';
import type { StudyRow } from './tables.ts';
import { StudyTracking } from './tracking.ts';

/** What `compare` writes into the study's folder, beside its trainings. */
export const STUDY_FILES = [
  'table.md',
  'table.csv',
  'scores.csv',
  'study.json',
  'labels.svg',
  'learning.svg',
  'correlation.svg',
  'features.svg',
  'ranks.svg',
] as const;

export interface StudyReport {
  readonly name: string;
  /** Trainings: of the study, or of the part. */
  readonly runs: number;
  readonly rows: readonly StudyRow[];
  readonly pretraining: readonly PretrainingCost[];
  readonly ranks: readonly Ranking[];
  /** Where its networks saw who is tested on. */
  readonly warnings: readonly string[];
  /** None of a part, and none where another process writes them. */
  readonly files: readonly string[];
}

/**
 * Runs what is not done, then writes table.md, table.csv, scores.csv, study.json and the figures. Any number of processes may be called for the same study and
 * folder, on any machines: they share the trainings.
 * @throws as `runStudy`
 */
export async function compare(call: StudyCall): Promise<StudyReport> {
  const claims = openClaims(call.out, call.timing);
  const progress = toProgress(call.progress);
  const { study, out, part, mlflow: address } = call;
  const say = (line: string): void => progress.say(line);
  const tracking = address === undefined ? undefined : new StudyTracking({ address, study, out, claims, say });
  const reused = call.reuse === undefined ? undefined : await openReused(call.reuse, study, out);
  const work: StudyWork = { ...call, progress, claims, tracking, missing: [], diverged: new Map() };
  const outcome = await runStudy(work, reused);
  await tracking?.sendLeft();
  const { results } = outcome;
  if (part)
    return {
      name: study.name,
      runs: results.length,
      rows: [],
      pretraining: [],
      ranks: [],
      warnings: outcome.warnings,
      files: [],
    };
  const claim = await claims.claim('table');
  try {
    const report = await writeTables(work, outcome, reused, claim !== undefined);
    if (claim) await tracking?.finish(report.rows, report.files);
    return report;
  } finally {
    await claim?.release();
  }
}

async function writeTables(
  { study, out, progress }: StudyWork,
  { results, searches, warnings }: StudyOutcome,
  reused: ReusedStudy | undefined,
  isMine: boolean,
): Promise<StudyReport> {
  const pretraining = (await pretrainingCosts(study, out, searches)).map((cost) =>
    cost.steps === null ? (reused?.costOf(cost.method) ?? cost) : cost,
  );
  const { rows, ranks, markdown, csv } = summarizeStudy(study, results, pretraining);
  const report = { name: study.name, runs: results.length, rows, pretraining, ranks, warnings };
  if (!isMine) {
    progress.say('another process writes the table');
    return { ...report, files: [] };
  }
  // the same for all: the cohort's, and what the configuration chooses of it
  const { task } = results[0];
  const files: Partial<Record<(typeof STUDY_FILES)[number], string | undefined>> = {
    'table.md': [markdown, ...warnings.map((line) => `\nWarning: ${line}.\n`)].join(''),
    'table.csv': csv,
    'scores.csv': scoresCsv(task, results),
    'study.json': jsonText({
      study,
      task,
      inputs: await studyInputs(study, out, reused?.inputs.models),
      versions: { gvsl: version, node: process.versions.node },
      rows,
      pretraining,
      ranks,
      warnings,
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
  return { ...report, files: written.map(([name]) => name) };
}
