/** Runs and studies: a list of them, and those that are looked at. Everything that is chosen here stands in the address. */
import { counted } from '../../../common/counted.ts';
import type { RunListing } from '../../../common/run-listing.ts';
import { addressOf, onAddress, writeAddress } from '../../address.ts';
import { chosenFiles, isModel, type NamedFile, noRuns, takeDropped, topOf } from '../../chosen-files.ts';
import { addSection, button, element, input, say, select } from '../../dom.ts';
import { Catalogue, isStudy, type RunEntry } from './catalogue.ts';
import { DEFAULT_SORT, RunList } from './list.ts';
import markup from './runs.html?raw';
import './runs.css';
import { areRuns, chosenRuns, type RunSource, servedRuns } from './source.ts';
import { readStudy } from './study.ts';
import { MAX_COMPARED, RunsView, type ViewOptions } from './view.ts';

const SECTION = 'runs';
/** How often a run that is looked at is asked for more; never so often that most of the time goes into it. */
const FOLLOW_MS = 2000;
const BUSY_FACTOR = 10;
/** How often the list is asked for. */
const LIST_MS = 15_000;
/** The folder itself, where it is a run or a study: an address needs some name for it. */
const ROOT = '.';

const without = (options: URLSearchParams, ...names: readonly string[]): void => {
  for (const name of names) options.delete(name);
};
const whole = (text: string | null): number | undefined =>
  text !== null && /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;

function viewOptions(options: URLSearchParams): ViewOptions {
  const charts = options.get('charts');
  const scale = options.get('scale');
  return {
    charts: charts === 'main' || charts === 'all' ? charts : undefined,
    smooth: options.get('smooth') !== 'no',
    scale: scale === 'linear' || scale === 'logarithmic' ? scale : 'auto',
    from: whole(options.get('from')),
    to: whole(options.get('to')),
    hidden: new Set(options.getAll('hide')),
    step: whole(options.get('step')),
  };
}

