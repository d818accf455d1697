/** A study: its table, its figures, and the scores of single test subjects. */
import type { ListedFolder } from '../../../common/run-listing.ts';
import { methodDescribed } from '../../../methods/descriptions.ts';
import { decimals } from '../../../report/figures.ts';
import { type Html, html } from '../../../report/html.ts';
import {
  labelsText,
  MODE_TITLES,
  type Mode,
  type StudyTableRow,
  studyRunsOf,
  studyTable,
  subjectScores,
} from '../../../report/study-table.ts';
import { addressOf } from '../../address.ts';
import { hasFile, isRun, joined } from './catalogue.ts';
import { letScroll } from './scroll.ts';
import type { RunSource } from './source.ts';

/** Figures that `gvsl compare` writes, and what they show. */
const FIGURES = [
  ['labels.svg', 'Scores by number of labels'],
  ['learning.svg', 'Validation scores during training'],
  ['ranks.svg', 'Mean ranks of the methods; bars join methods whose ranks do not differ (critical difference)'],
  ['correlation.svg', 'Correlation loss during pre-training'],
  ['features.svg', 't-SNE of local features'],
] as const;

const titleOf = (method: string): string => methodDescribed(method)?.title ?? method;
const modeTitle = (mode: string): string => (mode in MODE_TITLES ? MODE_TITLES[mode as Mode] : mode);
const signed = (value: number): string => `${value >= 0 ? '+' : ''}${decimals(value, 3)}`;
/** As the study's own table has it. */
const pText = (p: number): string => (p < 0.001 ? '< 0.001' : p.toFixed(3));
const unique = (values: readonly string[]): string[] => [...new Set(values)];

/** Methods down, numbers of labels across, the best mean of each column marked. */
function modeTable(mode: string, rows: readonly StudyTableRow[]): Html {
  const labels = unique(rows.map((row) => row.labels));
  const best = new Map(
    labels.map((count) => [count, Math.max(...rows.filter((r) => r.labels === count).map((r) => r.mean ?? -1))]),
  );
  const cell = (row: StudyTableRow | undefined): Html => {
    if (!row || row.mean === null) return html`<td class="n">\u2013</td>`;
    const { mean, deviation, difference, low, high, p, pHolm } = row;
    const against =
      difference !== null &&
      html`<br><span class="unit">${signed(difference)}${low !== null && high !== null && ` (${signed(low)} to ${signed(high)})`}${p !== null && `, p ${pText(p)}`}${pHolm !== null && `, Holm ${pText(pHolm)}`}</span>`;
    return html`<td class="n${mean === best.get(row.labels) ? ' final' : ''}">${decimals(mean, 3)}${deviation !== null && ` \u00b1 ${decimals(deviation, 3)}`}${against}</td>`;
  };
  return html`<h4>${modeTitle(mode)}</h4>
<div class="scroll"><table class="headline"><thead><tr><th scope="col">Pre-training</th>${labels.map((count) => html`<th scope="col" class="n">${labelsText(count)}</th>`)}</tr></thead>
<tbody>${unique(rows.map(({ method }) => method)).map(
    (method) =>
      html`<tr><th scope="row">${titleOf(method)}</th>${labels.map((count) => cell(rows.find((row) => row.method === method && row.labels === count)))}</tr>`,
  )}</tbody></table></div>`;
}

