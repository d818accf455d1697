/** The runs that are looked at: one with everything that its report has, or several in the same charts. Follows those that are being trained. */
import { counted } from '../../../common/counted.ts';
import { formatDuration } from '../../../common/format-duration.ts';
import { methodDescribed, methodNameOf } from '../../../methods/descriptions.ts';
import { type Curves, curvesOf } from '../../../report/charts.ts';
import { short } from '../../../report/figures.ts';
import { html } from '../../../report/html.ts';
import { pictureTitle } from '../../../report/method-page.ts';
import { namedPictures } from '../../../report/pictures.ts';
import { type RunData, runData, valueAt } from '../../../report/run-data.ts';
import { facts, PANEL_TITLES, resultSections } from '../../../report/sections.ts';
import { CONTENT, DARK, LIGHT } from '../../../report/style.ts';
import { element, input, select } from '../../dom.ts';
import { joined, type RunEntry } from './catalogue.ts';
import { type ChartLine, type ChartOptions, type ChartSpec, RunChart } from './chart.ts';
import { RunLog } from './log.ts';
import { letScroll } from './scroll.ts';
import type { RunSource } from './source.ts';

/** More lines than these nobody tells apart. */
export const MAX_COMPARED = 12;
const COLOURS = 6;
/** What comparing begins with; the other charts are one choice away. */
const MAIN = ['Loss: total', 'Learning rate'];
const MINOR_STAGES = ['before', 'after affine'];

export interface ViewOptions extends ChartOptions {
  readonly charts: 'main' | 'all' | undefined;
  /** Of the pictures; undefined: the last that has some. */
  readonly step: number | undefined;
}

export interface ViewEvents {
  onZoom(from: number | undefined, to: number | undefined): void;
  onToggle(label: string): void;
  onStep(step: number | undefined): void;
}

/** Of a run's folder, besides its log. */
const TEXTS: readonly string[] = ['run.json', 'evaluation.json', 'validation.json', 'test.json'];

/** A run that is looked at. */
interface Looked {
  readonly path: string;
  readonly log: RunLog;
  data: RunData | undefined;
  /** Names in its folder, and in that of its pictures. */
  files: readonly string[];
  pictures: readonly string[];
  /** Its evaluations and other texts when they were last read. */
  mark: string;
}

/** The report's styles, for its parts on this page alone. */
function addReportStyle(): void {
  const sheet = document.createElement('style');
  const inside = '#runs-view, #study-view';
  sheet.textContent = `${inside} { ${LIGHT} } @media (prefers-color-scheme: dark) { ${inside} { ${DARK} } } ${inside} { ${CONTENT} }`;
  document.head.append(sheet);
}

/** A name for each run that is as short as tells them apart: without the folders that all have in common. */
function shortNames(names: readonly string[]): string[] {
  const parts = names.map((name) => name.split('/'));
  const most = Math.min(...parts.map(({ length }) => length)) - 1;
  let same = 0;
  while (same < most && parts.every((each) => each[same] === parts[0][same])) same++;
  return parts.map((each) => each.slice(same).join('/'));
}

const ofRun = ({ title, unit, logarithmic, noisy, summary, steps, lines }: Curves): ChartSpec => ({
  ...{ title, unit, logarithmic, noisy, summary },
  lines: lines.map(({ label, colour, values }): ChartLine => ({ label, colour, steps, values })),
});

