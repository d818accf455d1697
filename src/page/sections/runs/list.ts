/** The table of runs: sorted, filtered, with boxes that choose what is compared. */
import { element, input, select } from '../../dom.ts';
import type { RunEntry } from './catalogue.ts';
import { scrollable } from './scroll.ts';

/** Rows that are shown at once; a filter finds the others. */
const MAX_ROWS = 300;

const COLUMNS = [
  { key: 'name', title: 'Run', of: (entry: RunEntry): string | number => entry.name },
  { key: 'method', title: 'Method', of: (entry: RunEntry) => entry.method },
  { key: 'started', title: 'Started (UTC)', of: (entry: RunEntry) => entry.startedAt ?? '' },
  { key: 'steps', title: 'Steps', of: (entry: RunEntry) => entry.step },
  { key: 'state', title: 'State', of: (entry: RunEntry) => entry.state },
  // scores of one kind next to each other, since only those compare
  { key: 'score', title: 'Last result', of: (entry: RunEntry) => entry.score?.value ?? Number.NEGATIVE_INFINITY },
] as const;

export interface ListOptions {
  /** A column's key, with '-' before it for descending. */
  readonly sort: string;
  readonly filter: string;
  readonly state: string;
}
export const DEFAULT_SORT = '-started';

export interface ListEvents {
  onSort(sort: string): void;
  /** @param alone whether this run is looked at instead of those before */
  onChoose(path: string, chosen: boolean, alone: boolean): void;
  /** The address of a run looked at alone. */
  link(path: string): string;
}

const textOf = (entry: RunEntry, key: (typeof COLUMNS)[number]['key']): string => {
  if (key === 'started') return entry.startedAt?.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*$/, '$1 $2') ?? '\u2013';
  if (key === 'steps') return entry.steps === undefined ? String(entry.step) : `${entry.step} of ${entry.steps}`;
  if (key === 'score') return entry.score ? `${entry.score.name} ${entry.score.text}` : '\u2013';
  return entry[key];
};

export class RunList {
  private readonly events: ListEvents;
  private shown = '';

  constructor(events: ListEvents) {
    this.events = events;
    scrollable(element('runs-table').parentElement!, 'list of runs');
  }

  show(entries: readonly RunEntry[], { sort, filter, state }: ListOptions, chosen: readonly string[]): void {
    input('runs-filter').value = filter;
    select('runs-state').value = state;
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = entries.filter(
      (entry) =>
        (state === '' || entry.state === state) &&
        words.every((word) => `${entry.name} ${entry.method}`.toLowerCase().includes(word)),
    );
    const descending = sort.startsWith('-');
    const column = COLUMNS.find(({ key }) => key === sort.replace('-', '')) ?? COLUMNS[0];
    const sign = descending ? -1 : 1;
    const names = new Intl.Collator('en', { numeric: true });
    const compare = (a: string | number, b: string | number): number =>
      typeof a === 'number' && typeof b === 'number' ? (a < b ? -1 : a > b ? 1 : 0) : names.compare(String(a), String(b));
    const sorted = matching.toSorted((a, b) => sign * compare(column.of(a), column.of(b)) || names.compare(a.name, b.name));
    const rows = sorted.slice(0, MAX_ROWS);
    element('runs-more').textContent =
      entries.length === 0
        ? 'No runs here.'
        : sorted.length === 0
          ? `None of ${entries.length} runs matches.`
          : `${sorted.length} of ${entries.length} runs${rows.length < sorted.length ? `; the first ${rows.length} are shown: filter for others` : ''}.`;
    // a table that says the same is left alone: whoever is in it keeps the place
    const shown = JSON.stringify([rows, sort, chosen]);
    if (shown === this.shown) return;
    this.shown = shown;
    const focused = document.activeElement?.getAttribute('data-focus');
    const table = element<HTMLTableElement>('runs-table');
    const head = document.createElement('tr');
    head.append(
      this.heading('Compare'),
      ...COLUMNS.map(({ key, title }) => {
        const cell = this.heading('');
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = title;
        button.dataset.focus = `sort ${key}`;
        const isSorted = column.key === key;
        if (isSorted) cell.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
        button.onclick = () => this.events.onSort(isSorted && !descending ? `-${key}` : key);
        cell.append(button);
        return cell;
      }),
    );
    table.tHead!.replaceChildren(head);
    table.tBodies[0].replaceChildren(...rows.map((entry) => this.row(entry, chosen.includes(entry.path))));
    if (focused) table.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  private heading(text: string): HTMLTableCellElement {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.textContent = text;
    return cell;
  }

  private row(entry: RunEntry, isChosen: boolean): HTMLTableRowElement {
    const row = document.createElement('tr');
    row.classList.toggle('chosen', isChosen);
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.checked = isChosen;
    box.setAttribute('aria-label', `compare ${entry.name}`);
    box.dataset.focus = `box ${entry.path}`;
    box.onchange = () => this.events.onChoose(entry.path, box.checked, false);
    row.insertCell().append(box);
    for (const { key } of COLUMNS) {
      const text = textOf(entry, key);
      if (key === 'name') {
        const link = document.createElement('a');
        link.href = this.events.link(entry.path);
        link.textContent = text;
        link.dataset.focus = `link ${entry.path}`;
        const name = document.createElement('th');
        name.scope = 'row';
        name.append(link);
        row.append(name);
      } else {
        const cell = row.insertCell();
        cell.textContent = text;
        if (key === 'state') cell.className = `state ${entry.state.replace(' ', '-')}`;
      }
    }
    return row;
  }
}