/** Scores of each test subject by method, means over the seeds. */
async function subjectTable(
  source: RunSource,
  path: string,
  rows: readonly StudyTableRow[],
  tested: ReadonlySet<string>,
): Promise<Html> {
  const parts: Html[] = [];
  const cells = [...new Map(rows.map(({ mode, labels }) => [`${mode} ${labels}`, { mode, labels }])).values()];
  for (const { mode, labels } of cells) {
    const own = rows.filter((row) => row.mode === mode && row.labels === labels);
    const scores = await Promise.all(
      own.map(async ({ method }) => {
        const found = new Map<string, number[]>();
        for (const run of studyRunsOf(tested, joined(path, 'runs'), method, mode, labels)) {
          for (const [id, score] of subjectScores(await source.text(joined(run, 'test.json'))))
            found.set(id, [...(found.get(id) ?? []), score]);
        }
        return new Map([...found].map(([id, list]) => [id, list.reduce((sum, value) => sum + value, 0) / list.length]));
      }),
    );
    const ids = unique(scores.flatMap((of) => [...of.keys()])).sort();
    if (ids.length === 0) continue;
    parts.push(html`<h4>${modeTitle(mode)}, ${labelsText(labels)}</h4>
<div class="scroll"><table><thead><tr><th scope="col">Subject</th>${own.map(({ method }) => html`<th scope="col" class="n">${titleOf(method)}</th>`)}</tr></thead>
<tbody>${ids.map((id) => {
      const best = Math.max(...scores.map((of) => of.get(id) ?? -1));
      return html`<tr><th scope="row">${id}</th>${scores.map((of) => html`<td class="n${of.get(id) === best ? ' final' : ''}">${of.has(id) ? decimals(of.get(id)!, 3) : '\u2013'}</td>`)}</tr>`;
    })}</tbody></table></div>`);
  }
  return parts.length > 0
    ? html`${parts}`
    : html`<p class="note">The runs of this study are not in the folder, or are of a classification: there are no scores of single subjects.</p>`;
}

/** Reads a study. `folders`: all that are listed, for the study's own runs. @returns what shows it in a place */
export async function readStudy(
  source: RunSource,
  folder: ListedFolder,
  folders: readonly ListedFolder[],
  name: string,
): Promise<(place: HTMLElement) => void> {
  const { path } = folder;
  const below = folders.filter((each) => isRun(each) && (path === '' || each.path.startsWith(`${path}/`)));
  const tested = new Set(below.filter((each) => hasFile(each, 'test.json')).map((each) => each.path));
  const table = hasFile(folder, 'table.csv') ? await source.text(joined(path, 'table.csv')) : undefined;
  const rows = studyTable(table ?? '');
  const modes = unique(rows.map(({ mode }) => mode));
  const figures = FIGURES.filter(([file]) => hasFile(folder, file));
  const links = ['table.md', 'table.csv', 'study.yaml', 'study.json', 'README.md'].filter((file) => hasFile(folder, file));
  const filtered = new URLSearchParams({ filter: `${path}/` });
  const state =
    rows.length > 0
      ? 'Scores on the test subjects: mean \u00b1 standard deviation over seeds. Below: difference to the baseline, with its 95 % interval and p, and p corrected by Holm for the comparisons of the table. Bold: the highest of a column.'
      : `No table yet: gvsl compare writes it when all trainings are done; ${tested.size} of those that are here are.`;
  const content = html`<h3>${name}</h3>
<p class="note">${state}${below.length > 0 && html` <a href="${addressOf('runs', filtered)}">${below.length} runs of this study</a>`}</p>
${modes.map((mode) =>
  modeTable(
    mode,
    rows.filter((row) => row.mode === mode),
  ),
)}
${figures.map(([file, title]) => html`<figure class="study-figure"><figcaption>${title}</figcaption><img src="${source.url(joined(path, file)) ?? ''}" alt="${title}"></figure>`)}
${rows.length > 0 && below.length > 0 && html`<details class="subjects"><summary>Scores of each test subject</summary><p class="note">reading ...</p></details>`}
${links.length > 0 && html`<p class="note">Files: ${links.map((file, i) => html`${i > 0 && ', '}<a href="${source.url(joined(path, file)) ?? ''}" target="_blank" rel="noopener">${file}</a>`)}</p>`}`;
  return (place) => {
    place.innerHTML = content.html;
    letScroll(place);
    const subjects = place.querySelector<HTMLDetailsElement>('.subjects');
    subjects?.addEventListener(
      'toggle',
      async () => {
        const text = subjects.querySelector('p');
        if (!subjects.open || !text) return;
        const scores = document.createElement('div');
        scores.innerHTML = (await subjectTable(source, path, rows, tested)).html;
        letScroll(scores);
        text.replaceWith(scores);
      },
      { once: true },
    );
  };
}
