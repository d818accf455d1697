/** What follows from a study's scores: rows, ranks, and the tables that are made of them. */
import type { Study } from './configuration.ts';
import { costMarkdown, type PretrainingCost } from './cost.ts';
import { type Ranking, ranksMarkdown, studyRanks } from './ranks.ts';
import { emptySubjectsMarkdown, type StudyRow, studyCsv, studyMarkdown, studyRows } from './tables.ts';
import type { StudyRunResult } from './task-result.ts';

export interface StudySummary {
  readonly rows: readonly StudyRow[];
  readonly ranks: readonly Ranking[];
  /** `table.md` and `table.csv`. */
  readonly markdown: string;
  readonly csv: string;
}

export function summarizeStudy(
  study: Study,
  results: readonly StudyRunResult[],
  pretraining: readonly PretrainingCost[],
): StudySummary {
  const rows = studyRows(study, results);
  const ranks = studyRanks(study, results);
  const parts = [
    studyMarkdown(study, rows),
    emptySubjectsMarkdown(study, results),
    ranksMarkdown(ranks),
    costMarkdown(study, pretraining),
  ];
  return { rows, ranks, markdown: parts.filter((part) => part !== '').join('\n'), csv: studyCsv(rows) };
}
