/**
 * Ranks of methods over tasks (Demsar, JMLR 7, 2006): Friedman's test, and a picture of mean ranks in which methods are joined whose ranks differ by
 * less than Nemenyi's critical difference.
 *
 * Within a study a task is a test subject, or a patient where some have several scans; over several studies a task is a study's cell (a number of labels).
 */
import { markdownCell } from '../common/markdown.ts';
import { compareRanks, type RankComparison } from '../metrics/ranks.ts';
import { labelsText, MODE_TITLES, type Mode } from '../report/study-table.ts';
import type { Study } from './configuration.ts';
import { methodsOf } from './methods.ts';
import { fitting } from './plot.ts';
import { labelsInOrder, modesOf } from './runs.ts';
import { pairedScores, patientMeans } from './tables.ts';
import type { StudyRunResult } from './task-result.ts';

export interface Ranking extends RankComparison {
  readonly mode: Mode;
  /** What a task is, and how many there are: '30 test subjects, 8 labels'. */
  readonly over: string;
  readonly tasks: number;
  readonly methods: readonly { readonly name: string; readonly title: string }[];
}

/** Ranks `methods` by scores of tasks; null with fewer than two of either. */
export function rank(
  mode: Mode,
  over: string,
  methods: Ranking['methods'],
  scores: readonly (readonly number[])[],
): Ranking | null {
  if (methods.length < 2 || scores.length < 2) return null;
  return { mode, over, tasks: scores.length, methods, ...compareRanks(scores) };
}

/** Of a study: for each mode, methods ranked on each test patient (by the mean of the scans), with the smallest number of labels. Segmentations alone. */
export function studyRanks(study: Study, results: readonly StudyRunResult[]): Ranking[] {
  if (study.task !== 'segmentation') return [];
  const [labels] = labelsInOrder(study);
  return modesOf(study).flatMap((mode) => {
    const methods = methodsOf(study);
    const patients = pairedScores(
      methods.map(({ name }) => results.filter((run) => run.method === name && run.mode === mode && run.labels === labels)),
    );
    const count = patients.flat().length;
    const who = patients.length < count ? `${patients.length} patients (${count} test scans)` : `${count} test subjects`;
    return rank(mode, `${who}, ${labelsText(labels)}`, methods, patients.map(patientMeans)) ?? [];
  });
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const [WIDTH, LEFT, ROW, AXIS] = [760, 190, 17, 64];

/** One critical-difference diagram: mean ranks on an axis, the best on the left, groups that do not differ joined by bars. */
function diagram({ mode, over, methods, ranks, groups, criticalDifference, p }: Ranking): { content: string; height: number } {
  const count = methods.length;
  const inner = WIDTH - 2 * LEFT;
  const x = (value: number): number => LEFT + (inner * (value - 1)) / (count - 1);
  const order = ranks.map((_, i) => i).sort((a, b) => ranks[a] - ranks[b] || a - b);
  const left = Math.ceil(count / 2);
  const barsHeight = 7 * groups.length + 8;
  const height = AXIS + barsHeight + ROW * left + 16;
  const line = (x1: number, y1: number, x2: number, y2: number, width = 1): string =>
    `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="black" stroke-width="${width}"/>`;
  const test = p === null ? 'all tie' : `Friedman p ${p < 0.001 ? '&lt; 0.001' : p.toFixed(3)}`;
  const cd = Math.min(criticalDifference, count - 1);
  const parts = [
    `<text x="8" y="16" font-weight="bold">${escaped(MODE_TITLES[mode])}: mean ranks over ${escaped(over)}</text>`,
    `<text x="8" y="31" fill="#555">${test}; critical difference ${criticalDifference.toFixed(2)} (Nemenyi, 0.05); joined: no difference shown</text>`,
    line(x(1), AXIS - 22, x(1 + cd), AXIS - 22, 2),
    `<text x="${x(1 + cd) + 5}" y="${AXIS - 18}">CD${criticalDifference > count - 1 ? ' (beyond the axis)' : ''}</text>`,
    line(x(1), AXIS, x(count), AXIS),
    ...methods.flatMap((_, i) => [
      line(x(i + 1), AXIS - 4, x(i + 1), AXIS),
      `<text x="${x(i + 1).toFixed(1)}" y="${AXIS - 7}" text-anchor="middle">${i + 1}</text>`,
    ]),
    ...groups.map((group, g) => {
      const at = group.map((m) => ranks[m]);
      const y = AXIS + 8 + 7 * g;
      return line(x(Math.min(...at)) - 3, y, x(Math.max(...at)) + 3, y, 4);
    }),
    ...order.flatMap((m, place) => {
      const onLeft = place < left;
      const row = onLeft ? place : count - 1 - place;
      const y = AXIS + barsHeight + ROW * row + 10;
      const end = onLeft ? LEFT - 6 : WIDTH - LEFT + 6;
      const label = `${fitting(methods[m].title, LEFT - 56)} ${ranks[m].toFixed(2)}`;
      return [
        line(x(ranks[m]), AXIS, x(ranks[m]), y),
        line(x(ranks[m]), y, end, y),
        `<text x="${onLeft ? end - 4 : end + 4}" y="${y + 4}" text-anchor="${onLeft ? 'end' : 'start'}">${label}</text>`,
      ];
    }),
  ];
  return { content: parts.join(''), height };
}

/** The diagrams one under another; undefined without any. */
export function ranksFigure(rankings: readonly Ranking[]): string | undefined {
  if (rankings.length === 0) return undefined;
  let top = 0;
  const drawn = rankings.map((ranking) => {
    const { content, height } = diagram(ranking);
    const placed = `<g transform="translate(0 ${top})">${content}</g>`;
    top += height;
    return placed;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${drawn.join('')}</svg>\n`;
}

/** The rankings in words, as a table for each. */
export const ranksMarkdown = (rankings: readonly Ranking[]): string =>
  rankings
    .map(({ mode, over, methods, ranks, p, criticalDifference }) =>
      [
        `**Ranks, ${MODE_TITLES[mode]}** over ${over}: Friedman p ${p === null ? '-' : p < 0.001 ? '< 0.001' : p.toFixed(3)}; mean ranks that differ by ${criticalDifference.toFixed(2)} or more differ (Nemenyi, 0.05)`,
        '',
        '| method | mean rank |',
        '| --- | ---: |',
        ...methods
          .map(({ title }, m) => ({ title, mean: ranks[m] }))
          .sort((a, b) => a.mean - b.mean)
          .map(({ title, mean }) => `| ${markdownCell(title)} | ${mean.toFixed(2)} |`),
        '',
      ].join('\n'),
    )
    .join('\n');
