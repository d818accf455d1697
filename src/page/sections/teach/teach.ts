/** Teaches the open model structures by strokes, and segments all open images with what it learnt. */
import { formatMl } from '../../../common/format-volume.ts';
import { voxelCount } from '../../../geometry/volume.ts';
import { chosenFiles } from '../../chosen-files.ts';
import { addSection, button, element, input, say, select, table } from '../../dom.ts';
import { gzipped, modelZip, save, saveAll, uniqueName } from '../../download.ts';
import type { LabelMaps } from '../../label-maps.ts';
import { missing } from '../../missing.ts';
import { showTable } from '../../table.ts';
import type { OpenImage, OpenModel, Workspace } from '../../workspace.ts';
import { colourOf, DrawingViewer } from './drawing-viewer.ts';
import { Learning } from './learning.ts';
import { Pen } from './pen.ts';
import { Reload } from './reload.ts';
import { BACKGROUND, Strokes } from './strokes.ts';
import { structureRows } from './structure-list.ts';
import markup from './teach.html?raw';

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
  let strokes = new Strokes();
  let shown: OpenImage | undefined;
  /** The image that the viewer shows with its strokes: none while another one is being read. */
  let drawnOn: OpenImage | undefined;

  const pen = new Pen(section, viewer, () => ({
    structures: strokes.structures,
    isThere: shown !== undefined,
    drawnVoxels: ((shown && strokes.of(shown.id)) ?? new Uint8Array()).reduce((count, code) => count + Number(code !== 0), 0),
  }));
  const learning = new Learning(workspace, section, {
    get strokes() {
      return strokes;
    },
    get first() {
      return shown;
    },
    lacking,
    segmented: (image, map) => {
      maps.set(image.id, map);
      if (image === drawnOn) viewer.setLabels(map.labels);
      showVolumes();
    },
    learnt: () => {
      enable();
      reload.keep();
    },
  });
  const reload = new Reload(workspace, {
    get strokes() {
      return strokes;
    },
    restore: async (before) => {
      strokes = before;
      pen.value = before.structures[0]?.code ?? BACKGROUND;
      shown = undefined;
      await show(workspace.images.find(({ id }) => strokes.of(id)) ?? workspace.first);
    },
    restored: () => changed(true),
  });

  function showStructures(): void {
    const rows = structureRows(strokes.structures, pen.value, {
      choose: (code) => pen.choose(code),
      rename: (code, name) => {
        strokes.rename(code, name);
        changed(true);
      },
      remove: (code) => {
        strokes.removeStructure(code);
        changed(true);
      },
    });
    element('teach-structures').replaceChildren(...rows);
    viewer.setStructures(strokes.structures);
  }

  // ---- strokes

  /** After every change of strokes or structures. @param ofAll whether what is shown must be drawn anew: it was not the pen */
  function changed(ofAll: boolean): void {
    if (ofAll) {
      if (pen.value !== BACKGROUND && !strokes.structures.some(({ code }) => code === pen.value))
        pen.value = strokes.structures[0].code;
      showStructures();
      pen.use();
      if (drawnOn) viewer.setStrokes(strokes.of(drawnOn.id) ?? new Uint8Array(voxelCount(drawnOn.geometry.size)));
    }
    enable();
    reload.keep();
    if (input('teach-auto').checked) learning.ask();
  }
  /** Of whom strokes are known that teach something. */
  const isExamplePatient = ({ isExample, name }: OpenImage): boolean => isExample && name === 'patient_1';

  viewer.onDrawn = () => {
    const now = viewer.strokes();
    if (drawnOn && now && strokes.take(drawnOn.id, now)) changed(false);
  };
  function step(which: 'undo' | 'redo'): void {
    viewer.liftPen();
    if (!strokes[which]()) {
      pen.tell(`Nothing to ${which}.`);
      return;
    }
    changed(true);
    pen.tellDrawn(`${which === 'undo' ? 'Undone' : 'Done again'}:`);
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

  /** What is missing before anything can be learnt, in words. */
  function lacking(): string | null {
    const open = missing(workspace, 'teach');
    if (open) return open;
    const values = new Set(strokes.drawn.flatMap(([, data]) => [...new Set(data)]));
    if (![...values].some((code) => code !== 0 && code !== BACKGROUND)) return 'Now draw a stroke in a structure.';
    return values.has(BACKGROUND) ? null : 'Now choose the background, and draw a stroke in it.';
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
      const empty = await compute.codesAsNifti(image.id, new Uint8Array(voxelCount(image.geometry.size)));
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
    pen.use();
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
      learning.goOn();
      return;
    }
    viewer.liftPen();
    const { images, first, model } = workspace;
    const ids = new Set(images.map(({ id }) => id));
    maps.keepOnly((id) => ids.has(id) && models === model);
    for (const [id] of strokes.drawn) if (!ids.has(id)) strokes.forget(id);
    learning.opened(
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
    reload.keepAll();
  });

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

  select('teach-image').onchange = () => void show(workspace.images.find(({ id }) => String(id) === select('teach-image').value));
  button('teach-add').onclick = () => {
    pen.value = strokes.addStructure().code;
    changed(true);
    element('teach-structures').querySelector<HTMLInputElement>('div:nth-last-child(2) [type=text]')?.select();
  };
  button('teach-example').onclick = () =>
    workspace.alone(async () => {
      const example = await compute.exampleStrokes();
      const image = workspace.images.find(isExamplePatient);
      if (!image || example.data.length !== voxelCount(image.geometry.size)) return;
      if (shown !== image) await show(image);
      strokes.load(image.id, example.data);
      for (const { code, name } of example.structures) strokes.rename(code, name);
      changed(true);
    });
  button('teach-undo').onclick = () => step('undo');
  button('teach-redo').onclick = () => step('redo');
  button('teach-learn').onclick = () => learning.ask();
  input('teach-overlay').oninput = () => viewer.setOpacity(Number(input('teach-overlay').value));
  section.addEventListener(
    'keydown',
    (event) => {
      const typing = event.target instanceof HTMLInputElement && event.target.type === 'text';
      const key = event.key.toLowerCase();
      const isCommand = event.ctrlKey || event.metaKey;
      if (isCommand && !typing && (key === 'z' || key === 'y')) step(key === 'y' || event.shiftKey ? 'redo' : 'undo');
      else if (isCommand || event.altKey || event.target !== element('teach-viewer') || !pen.pressed(key)) return;
      event.preventDefault();
      // the viewer has letters of its own
      event.stopPropagation();
    },
    { capture: true },
  );

  viewer.attach(element<HTMLCanvasElement>('teach-viewer'), element('teach-viewer-text'), element('teach-place'));
  showStructures();
  pen.use();
  reload.begin();
  return {
    viewer,
    get strokes() {
      return strokes;
    },
  };
}
