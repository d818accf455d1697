/** Teaches the open model structures by strokes, and segments all open images with what it learnt. */
import * as Comlink from 'comlink';
import { formatBytes } from '../../../common/format-bytes.ts';
import { formatMl } from '../../../common/format-volume.ts';
import type { BackendName } from '../../../platform/browser/backends.ts';
import { Activity } from '../../activity.ts';
import { chosenFiles } from '../../chosen-files.ts';
import { addSection, button, element, input, say, select, table } from '../../dom.ts';
import { gzipped, modelZip, save, saveAll, uniqueName } from '../../download.ts';
import type { LabelMaps } from '../../label-maps.ts';
import { missing } from '../../missing.ts';
import { savingTrouble } from '../../saved-work.ts';
import { showTable } from '../../table.ts';
import type { OpenImage, OpenModel, Role, Workspace } from '../../workspace.ts';
import { colourOf, DrawingViewer, type Tool } from './drawing-viewer.ts';
import { forgetKept, keepSession, keepStrokes, keptChannels, keptTeaching } from './kept.ts';
import { BACKGROUND, Strokes } from './strokes.ts';
import markup from './teach.html?raw';

/** Of label maps: the codes of structures, and 0. */
const BACKGROUND_LABEL = { code: 0, name: 'background' };
/** How long after a stroke it is kept. */
const KEEP_AFTER_MS = 400;

/** For scripts and the tests. */
export interface Teaching {
  readonly viewer: DrawingViewer;
  readonly strokes: Strokes;
}