/** Puts the section on the page; it reads nothing before it is looked at. */
export function startRuns(): void {
  addSection(markup);
  const catalogue = new Map<RunSource, Catalogue>();
  let source: RunSource | undefined;
  let listing: RunListing | undefined;
  let entries: readonly RunEntry[] = [];
  let options = new URLSearchParams();
  let isLooked = false;
  let hasAsked = false;
  let study = '';
  /** Counts what was asked to be shown: what is read for an older choice is not shown over a newer one. */
  let asked = 0;

  /** Changes what is chosen. @param replace for options of a view */
  const set = (change: (options: URLSearchParams) => void, replace = true): void => {
    const next = new URLSearchParams(options);
    change(next);
    writeAddress(SECTION, next, replace);
    options = next;
    render();
  };
  const setOne = (name: string, value: string | undefined, replace = true): void =>
    set((next) => (value === undefined || value === '' ? next.delete(name) : next.set(name, value)), replace);

  const list = new RunList({
    onSort: (sort) => setOne('sort', sort === DEFAULT_SORT ? undefined : sort),
    onChoose: (path, chosen) =>
      set((next) => {
        const others = next.getAll('run').filter((each) => each !== (path || ROOT));
        without(next, 'run', 'study');
        for (const each of chosen ? [...others, path || ROOT].slice(-MAX_COMPARED) : others) next.append('run', each);
      }, false),
    link: (path) => {
      const alone = new URLSearchParams();
      for (const name of ['sort', 'filter', 'state']) if (options.has(name)) alone.set(name, options.get(name)!);
      alone.set('run', path || ROOT);
      return addressOf(SECTION, alone);
    },
  });
  const view = new RunsView({
    onZoom: (from, to) =>
      set((next) => {
        without(next, 'from', 'to');
        if (from !== undefined && to !== undefined) {
          next.set('from', String(Math.max(0, Math.floor(from))));
          next.set('to', String(Math.ceil(to)));
        }
      }),
    onToggle: (label) =>
      set((next) => {
        const hidden = next.getAll('hide');
        next.delete('hide');
        for (const each of hidden.includes(label) ? hidden.filter((other) => other !== label) : [...hidden, label])
          next.append('hide', each);
      }),
    onStep: (step) => setOne('step', step === undefined ? undefined : String(step)),
  });

  const chosenPaths = (): string[] => options.getAll('run').map((path) => (path === ROOT ? '' : path));
  const failed = (error: unknown): undefined => {
    const advice = source?.isLive === false ? 'Choose the folder again' : 'The page tries again; is gvsl page still running?';
    say('runs-text', `${(error as Error).message}. ${advice}`, true);
    return undefined;
  };

  function showList(): void {
    const choice = {
      sort: options.get('sort') ?? DEFAULT_SORT,
      filter: options.get('filter') ?? '',
      state: options.get('state') ?? '',
    };
    list.show(entries, choice, chosenPaths());
  }

  function showStudies(): void {
    const studies = listing!.folders.filter(isStudy);
    element('studies').hidden = studies.length === 0;
    const shown = studies.map(({ path }) => path);
    const place = element('studies-list');
    const chosen = options.get('study');
    const mark = JSON.stringify([shown, chosen]);
    if (place.dataset.shown === mark) return;
    place.dataset.shown = mark;
    place.replaceChildren(
      ...shown.map((path) => {
        const link = document.createElement('a');
        link.href = addressOf(SECTION, new URLSearchParams({ study: path || ROOT }));
        link.textContent = path || listing!.name;
        if (chosen === (path || ROOT)) link.setAttribute('aria-current', 'true');
        const item = document.createElement('li');
        item.append(link);
        return item;
      }),
    );
  }

  async function showChosen(): Promise<void> {
    const mine = ++asked;
    if (!source || !listing) return;
    const path = options.get('study');
    const folder = listing.folders.find((each) => (each.path || ROOT) === path && isStudy(each));
    element('study-view').hidden = !folder;
    const mark = JSON.stringify(folder);
    if (folder && mark !== study) {
      study = '';
      const show = await readStudy(source, folder, listing.folders, folder.path || listing.name);
      if (mine !== asked) return;
      show(element('study-view'));
    }
    study = folder ? mark : '';
    const chosen = chosenPaths();
    const found = chosen.flatMap((each) => entries.find((entry) => entry.path === each) ?? []);
    const missing = chosen.filter((each) => !found.some((entry) => entry.path === each));
    const gone = [...missing, ...(path !== null && !folder ? [path] : [])];
    if (gone.length > 0 && entries.length > 0) say('runs-text', `Not in this folder: ${gone.join(', ')}.`, true);
    await view.show(source, folder ? [] : found, viewOptions(options));
  }

  function render(): void {
    if (!isLooked || !listing) return;
    const { smooth, scale, from, to } = viewOptions(options);
    input('runs-smooth').checked = smooth;
    select('runs-scale').value = scale;
    input('runs-from').value = from === undefined ? '' : String(from);
    input('runs-to').value = to === undefined ? '' : String(to);
    showList();
    showStudies();
    const shown = showChosen();
    const mine = asked;
    // of what is no longer chosen nothing is said
    shown.catch((error) => (mine === asked ? failed(error) : undefined));
  }

  async function relist(): Promise<RunListing | undefined> {
    if (!source) return undefined;
    const from = source;
    const found = await from.list();
    if (from !== source) return undefined;
    listing = found;
    if (!catalogue.has(from)) catalogue.set(from, new Catalogue());
    element('runs-lists').hidden = false;
    const reading = await catalogue.get(from)!.entries(from, found.folders, found.name, (some, of) => {
      if (from !== source || entries.length >= some.length) return;
      entries = some;
      say('runs-text', `${found.name}: reading ${some.length} of ${of} runs ...`);
      showList();
    });
    if (from !== source) return undefined;
    entries = reading;
    const studies = found.folders.filter(isStudy).length;
    say(
      'runs-text',
      [
        `${found.name}: ${counted(entries.length, 'run')}${studies > 0 ? `, ${studies} stud${studies === 1 ? 'y' : 'ies'}` : ''}`,
        ...(found.left === null ? [] : [found.left]),
      ].join('; '),
    );
    render();
    return found;
  }

  /** Another folder: nothing of the one before stays. */
  async function take(next: RunSource): Promise<void> {
    asked++;
    study = '';
    source = next;
    entries = [];
    listing = undefined;
    const found = await relist().catch(failed);
    // a folder that is a run, or a study with its runs, is meant itself; so is the only one in a folder
    const folders = found?.folders ?? [];
    const meant = folders.find(({ path }) => path === '') ?? (folders.length === 1 ? folders[0] : undefined);
    if (meant && !options.has('run') && !options.has('study')) setOne(isStudy(meant) ? 'study' : 'run', meant.path || ROOT);
  }

  async function takeChosen(files: readonly NamedFile[]): Promise<void> {
    const runs = chosenRuns(files);
    if ((await runs.list()).folders.length > 0) await take(runs);
    else say('runs-text', noRuns(files.map(({ path }) => path)), true);
  }

  async function look(): Promise<void> {
    if (hasAsked) return render();
    hasAsked = true;
    say('runs-text', 'looking for runs ...');
    const served = await servedRuns();
    element('runs-choose').hidden = served !== undefined;
    element('runs-choose-text').hidden = served !== undefined;
    say('runs-text', '');
    // a folder that was chosen or dropped meanwhile is meant
    if (served && !source) await take(served);
  }

  input('runs-folder').onchange = () => {
    const files = chosenFiles(input('runs-folder').files ?? []);
    void takeChosen(files);
  };
  // a run has a model too: dropped here its curves are meant, elsewhere the model
  takeDropped(
    (files) => areRuns(files) && (isLooked || !isModel(files)),
    ({ files }) => {
      hasAsked = true;
      const isOne = new Set(files.map(({ path }) => topOf(path))).size === 1;
      location.hash = `#${SECTION}`;
      void take(chosenRuns(isOne ? files : files.map(({ path, file }) => ({ path: `dropped/${path}`, file }))));
    },
  );
  input('runs-filter').oninput = () => setOne('filter', input('runs-filter').value);
  select('runs-state').onchange = () => setOne('state', select('runs-state').value);
  button('runs-clear').onclick = () => set((next) => without(next, 'run', 'study', 'hide', 'from', 'to', 'step'), false);
  select('runs-charts').onchange = () => setOne('charts', select('runs-charts').value);
  input('runs-smooth').onchange = () => setOne('smooth', input('runs-smooth').checked ? undefined : 'no');
  select('runs-scale').onchange = () =>
    setOne('scale', select('runs-scale').value === 'auto' ? undefined : select('runs-scale').value);
  input('runs-from').onchange = () => setOne('from', input('runs-from').value);
  input('runs-to').onchange = () => setOne('to', input('runs-to').value);
  button('runs-whole').onclick = () => set((next) => without(next, 'from', 'to'));

  onAddress((address) => {
    isLooked = address.section === SECTION;
    if (!isLooked) return;
    options = address.options;
    void look();
  });

  let listedMs = performance.now();
  const follow = async (): Promise<void> => {
    const startedMs = performance.now();
    if (isLooked && source?.isLive && !document.hidden)
      try {
        if (startedMs - listedMs > LIST_MS) {
          await relist();
          listedMs = performance.now();
        } else await view.update();
      } catch (error) {
        failed(error);
      }
    const tookMs = performance.now() - startedMs;
    setTimeout(follow, Math.max(FOLLOW_MS, BUSY_FACTOR * tookMs));
  };
  setTimeout(follow, FOLLOW_MS);
}
