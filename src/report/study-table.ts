/** The table of a study as it is written, read back: for whoever shows it without the study's code. */
import { z } from 'zod';
import { counted } from '../common/counted.ts';
import { parseCsv } from '../common/csv.ts';

/** How a pre-trained network is judged, as tables and figures name it. */
export const MODE_TITLES = {
  linear: 'linear evaluation',
  probe: "linear probe of the encoder's levels",
  finetune: 'fine-tuning',
} as const;
export type Mode = keyof typeof MODE_TITLES;

const number = z
  .preprocess((value) => (value === '' || value === undefined ? null : Number(value)), z.number().nullable())
  .catch(null);
const rowSchema = z.object({
  method: z.string(),
  mode: z.string(),
  labels: z.string(),
  seeds: number,
  mean: number,
  /** Over seeds. */
  deviation: number,
  /** To the baseline, paired by test subject, with its 95 % bootstrap interval; null in the baseline's own rows. */
  difference: number,
  low: number,
  high: number,
  /** Wilcoxon's. */
  p: number,
  /** Corrected by Holm over the methods. */
  pHolm: number,
});
export type StudyTableRow = z.output<typeof rowSchema>;

/** The rows of `table.csv`; lines that are none of a study are left out. */
export function studyTable(csv: string): StudyTableRow[] {
  const [names = [], ...lines] = parseCsv(csv);
  return lines.flatMap((fields) => {
    const row = rowSchema.safeParse(Object.fromEntries(names.map((name, i) => [name, fields[i]])));
    return row.success ? [row.data] : [];
  });
}

/** 'all labels', '4 labels', '1 label'. */
export const labelsText = (labels: number | string): string =>
  labels === 'all' ? 'all labels' : counted(Number(labels), 'label');

const runsOfCell = (method: string, mode: string, labels: number | string): string => `${method}-${mode}-${labels}-seed`;
/** A training's folder inside its study: runs/mae-linear-4-seed1. */
export const studyRunName = (method: string, mode: string, labels: number | string, seed: number): string =>
  `${runsOfCell(method, mode, labels)}${seed}`;
/** The trainings of a cell among the paths of folders, whatever seeds the study has. @param runs the path of the study's runs */
export function studyRunsOf(paths: Iterable<string>, runs: string, ...cell: Parameters<typeof runsOfCell>): string[] {
  const start = `${runs}/${runsOfCell(...cell)}`;
  return [...paths].filter((path) => path.startsWith(start) && /^\d+$/.test(path.slice(start.length)));
}

const testSchema = z.object({
  subjects: z.array(z.object({ id: z.string(), dice: z.array(z.number().nullable()).optional().catch(undefined) })),
});

/** Scores of a segmentation's test subjects, each the mean over its classes, from the text of `test.json`; empty for anything else. */
export function subjectScores(text: string | undefined): ReadonlyMap<string, number> {
  const scores = new Map<string, number>();
  try {
    for (const { id, dice } of testSchema.parse(JSON.parse(text ?? '')).subjects) {
      const known = dice?.filter((value) => value !== null) ?? [];
      if (known.length > 0) scores.set(id, known.reduce((sum, value) => sum + value, 0) / known.length);
    }
  } catch {
    // half written, or of another kind
  }
  return scores;
}