/** A chart for each thing that was logged, a line in it for each run. */
function compared(runs: readonly RunData[], names: readonly string[], all: boolean): ChartSpec[] {
  const charts = new Map<string, { curves: Curves; lines: ChartLine[]; said: string[] }>();
  runs.forEach((run, k) => {
    const { evaluation, training } = curvesOf(run);
    for (const curves of [...evaluation, ...training])
      for (const { label, values } of curves.lines) {
        const title = curves.lines.length > 1 || curves.title === 'Loss' ? `${curves.title}: ${label}` : curves.title;
        const isMain = evaluation.includes(curves) ? !MINOR_STAGES.includes(label) : MAIN.includes(title);
        if (!all && !isMain) continue;
        const chart = charts.get(title) ?? { curves, lines: [], said: [] };
        charts.set(title, chart);
        const known = values.filter((value) => value !== null);
        chart.lines.push({
          label: names[k],
          colour: `--series-${(k % COLOURS) + 1}`,
          dashed: k >= COLOURS,
          steps: curves.steps,
          values,
        });
        chart.said.push(`${names[k]} ${short(known[0])} \u2192 ${short(known.at(-1)!)}`);
      }
  });
  return [...charts].map(([title, { curves, lines, said }]) => ({
    ...{ title, unit: curves.unit, logarithmic: curves.logarithmic, noisy: curves.noisy, lines },
    summary: said.join('; '),
  }));
}

export class RunsView {
  private readonly events: ViewEvents;
  private readonly looked = new Map<string, Looked>();
  private readonly charts = new Map<string, RunChart>();
  private source: RunSource | undefined;
  private entries: readonly RunEntry[] = [];
  private options: ViewOptions | undefined;
  /** What the parts that are markup were made from. */
  private reported = '';

