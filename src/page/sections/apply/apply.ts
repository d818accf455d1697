/** Applies the model to the first image, and lays what comes out over it. */
import * as Comlink from 'comlink';
import { formatBytes } from '../../../common/format-bytes.ts';
import { formatMl } from '../../../common/format-volume.ts';
import { Activity } from '../../activity.ts';
import type { ImageResult } from '../../compute/apply.ts';
import type { OnProgress } from '../../compute/state.ts';
import { addSection, button, element, input, table } from '../../dom.ts';
import { gzipped, uniqueName, zipped } from '../../download.ts';
import { missing } from '../../missing.ts';
import { offer, offerGzipped } from '../../offer.ts';
import { showTable } from '../../table.ts';
import { labelColours, Viewer } from '../../viewer.ts';
import type { OpenImage, Workspace } from '../../workspace.ts';
import markup from './apply.html?raw';

/** What is unusual about an image, behind its result. */
const remark = (warnings: readonly string[]): string => warnings.map((warning) => `; ${warning}`).join('');

/** @returns the viewer of the first image */
export function startApply(workspace: Workspace): Viewer {
  const section = addSection(markup);
  const { compute } = workspace;
  const viewer = new Viewer();
  const activity = new Activity(section, () => void compute.stop());

  /** A result belongs to what is open: it goes with it. */
  function clearResult(): void {
    element('result').hidden = true;
    element('overlay-field').hidden = true;
    viewer.clearResult();
    activity.say('');
  }

  let shown: OpenImage | undefined;
  workspace.onChange(async (change) => {
    if (change === 'busy') return;
    const { first, images } = workspace;
    for (const work of ['segment', 'features'] as const)
      for (const id of [work, `${work}-all`]) button(id).disabled = missing(workspace, work) !== '';
    element('all-buttons').hidden = images.length < 2;
    clearResult();
    if (first === shown) return;
    shown = first;
    if (first) await viewer.showImage(await workspace.niftiOf(first));
    else viewer.clear();
  });

  /** Runs a computation on the image, shows its result, and offers it for saving. */
  function computing<Result extends ImageResult>(
    what: string,
    parts: string,
    name: string,
    run: (onProgress: OnProgress) => Promise<Result>,
    show: (result: Result) => Promise<string>,
  ): Promise<void> {
    clearResult();
    return workspace.alone(() =>
      activity.run(`${what} ...`, async () => {
        const onProgress: OnProgress = (done, of, memoryBytes) =>
          done === 0
            ? activity.say(`${what}: ${of} ${parts}, ${formatBytes(memoryBytes)} of memory`)
            : activity.advance(done, of, `${what}: ${done} of ${of} ${parts}`);
        const result = await run(Comlink.proxy(onProgress));
        const said = await show(result);
        await offerGzipped('save', result.nifti, name);
        element('save').hidden = false;
        element('result').hidden = false;
        element('overlay-field').hidden = !viewer.works;
        return `done in ${result.seconds.toFixed(1)} s on ${result.backend}${said}`;
      }),
    );
  }

  button('segment').onclick = () => {
    const { first, backend } = workspace;
    if (!first) return;
    computing(
      'segmenting',
      'windows',
      `${workspace.resultNameOf(first)}_labels`,
      (onProgress) => compute.segment(first.id, backend, false, onProgress),
      async ({ nifti, structures, warnings }) => {
        showTable(
          table('result-table'),
          ['label', 'structure', 'ml'],
          structures.map(({ code, name, volumeMl }) => [String(code), name, formatMl(volumeMl)]),
          labelColours(structures.length),
        );
        await viewer.showLabels(nifti, structures);
        return remark(warnings);
      },
    );
  };

  button('features').onclick = () => {
    const { first, backend } = workspace;
    if (!first) return;
    computing(
      'computing features',
      'windows',
      `${workspace.resultNameOf(first)}_features`,
      (onProgress) => compute.features(first.id, backend, false, onProgress),
      async ({ nifti, warnings }) => {
        showTable(table('result-table'), [], []);
        await viewer.showColours(nifti);
        return `; similar colours are similar features (their first three principal components)${remark(warnings)}`;
      },
    );
  };

  /** Applies the model to every open image, one after the other; what is wrong with one keeps none of the others from its result. */
  function computingAll(
    what: string,
    ending: string,
    run: (image: OpenImage, onProgress: OnProgress) => Promise<{ readonly nifti: Uint8Array<ArrayBuffer>; readonly row: string }>,
  ): void {
    const { images } = workspace;
    clearResult();
    void workspace.alone(() =>
      activity.run(`${what} ...`, async () => {
        const files: Record<string, Uint8Array<ArrayBuffer>> = {};
        const rows: string[][] = [];
        const start = performance.now();
        let stopped: Error | undefined;
        for (const [k, image] of images.entries()) {
          const text = `${what}: image ${k + 1} of ${images.length}, ${image.title}`;
          const onProgress: OnProgress = (done, of, memoryBytes) =>
            done === 0
              ? activity.say(`${text}, ${formatBytes(memoryBytes)} of memory`)
              : activity.advance(k + done / of, images.length, text);
          try {
            const { nifti, row } = await run(image, Comlink.proxy(onProgress));
            files[uniqueName(files, `${workspace.resultNameOf(image)}_${ending}`, '.nii.gz')] = await gzipped(nifti);
            rows.push([image.title, row]);
          } catch (error) {
            if ((error as Error).name === 'AbortError') {
              stopped = error as Error;
              break;
            }
            rows.push([image.title, (error as Error).message]);
          }
        }
        const count = Object.keys(files).length;
        showTable(table('result-table'), ['image', 'result'], rows);
        if (count > 0) offer('save', await zipped(files), `${ending}.zip`);
        element('save').hidden = count === 0;
        element('result').hidden = rows.length === 0;
        // what was done before the stop is kept
        if (stopped) throw stopped;
        const seconds = ((performance.now() - start) / 1000).toFixed(1);
        if (count < images.length)
          throw new Error(
            `${count} of ${images.length} images done in ${seconds} s; what is wrong with the others stands in the table`,
          );
        return `${count} images done in ${seconds} s`;
      }),
    );
  }
  button('segment-all').onclick = () =>
    computingAll('segmenting', 'labels', async (image, onProgress) => {
      const { nifti, structures, warnings } = await compute.segment(image.id, workspace.backend, false, onProgress);
      const volumes = structures.map(({ name, volumeMl }) => `${name} ${formatMl(volumeMl)} ml`).join(', ');
      return { nifti, row: volumes + remark(warnings) };
    });
  button('features-all').onclick = () =>
    computingAll('computing features', 'features', async (image, onProgress) => {
      const { nifti, seconds, warnings } = await compute.features(image.id, workspace.backend, false, onProgress);
      return { nifti, row: `done in ${seconds.toFixed(1)} s${remark(warnings)}` };
    });

  input('overlay').oninput = () => viewer.setOpacity(Number(input('overlay').value));

  viewer.attach(element<HTMLCanvasElement>('viewer'), element('viewer-text'), element('place'));
  return viewer;
}