/** @param maps gets the label maps */
export function startTeach(workspace: Workspace, maps: LabelMaps): Teaching {
  const section = addSection(markup);
  const { compute } = workspace;
  const viewer = new DrawingViewer();
  const activity = new Activity(section, () => {
    learning.wanted = learning.begun;
    void compute.stopTeaching();
  });

  let strokes = new Strokes();
  /** What the pen draws. */
  let value = strokes.structures[0].code;
  let shown: OpenImage | undefined;
  /** The image that the viewer shows with its strokes: none while another one is being read. */
  let drawnOn: OpenImage | undefined;
  /** Each stroke asks for a new learning; the newest counts. */
  const learning = { wanted: 0, begun: 0, running: false, unfinished: false };
  /** The image whose features are computed: they are not begun anew for a newer stroke, since they are the same. */
  let atFeatures: OpenImage | undefined;
  /** Images that were closed while the learning under way used them. */
  const closed = new Set<string>();
  /** Why the learning under way ends before its time; empty where it was not ended, or not by what was closed. */
  let endedBy = '';
  /** Whether work of before may still be wanted, so that nothing is kept in its place. */
  let undecided = false;
  const tool = (): Tool => section.querySelector<HTMLInputElement>('[name=teach-tool]:checked')!.value as Tool;
  const size = input('teach-size');
  /** The last size that the field held rightly. */
  let penSize = Number(size.value);
  function usePen(): void {
    if (size.validity.valid) penSize = Number(size.value);
    viewer.setTool(tool(), value, penSize);
  }
  function useTool(name: Tool): void {
    section.querySelector<HTMLInputElement>(`[name=teach-tool][value=${name}]`)!.checked = true;
    usePen();
  }
  /** What the pen draws from now on. */
  function choose(code: number): void {
    value = code;
    if (tool() === 'eraser' || tool() === 'look') useTool('pen');
    else usePen();
  }
  const nameOf = (code: number): string => strokes.structures.find((one) => one.code === code)?.name ?? 'background';

  // ---- structures and their colours

  function showStructures(): void {
    const rows = [...strokes.structures, { code: BACKGROUND, name: 'background' }].map(({ code, name }) => {
      const row = document.createElement('div');
      const choice = document.createElement('label');
      const radio = document.createElement('input');
      Object.assign(radio, {
        type: 'radio',
        name: 'teach-value',
        value: String(code),
        checked: code === value,
        ariaLabel: `draw ${name}`,
      });
      radio.onchange = () => choose(code);
      const swatch = document.createElement('span');
      swatch.className = 'swatch';
      swatch.style.background = `rgb(${colourOf(code).join(' ')})`;
      choice.append(radio, swatch);
      row.append(choice);
      if (code === BACKGROUND) {
        choice.append(name);
        return row;
      }
      const field = document.createElement('input');
      Object.assign(field, { type: 'text', value: name, ariaLabel: `name of structure ${code}`, maxLength: 60, required: true });
      field.onchange = () => {
        strokes.rename(code, field.value.trim() || `structure ${code}`);
        changed(true);
      };
      const remove = document.createElement('button');
      Object.assign(remove, { type: 'button', className: 'second', textContent: '\u00d7', ariaLabel: `remove ${name}` });
      remove.disabled = strokes.structures.length === 1;
      remove.onclick = () => {
        strokes.removeStructure(code);
        changed(true);
      };
      row.append(field, remove);
      return row;
    });
    element('teach-structures').replaceChildren(...rows);
    viewer.setStructures(strokes.structures);
  }

  // ---- strokes

  /** After every change of strokes or structures. @param ofAll whether what is shown must be drawn anew: it was not the pen */
  function changed(ofAll: boolean): void {
    if (ofAll) {
      if (value !== BACKGROUND && !strokes.structures.some(({ code }) => code === value)) value = strokes.structures[0].code;
      showStructures();
      usePen();
      if (drawnOn) viewer.setStrokes(strokes.of(drawnOn.id) ?? new Uint8Array(voxelsOf(drawnOn)));
    }
    enable();
    keep();
    if (input('teach-auto').checked) learn();
  }
  /** Of whom strokes are known that teach something. */
  const isExamplePatient = ({ isExample, name }: OpenImage): boolean => isExample && name === 'patient_1';
  const voxelsOf = ({ geometry: { size } }: OpenImage): number => size[0] * size[1] * size[2];

  viewer.onDrawn = () => {
    const now = viewer.strokes();
    if (drawnOn && now && strokes.take(drawnOn.id, now)) changed(false);
  };
  function drawnHere(): number {
    let count = 0;
    for (const code of (shown && strokes.of(shown.id)) ?? []) if (code !== 0) count++;
    return count;
  }
  const voxelsText = (count: number): string => `${count} ${count === 1 ? 'voxel' : 'voxels'}`;
  function step(which: 'undo' | 'redo'): void {
    viewer.liftPen();
    if (!strokes[which]()) {
      tell(`Nothing to ${which}.`);
      return;
    }
    changed(true);
    tell(`${which === 'undo' ? 'Undone' : 'Done again'}: ${voxelsText(drawnHere())} drawn on this image.`);
  }

  // ---- the keyboard's pen

  /** Says what a key did. */
  const tell = (text: string): void => say('teach-said', text);
  function tellStroke(): void {
    const what = tool() === 'eraser' ? 'Erased' : `Stroke of ${nameOf(value)}`;
    tell(`${what}; ${voxelsText(drawnHere())} drawn on this image.`);
  }
  function putPenDown(): boolean {
    if (viewer.putPenDown()) return true;
    tell(shown ? 'Nothing draws: P chooses the pen, F the filled pen, E the eraser.' : 'Open an image to draw on it.');
    return false;
  }
  function resizePen(by: 1 | -1): void {
    if (by > 0) size.stepUp();
    else size.stepDown();
    usePen();
    tell(`Pen of ${voxelsText(penSize)}.`);
  }
  function byKey(name: Tool, said: string): void {
    useTool(name);
    tell(said);
  }
  /** What a key does in the viewer, beside the crosshair's keys. @returns whether it does anything */
  function pressed(key: string): boolean {
    if (/^[0-9]$/.test(key)) {
      const code = key === '0' ? BACKGROUND : strokes.structures[Number(key) - 1]?.code;
      if (code === undefined) tell(`There is no structure ${key}.`);
      else {
        choose(code);
        section.querySelector<HTMLInputElement>(`[name=teach-value][value="${code}"]`)!.checked = true;
        tell(`Draws ${nameOf(code)}.`);
      }
    } else if (key === ' ') {
      if (!viewer.isPenDown && !putPenDown()) return true;
      viewer.liftPen();
      tellStroke();
    } else if (key === 'enter' && !viewer.isPenDown) {
      if (putPenDown()) tell(`Pen down, ${tool() === 'eraser' ? 'erases' : `draws ${nameOf(value)}`}. Enter lifts it.`);
    } else if ((key === 'enter' || key === 'escape') && viewer.isPenDown) {
      viewer.liftPen();
      tellStroke();
    } else if (key === '+' || key === '=') resizePen(1);
    else if (key === '-') resizePen(-1);
    else if (key === 'p') byKey('pen', 'Pen.');
    else if (key === 'f') byKey('filled', 'Filled pen.');
    else if (key === 'e') byKey('eraser', 'Eraser.');
    else return false;
    return true;
  }

  function enable(): void {
    const { drawn } = strokes;
    const hasExample = workspace.images.some(isExamplePatient);
    button('teach-example').hidden = !hasExample;
    button('teach-example').disabled = !hasExample || !workspace.model?.isExample;
    button('teach-undo').disabled = !strokes.canUndo;
    button('teach-redo').disabled = !strokes.canRedo;
    button('teach-learn').disabled = missing(workspace, 'teach') !== '' || drawn.length === 0;
    button('teach-save-strokes').disabled = drawn.length === 0;
    button('teach-save-labels').disabled = maps.all.length === 0;
    button('teach-save-model').disabled = maps.all.length === 0;
  }

  // ---- learning

  /** What is missing before anything can be learnt, in words. */
  function lacking(): string | null {
    const open = missing(workspace, 'teach');
    if (open) return open;
    const values = new Set(strokes.drawn.flatMap(([, data]) => [...new Set(data)]));
    if (![...values].some((code) => code !== 0 && code !== BACKGROUND)) return 'Now draw a stroke in a structure.';
    return values.has(BACKGROUND) ? null : 'Now choose the background, and draw a stroke in it.';
  }

  /** Asks for a learning of all strokes; one that is under way is ended. */
  function learn(): void {
    const lacks = lacking();
    if (lacks) {
      activity.say(lacks);
      return;
    }
    learning.wanted++;
    if (!learning.running) void keepLearning();
    else if (!atFeatures || !workspace.images.includes(atFeatures)) void compute.stopTeaching();
  }
  /** What was closed while it is learnt from is nobody's error: the learning goes on with what is left, or ends and says so. */
  function learnWithout(gone: readonly OpenImage[], isOtherModel: boolean): void {
    // it may have noticed by itself, and ended
    if (!learning.unfinished || (gone.length === 0 && !isOtherModel)) return;
    for (const { title } of gone) closed.add(title);
    if (!isOtherModel && !lacking()) {
      learn();
      return;
    }
    const what = isOtherModel ? 'Another model was opened' : `Closed: ${[...closed].join(', ')}`;
    endedBy = `${what}; what was being learnt has ended.`;
    learning.unfinished = false;
    if (!learning.running) {
      closed.clear();
      activity.say(endText());
      return;
    }
    // newer than what is under way, and not to begin
    learning.begun = ++learning.wanted;
    void compute.stopTeaching();
  }
  /** Why nothing is learnt any more, and what to do; empty if nothing was ended. */
  const endText = (): string => endedBy && `${endedBy} ${lacking() ?? 'Draw, or press Learn, to go on.'}`;
  async function keepLearning(): Promise<void> {
    learning.running = true;
    try {
      while (learning.begun < learning.wanted && !workspace.busy) {
        learning.begun = learning.wanted;
        endedBy = '';
        await activity.run('learning ...', learnOnce);
      }
      if (endedBy) activity.say(endText());
    } finally {
      [learning.running, atFeatures] = [false, undefined];
      if (learning.begun === learning.wanted) closed.clear();
    }
  }

  /** Learns, and segments all images, the one that is shown first. @returns what was done; empty if a newer learning is wanted, or none any more */
  async function learnOnce(): Promise<string> {
    const mine = learning.begun;
    const { backend, images, model } = workspace;
    const isGone = (): boolean => workspace.model !== model || images.some((image) => !workspace.images.includes(image));
    const isOld = (): boolean => learning.wanted !== mine || isGone();
    learning.unfinished = true;
    try {
      return await learnFrom(images, backend, isOld, isGone);
    } catch (error) {
      // the worker knows no more of what was closed
      if (isGone()) return '';
      throw error;
    } finally {
      // what was closed is told after it is gone
      learning.unfinished = isGone() && learning.wanted === mine;
    }
  }
  /** @param isOld whether a newer learning is wanted @param isGone whether something that this one needs was closed */
  async function learnFrom(
    images: readonly OpenImage[],
    backend: BackendName,
    isOld: () => boolean,
    isGone: () => boolean,
  ): Promise<string> {
    const drawn = strokes.drawn.filter(([id]) => images.some((image) => image.id === id));
    const order = [...images].sort((a, b) => Number(b === shown) - Number(a === shown));
    const notes = new Set<string>();
    const featuresOf = async (ids: readonly number[]): Promise<void> => {
      for (const id of await compute.untaught(ids, backend)) {
        if (isOld()) break;
        const image = images.find((one) => one.id === id)!;
        const { title, warnings: said } = image;
        atFeatures = image;
        const { notKept, warnings } = await compute.teachFeatures(
          id,
          backend,
          Comlink.proxy((done: number, of: number, bytes: number) =>
            done === 0
              ? activity.say(`features of ${title}: ${of} windows, ${formatBytes(bytes)} of memory`)
              : activity.advance(done, of, `features of ${title}: ${done} of ${of} windows`),
          ),
        );
        if (notKept > 0)
          notes.add(`${title}: the features of ${notKept} windows do not fit into the page's memory; it takes longer`);
        for (const warning of warnings) if (!said.includes(warning)) notes.add(`${title}: ${warning}`);
      }
      atFeatures = undefined;
    };
    await featuresOf(drawn.map(([id]) => id));
    if (isOld()) return '';
    const { ms } = await compute.teach(
      drawn.map(([image, data]) => ({ image, data })),
      [BACKGROUND_LABEL, ...strokes.structures],
    );
    let segmentedMs = 0;
    for (const image of order) {
      if (isOld()) return '';
      await featuresOf([image.id]);
      if (isOld()) return '';
      activity.say(`segmenting ${image.title} ...`);
      const map = await compute.teachSegment(image.id);
      if (isGone()) return '';
      segmentedMs += map.ms;
      maps.set(image.id, map);
      if (image === drawnOn) viewer.setLabels(map.labels);
      showVolumes();
    }
    enable();
    keep();
    const many = order.length > 1 ? `${order.length} images` : 'the image';
    return [
      `learnt in ${(ms / 1000).toFixed(1)} s, segmented ${many} in ${(segmentedMs / 1000).toFixed(1)} s`,
      ...(closed.size > 0 ? [`closed meanwhile, and left out: ${[...closed].join(', ')}`] : []),
      ...notes,
    ].join('; ');
  }

  function showVolumes(): void {
    const images = workspace.images.filter(({ id }) => maps.of(id));
    const known = strokes.structures.filter(({ code }) =>
      images.some(({ id }) => maps.of(id)!.structures.some((structure) => structure.code === code)),
    );
    showTable(
      table('teach-table'),
      images.length > 0 ? ['structure', ...images.map((image) => workspace.resultNameOf(image))] : [],
      known.map(({ code, name }) => [
        name,
        ...images.map(({ id }) => {
          const found = maps.of(id)!.structures.find((structure) => structure.code === code);
          return found ? formatMl(found.volumeMl) : '';
        }),
      ]),
      known.map(({ code }) => colourOf(code)),
    );
  }

  // ---- the image that is drawn on

  async function show(image: OpenImage | undefined): Promise<void> {
    viewer.liftPen();
    [shown, drawnOn] = [image, undefined];
    if (!image) return viewer.clear();
    select('teach-image').value = String(image.id);
    if (isLookedAt) await render(image);
  }
  /** Of images that are chosen one after the other, the last one is shown, whichever is read first. */
  async function render(image: OpenImage): Promise<void> {
    const isMeant = (): boolean => image === shown;
    try {
      const empty = await compute.codesAsNifti(image.id, new Uint8Array(voxelsOf(image)));
      const file = await workspace.niftiOf(image);
      if (!isMeant() || !(await viewer.show(file, empty)) || !isMeant()) return;
    } catch (error) {
      // closed meanwhile: the worker knows no more of it
      if (workspace.images.includes(image)) throw error;
      return;
    }
    drawnOn = image;
    const drawn = strokes.of(image.id);
    if (drawn) viewer.setStrokes(drawn);
    viewer.setStructures(strokes.structures);
    viewer.setLabels(maps.of(image.id)?.labels ?? null);
    usePen();
  }
  // most images are opened for other sections: what a second viewer takes of time and memory waits until this one is near
  let isLookedAt = false;
  const nearby = new IntersectionObserver(
    (entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      nearby.disconnect();
      isLookedAt = true;
      if (shown) void render(shown);
    },
    { rootMargin: '50%' },
  );
  nearby.observe(element('teach-viewer'));

  let models: OpenModel | undefined;
  let known: readonly OpenImage[] = [];
  workspace.onChange(async (change) => {
    if (change === 'busy') {
      // what was asked for meanwhile
      if (!workspace.busy && learning.begun < learning.wanted && !learning.running) void keepLearning();
      return;
    }
    viewer.liftPen();
    const { images, first, model } = workspace;
    const ids = new Set(images.map(({ id }) => id));
    maps.keepOnly((id) => ids.has(id) && models === model);
    for (const [id] of strokes.drawn) if (!ids.has(id)) strokes.forget(id);
    activity.say(endText());
    learnWithout(
      known.filter(({ id }) => !ids.has(id)),
      models !== model,
    );
    [models, known] = [model, images];
    select('teach-image').replaceChildren(...images.map(({ id, title }) => new Option(title, String(id))));
    const still = shown && images.includes(shown) ? shown : (first ?? images[0]);
    if (still !== shown || !still) await show(still);
    else {
      select('teach-image').value = String(still.id);
      if (drawnOn === still) viewer.setLabels(maps.of(still.id)?.labels ?? null);
    }
    showVolumes();
    enable();
    keepSessionToo = true;
    // what was opened or closed since the last stroke
    keep();
  });

  // ---- keeping for a reload

  /** Two tabs would keep their work under the same names: the tab that was there first keeps its own, and the next one after it. */
  let owns = navigator.locks === undefined;
  let keepSessionToo = true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let keeping = Promise.resolve();
  /** Under what an image is kept: ids begin anew with the page. */
  const keys = new Map<number, string>();
  const keyOf = ({ id }: OpenImage): string => {
    const key = keys.get(id) ?? `${Date.now()}-${id}`;
    keys.set(id, key);
    return key;
  };
  function keep(): void {
    clearTimeout(timer);
    if (undecided) return;
    // one after the other: an older keeping that ended later would take the newer one's place
    timer = setTimeout(() => {
      keeping = keeping.then(keepNow);
    }, KEEP_AFTER_MS);
  }
  const roleOf = (image: OpenImage): Role | null =>
    image === workspace.first ? 'first' : image === workspace.second ? 'second' : null;
  async function keepNow(): Promise<void> {
    const { model } = workspace;
    if (undecided || !model || !(strokes.canUndo || strokes.canRedo || strokes.drawn.length > 0)) return;
    if (!owns) {
      say('teach-saving', 'Another tab with this page keeps its work: what is drawn here is not kept for a reload.');
      return;
    }
    const { images: all } = workspace;
    try {
      if (keepSessionToo) {
        const worth = (image: OpenImage): number =>
          Number(strokes.of(image.id) !== undefined) * 2 + Number(roleOf(image) !== null);
        const images = [...all].sort((a, b) => worth(b) - worth(a));
        keepSessionToo = false;
        const kept = await keepSession(
          images.map((image) => ({
            key: keyOf(image),
            title: image.title,
            name: image.name,
            role: roleOf(image),
            isExample: image.isExample,
          })),
          model.isExample ? null : await compute.openModelFiles(),
          async (key) => {
            const image = images.find((one) => keyOf(one) === key)!;
            const files = await compute.channelFiles(image.id);
            return Promise.all(
              files.map(async ({ label, file }) => ({
                label,
                file: new Blob([await gzipped(new Uint8Array(await file.arrayBuffer()))]),
              })),
            );
          },
        );
        const left = kept.filter(({ isKept }) => !isKept).map(({ title }) => title);
        if (left.length > 0)
          say(
            'teach-saving',
            `This browser has no room left to keep these images for a reload: ${left.join(', ')}. Their strokes are kept.`,
            true,
          );
      }
      await keepStrokes({
        savedAt: new Date(),
        structures: strokes.structures,
        strokes: workspace.images.flatMap((image) => {
          const data = strokes.of(image.id);
          return data ? [{ key: keyOf(image), data }] : [];
        }),
        taught: await compute.taughtHead(),
      });
    } catch (error) {
      keepSessionToo = true;
      // closed meanwhile: those that are left are kept next
      if (all.some((image) => !workspace.images.includes(image))) keep();
      else say('teach-saving', savingTrouble(error), true);
    }
  }

  async function offerKept(): Promise<void> {
    const kept = await keptTeaching();
    if (!kept) return;
    undecided = true;
    const drawn = kept.strokes.filter(({ data }) => data.some((code) => code !== 0)).length;
    const left = kept.images.filter(({ isKept }) => !isKept).map(({ title }) => title);
    say(
      'teach-kept-text',
      [
        `Of ${kept.savedAt.toLocaleString()}: ${kept.structures.map(({ name }) => name).join(', ')}; strokes on ${drawn} of ${kept.images.length} images.`,
        ...(left.length > 0
          ? [`Too large to be kept: ${left.join(', ')}. Open them before you continue: strokes are kept.`]
          : []),
        'What you draw now gives way to it if you continue, and is kept if you discard it.',
      ].join(' '),
    );
    element('teach-kept').hidden = false;
    const decided = (): void => {
      undecided = false;
      element('teach-kept').hidden = true;
    };
    button('teach-discard').onclick = async () => {
      await forgetKept();
      decided();
      keepSessionToo = true;
      keep();
      input('teach-auto').focus();
    };
    button('teach-continue').onclick = () =>
      workspace.alone(async () => {
        try {
          if (!kept.model && !workspace.model?.isExample) throw new Error('open the example first: this work was of its model');
          const images = kept.images.filter(({ isKept }) => isKept);
          const files = [];
          for (const image of images) files.push({ ...image, channels: await keptChannels(image) });
          if (kept.model) await workspace.openModel(kept.model);
          // those that were opened again by hand, each once
          const taken = new Set<OpenImage>();
          const byKey = new Map(
            kept.images.flatMap(({ key, title, isKept }) => {
              const again = isKept ? undefined : workspace.images.find((image) => image.title === title && !taken.has(image));
              if (!again) return [];
              taken.add(again);
              return [[key, again] as const];
            }),
          );
          for (const [k, image] of (await workspace.restoreImages(files)).entries()) byKey.set(images[k].key, image);
          for (const [key, { id }] of byKey) keys.set(id, key);
          strokes = new Strokes(kept.structures);
          const lost: string[] = [];
          for (const { key, data } of kept.strokes) {
            const image = byKey.get(key);
            if (image && data.length === voxelsOf(image)) strokes.take(image.id, data);
            else lost.push(kept.images.find((one) => one.key === key)?.title ?? 'an image');
          }
          value = kept.structures[0]?.code ?? BACKGROUND;
          if (kept.taught) await compute.useTaught(kept.taught, workspace.backend);
          shown = undefined;
          await show(workspace.images.find(({ id }) => strokes.of(id)) ?? workspace.first);
          decided();
          changed(true);
          say(
            'teach-saving',
            lost.length > 0 ? `Continued without the strokes on ${lost.join(', ')}.` : 'Continued.',
            lost.length > 0,
          );
        } catch (error) {
          say('teach-kept-text', `It cannot be continued: ${(error as Error).message}`, true);
        }
      });
  }

  // ---- files

  /** Says what was saved, or why not. */
  const saving = (work: () => Promise<string>) => async (): Promise<void> => {
    try {
      say('teach-saving', await work());
    } catch (error) {
      say('teach-saving', (error as Error).message, true);
    }
  };
  const niftis = async (what: string, of: readonly (readonly [number, Uint8Array])[]): Promise<string> => {
    const files: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (const [id, codes] of of) {
      const image = workspace.images.find((one) => one.id === id);
      if (image)
        files[uniqueName(files, `${workspace.resultNameOf(image)}_${what}`, '.nii.gz')] = await gzipped(
          await compute.codesAsNifti(id, codes),
        );
    }
    return `saved ${await saveAll(files, `${what}.zip`)}`;
  };
  button('teach-save-labels').onclick = saving(() =>
    niftis(
      'labels',
      maps.all.map(([id, { labels }]) => [id, labels as Uint8Array]),
    ),
  );
  button('teach-save-strokes').onclick = saving(() => niftis('strokes', strokes.drawn));
  button('teach-save-model').onclick = saving(async () => {
    const taught = await compute.taughtModel();
    if (!taught) throw new Error('nothing was learnt yet: draw a stroke in each structure and one in the background first');
    save(await modelZip(taught, 'taught'), 'taught.zip');
    return 'saved taught.zip: unpack it, and run gvsl segment --model taught IMAGE';
  });
  input('teach-open').onchange = saving(async () => {
    const files = chosenFiles(input('teach-open').files ?? []);
    input('teach-open').value = '';
    const image = shown;
    if (files.length === 0 || !image) return '';
    const { labels, refused } = await compute.openLabels(files, [image]);
    // another image may be looked at by now
    if (!workspace.images.includes(image)) return '';
    if (labels.length === 0) throw new Error(refused.join('; '));
    const [{ name, codes, warnings }] = labels;
    if (!(codes instanceof Uint8Array))
      throw new Error(
        `${name}: its codes are not all from 0 to ${BACKGROUND}: expected strokes that were saved here, or a label map`,
      );
    strokes.load(image.id, codes);
    changed(true);
    return [`opened ${name}`, ...warnings, ...refused].join('; ');
  });

  // ---- controls

  for (const one of section.querySelectorAll<HTMLInputElement>('[name=teach-tool]')) one.onchange = usePen;
  size.onchange = () => size.reportValidity() && usePen();
  select('teach-image').onchange = () => void show(workspace.images.find(({ id }) => String(id) === select('teach-image').value));
  button('teach-add').onclick = () => {
    value = strokes.addStructure().code;
    changed(true);
    element('teach-structures').querySelector<HTMLInputElement>('div:nth-last-child(2) [type=text]')?.select();
  };
  button('teach-example').onclick = () =>
    workspace.alone(async () => {
      const example = await compute.exampleStrokes();
      const image = workspace.images.find(isExamplePatient);
      if (!image || example.data.length !== voxelsOf(image)) return;
      if (shown !== image) await show(image);
      strokes.load(image.id, example.data);
      for (const { code, name } of example.structures) strokes.rename(code, name);
      changed(true);
    });
  button('teach-undo').onclick = () => step('undo');
  button('teach-redo').onclick = () => step('redo');
  button('teach-learn').onclick = learn;
  input('teach-overlay').oninput = () => viewer.setOpacity(Number(input('teach-overlay').value));
  section.addEventListener(
    'keydown',
    (event) => {
      const typing = event.target instanceof HTMLInputElement && event.target.type === 'text';
      const key = event.key.toLowerCase();
      const isCommand = event.ctrlKey || event.metaKey;
      if (isCommand && !typing && (key === 'z' || key === 'y')) step(key === 'y' || event.shiftKey ? 'redo' : 'undo');
      else if (isCommand || event.altKey || event.target !== element('teach-viewer') || !pressed(key)) return;
      event.preventDefault();
      // the viewer has letters of its own
      event.stopPropagation();
    },
    { capture: true },
  );

  viewer.attach(element<HTMLCanvasElement>('teach-viewer'), element('teach-viewer-text'), element('teach-place'));
  showStructures();
  usePen();
  if (owns) void offerKept();
  navigator.locks
    ?.request('gvsl: kept work', async () => {
      if (!owns) say('teach-saving', '');
      owns = true;
      await offerKept();
      keep();
      // until the tab is closed
      await new Promise(() => {});
    })
    // refused, as the storage is then, whose trouble is said when something is to be kept
    .catch(() => {
      owns = true;
    });
  return {
    viewer,
    get strokes() {
      return strokes;
    },
  };
}