  constructor(events: ViewEvents) {
    this.events = events;
    addReportStyle();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const chart of this.charts.values()) chart.recolour();
    });
    input('runs-step').oninput = () => {
      const steps = this.pictureSteps();
      const at = Number(input('runs-step').value);
      this.events.onStep(at === steps.length - 1 ? undefined : steps[at]);
    };
  }

  /** Shows runs of a source; none hides the view. */
  async show(source: RunSource, entries: readonly RunEntry[], options: ViewOptions): Promise<void> {
    if (source !== this.source) this.looked.clear();
    this.source = source;
    this.entries = entries;
    this.options = options;
    for (const path of this.looked.keys()) if (!entries.some((entry) => entry.path === path)) this.looked.delete(path);
    element('runs-view').hidden = entries.length === 0;
    if (entries.some(({ path }) => !this.looked.has(path))) element('runs-status').textContent = 'reading ...';
    await this.update(true);
  }

  /** Reads what is new, and shows it. @param always even if nothing is */
  async update(always = false): Promise<void> {
    const { source, entries } = this;
    if (!source || entries.length === 0) return;
    const changed = await Promise.all(entries.map(({ path }) => this.read(source, path)));
    // meanwhile others may have been chosen
    if (source === this.source && entries === this.entries && (always || changed.includes(true))) this.draw();
  }

  private async read(source: RunSource, path: string): Promise<boolean> {
    const looked = this.looked.get(path) ?? {
      ...{ path, log: new RunLog(source, path), data: undefined, files: [], pictures: [], mark: '' },
    };
    this.looked.set(path, looked);
    const found = await source.files(path);
    const files = found.map(({ name }) => name);
    // a run that has not begun has no log yet; one whose folder is gone has one no longer
    const hasLog = files.includes('metrics.jsonl') || looked.log.records.length > 0;
    const changed = hasLog && (await looked.log.update());
    const { records } = looked.log;
    const evaluations = records.reduce((count, { kind }) => count + Number(kind === 'evaluation'), 0);
    // texts are written after the log's line that they belong to, and a test after the log's last one
    const mark = JSON.stringify([evaluations, found.filter(({ name }) => TEXTS.includes(name))]);
    if (looked.data && !changed && mark === looked.mark) return false;
    if (mark !== looked.mark) {
      const [run, evaluation, validation, test] = await Promise.all(
        TEXTS.map(async (name) => (files.includes(name) ? source.text(joined(path, name)) : undefined)),
      );
      looked.pictures = (await source.files(joined(path, 'pictures'))).map(({ name }) => name);
      looked.files = files;
      looked.data = runData(path, { run, evaluation, validation, test }, records);
      looked.mark = mark;
    } else if (looked.data)
      looked.data = {
        ...looked.data,
        steps: records.filter((record) => record.kind === 'step'),
        evaluations: records.filter((record) => record.kind === 'evaluation'),
      };
    return true;
  }

  private draw(): void {
    const options = this.options!;
    const runs = this.entries.flatMap(({ path }) => this.looked.get(path)?.data ?? []);
    if (runs.length < this.entries.length) return;
    const names = shortNames(this.entries.map(({ name }) => name));
    const isOne = runs.length === 1;
    const charts = options.charts ?? (isOne ? 'all' : 'main');
    select('runs-charts').value = charts;
    element('runs-title').textContent = isOne ? this.entries[0].name : `${runs.length} runs compared`;
    element('runs-status').textContent = this.status(runs, names);
    const specs = isOne ? this.ofOne(runs[0], charts === 'all') : compared(runs, names, charts === 'all');
    this.showCharts(specs, options);
    if (isOne) this.showReport(runs[0]);
    else element('runs-report').replaceChildren();
    this.showPictures(isOne ? runs[0] : undefined);
  }

  private ofOne(run: RunData, all: boolean): ChartSpec[] {
    const { evaluation, training } = curvesOf(run);
    return [...evaluation, ...training.filter(({ title }) => all || ['Loss', 'Learning rate'].includes(title))].map(ofRun);
  }

  private status(runs: readonly RunData[], names: readonly string[]): string {
    return runs
      .flatMap(({ run, steps, evaluations }, k) => {
        const { state, path } = this.entries[k];
        const step = Math.max(steps.at(-1)?.step ?? 0, evaluations.at(-1)?.step ?? 0);
        const planned = valueAt(run.configuration, 'steps');
        const seconds = steps.slice(-50).flatMap(({ stepSeconds }) => stepSeconds ?? []);
        const typical = seconds.toSorted((a, b) => a - b)[seconds.length >> 1];
        const left = state === 'running' && typeof planned === 'number' && typical !== undefined ? (planned - step) * typical : 0;
        const { damaged } = this.looked.get(path)!.log;
        // of several, those of which there is something to say; the list has the others' states
        if (runs.length > 1 && state !== 'running' && steps.length > 1 && damaged === 0) return [];
        return [
          runs.length > 1 && `${names[k]}:`,
          `${state}, step ${step}${typeof planned === 'number' ? ` of ${planned}` : ''}`,
          left > 0 && `(about ${formatDuration(1000 * left)} left)`,
          steps.length < 2 && 'no curves yet: the log has fewer than two steps',
          damaged > 0 &&
            `\u2013 ${counted(damaged, 'line')} of its log cannot be read and ${damaged === 1 ? 'is' : 'are'} left out`,
        ]
          .filter(Boolean)
          .join(' ');
      })
      .join('; ');
  }

  private showCharts(specs: readonly ChartSpec[], options: ChartOptions): void {
    const place = element('runs-drawn');
    for (const [title, chart] of this.charts)
      if (!specs.some((spec) => spec.title === title)) {
        chart.close();
        this.charts.delete(title);
      }
    specs.forEach((spec, i) => {
      const chart = this.charts.get(spec.title) ?? new RunChart(this.events);
      this.charts.set(spec.title, chart);
      // in their order; one that stands there already is not moved, since that would take the keyboard from it
      if (place.children[i] !== chart.figure) place.insertBefore(chart.figure, place.children[i] ?? null);
      chart.show(spec, options);
    });
  }

  private showReport(data: RunData): void {
    const { run, evaluations } = data;
    const place = element('runs-report');
    const mark = JSON.stringify([data.folder, evaluations.at(-1), this.looked.get(data.folder)!.mark]);
    const name = methodNameOf(run.method, run.configuration);
    const told = facts(data).html;
    if (mark === this.reported && place.firstElementChild) {
      place.firstElementChild.outerHTML = told;
      return;
    }
    this.reported = mark;
    const results = resultSections({
      ...{ data, evaluation: evaluations.at(-1), shown: null, shownSubjects: [], shownPictures: [], labelNames: new Map() },
      method: run.task ? undefined : methodDescribed(name),
    });
    const known = this.looked.get(data.folder)!.files;
    const files = ['report.html', 'metrics.jsonl', 'run.json', 'evaluation.json', 'validation.json', 'test.json'].filter((file) =>
      known.includes(file),
    );
    const link = (file: string) =>
      html` <a href="${this.source!.url(joined(data.folder, file)) ?? ''}" target="_blank" rel="noopener">${file}</a>`;
    place.innerHTML = html`<dl class="facts"></dl>${results}
${run.configuration && html`<details><summary>Configuration</summary><pre><code>${JSON.stringify(run.configuration, null, 2)}</code></pre></details>`}
<p class="note">Files:${files.map(link)}</p>`.html;
    place.firstElementChild!.outerHTML = told;
    letScroll(place);
  }

  private pictureSteps(): number[] {
    const names = this.looked.get(this.entries[0]?.path)?.pictures ?? [];
    return [...new Set(namedPictures(names).map(({ step }) => step))].sort((a, b) => a - b);
  }

  /** What the picture of a name shows: its title, and what its columns are. */
  private caption({ run, details, taskDetails }: RunData, tag: string): { title: string; panels: readonly string[] } {
    const [, kind, index] = /^(pair|subject|heldOut)-(\d+)$/.exec(tag) ?? [];
    const k = Number(index);
    if (kind === 'pair') {
      const pair = details?.pairs[k];
      const panels = (details?.panels ?? Object.keys(PANEL_TITLES)).map((panel) => PANEL_TITLES[panel] ?? panel);
      return { title: pair ? `${pair.moving} to ${pair.fixed}` : `Pair ${k + 1}`, panels };
    }
    if (kind === 'subject')
      return { title: taskDetails?.subjects[k]?.id ?? `Subject ${k + 1}`, panels: ['Image', 'Reference', 'Prediction'] };
    const panels = methodDescribed(methodNameOf(run.method, run.configuration))?.panels ?? [];
    return { title: pictureTitle(tag), panels: kind === 'heldOut' ? panels : [] };
  }

  private showPictures(data: RunData | undefined): void {
    const steps = data ? this.pictureSteps() : [];
    element('runs-pictures').hidden = steps.length === 0;
    if (!data || steps.length === 0) return;
    const { step = steps.at(-1)! } = this.options!;
    const at = steps.includes(step) ? steps.indexOf(step) : steps.length - 1;
    const slider = input('runs-step');
    slider.max = String(steps.length - 1);
    slider.value = String(at);
    slider.disabled = steps.length === 1;
    slider.setAttribute('aria-valuetext', `step ${steps[at]}`);
    element('runs-step-text').textContent = `${steps[at]}${at === steps.length - 1 ? ' (last)' : ''}`;
    const place = element('runs-shown');
    const shown = namedPictures(this.looked.get(data.folder)!.pictures)
      .filter((picture) => picture.step === steps[at])
      .toSorted((a, b) => a.tag.localeCompare(b.tag, 'en', { numeric: true }));
    const mark = JSON.stringify([data.folder, shown]);
    if (place.dataset.shown === mark) return;
    place.dataset.shown = mark;
    place.innerHTML = html`${shown.map(({ name, tag }) => {
      const { title, panels } = this.caption(data, tag);
      return html`<figure class="pair"><h4>${title}</h4><div class="scroll">${panels.length > 0 && html`<div class="panels">${panels.map((panel) => html`<span>${panel}</span>`)}</div>`}<div class="strip"><img src="${this.source!.url(joined(data.folder, `pictures/${name}`)) ?? ''}" alt="${title}, after step ${steps[at]}${panels.length > 0 && `: ${panels.join(', ')}`}"></div></div></figure>`;
    })}`.html;
    letScroll(place);
  }
}
