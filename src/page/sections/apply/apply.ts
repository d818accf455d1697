/** Applies the model to the first image, and lays what comes out over it. */
import * as Comlink from 'comlink';
import { formatBytes } from '../../../common/format-bytes.ts';
import { Activity } from '../../activity.ts';
import type { ImageResult } from '../../compute/apply.ts';
import type { OnProgress } from '../../compute/state.ts';
import { addSection, button, element, input, table } from '../../dom.ts';
import { showTable } from '../../table.ts';
import { labelColours, Viewer } from '../../viewer.ts';
import type { OpenImage, Workspace } from '../../workspace.ts';
import markup from './apply.html?raw';

const STAGES = {
  asStored: 'as stored',
  given: 'initial transform',
  centred: 'centres aligned',
  aligned: 'affine by likeness',
  affine: 'after affine',
  deformable: 'after deformable',
  refinedAffine: 'affine refined',
  refined: 'deformation refined',
} as const;

async function offer(nifti: Uint8Array<ArrayBuffer>, name: string): Promise<void> {
  const link = element<HTMLAnchorElement>('save');
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(
    await new Response(new Blob([nifti]).stream().pipeThrough(new CompressionStream('gzip'))).blob(),
  );
  link.download = `${name}.nii.gz`;
  link.textContent = `Save ${link.download}`;
}

export async function startApply(workspace: Workspace): Promise<void> {
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
    const { first, second, model } = workspace;
    button('segment').disabled = !first || !model?.canSegment;
    button('features').disabled = !first || !model?.hasFeatures;
    button('register').disabled = !first || !second || !model?.canMatch;
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
        const remark = await show(result);
        await offer(result.nifti, name);
        element('result').hidden = false;
        element('overlay-field').hidden = !viewer.works;
        return `done in ${result.seconds.toFixed(1)} s on ${result.backend}${remark}`;
      }),
    );
  }

  button('segment').onclick = () => {
    const { first, backend } = workspace;
    if (!first) return;
    computing(
      'segmenting',
      'windows',
      `${first.name}_labels`,
      (onProgress) => compute.segment(first.id, backend, false, onProgress),
      async ({ nifti, structures }) => {
        showTable(
          table('result-table'),
          ['label', 'structure', 'ml'],
          structures.map(({ code, name, volumeMl }) => [String(code), name, volumeMl.toFixed(1)]),
          labelColours(structures.length),
        );
        await viewer.showLabels(nifti, structures);
        return '';
      },
    );
  };

  button('features').onclick = () => {
    const { first, backend } = workspace;
    if (!first) return;
    computing(
      'computing features',
      'windows',
      `${first.name}_features`,
      (onProgress) => compute.features(first.id, backend, false, onProgress),
      async ({ nifti }) => {
        showTable(table('result-table'), [], []);
        await viewer.showColours(nifti);
        return '; similar colours are similar features (their first three principal components)';
      },
    );
  };

  button('register').onclick = () => {
    const { first, second, backend } = workspace;
    if (!first || !second) return;
    computing(
      'registering',
      'tiles',
      `${second.name}_on_${first.name}`,
      (onProgress) => compute.register(second.id, first.id, backend, onProgress),
      async ({ nifti, ncc, warnings }) => {
        showTable(
          table('result-table'),
          ['second image', 'correlation (NCC)'],
          ncc.map(({ stage, value, kept }) => [kept ? STAGES[stage] : `${STAGES[stage]} (not kept)`, value.toFixed(3)]),
        );
        await viewer.showWarped(nifti);
        return warnings.map((warning) => `; ${warning}`).join('');
      },
    );
  };

  input('overlay').oninput = () => viewer.setOpacity(Number(input('overlay').value));

  if (!(await viewer.attach(element<HTMLCanvasElement>('viewer'), element('viewer-text'), element('place'))))
    element('viewer-text').textContent = 'This browser has no WebGL 2: images cannot be shown, but results can be saved.';
}
