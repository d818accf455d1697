/** Registers the second image to the first, and shows what that did: before and after, checkerboard, difference, deformation grid, folds. */
import * as Comlink from 'comlink';
import { formatBytes } from '../../../common/format-bytes.ts';
import { rasOrder } from '../../../geometry/orientation.ts';
import { Activity } from '../../activity.ts';
import type { Registered, RegistrationView } from '../../compute/register.ts';
import type { OnProgress } from '../../compute/state.ts';
import { addSection, areValid, button, element, input, say, select, table } from '../../dom.ts';
import { missing } from '../../missing.ts';
import { offerGzipped } from '../../offer.ts';
import { showTable } from '../../table.ts';
import type { Slices } from '../../viewer.ts';
import type { OpenImage, Workspace } from '../../workspace.ts';
import markup from './register.html?raw';
import { RegistrationViewer } from './registration-viewer.ts';

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

/** What a view shows, for people. */
const VIEWS = {
  overlay: 'The second image in warm colours over the first one in grey.',
  checkerboard: 'Cubes of both images in turn: where they agree, edges go on from cube to cube.',
  difference: 'Orange: the second image is brighter. Blue: the first one is. Grey: both agree.',
  grid: 'Lines that are straight in the second image, where the registration brings them from.',
  folds: 'Red: voxels where the map folds (Jacobian determinant of 0 or less), which no anatomy does.',
} as const;
type Kind = keyof typeof VIEWS;

/** Axes of RAS that slices are perpendicular to. */
const NORMALS = { sagittal: 0, coronal: 1, axial: 2 } as const;

const percent = (share: number): string => (share === 0 ? '0' : (100 * share).toPrecision(2));

function foldsText({ folds, displacementMm }: Registered): string {
  const [least, greatest] = folds.range.map((value) => value.toFixed(2));
  return (
    `Folded: ${folds.voxels} voxels, ${percent(folds.share)} %. Jacobian determinant ${least} to ${greatest}. ` +
    `Voxels are brought ${displacementMm.mean.toFixed(1)} mm on average, ${displacementMm.greatest.toFixed(1)} mm at most.`
  );
}

export function startRegister(workspace: Workspace): void {
  const section = addSection(markup);
  const { compute } = workspace;
  const viewer = new RegistrationViewer();
  const activity = new Activity(section, () => void compute.stop());
  let fixed: OpenImage | undefined;
  /** All slices were shown before the deformation grid. */
  let wasAll = false;

  const kind = (): Kind => select('view').value as Kind;
  const isBefore = (): boolean => button('before').ariaPressed === 'true';

  async function clear(): Promise<void> {
    element('registration-result').hidden = true;
    viewer.clear();
    activity.say('');
    fixed = undefined;
    await compute.endRegistration();
  }

  workspace.onChange((change) => {
    if (change === 'busy') return;
    button('register').disabled = missing(workspace, 'register') !== '';
    return clear();
  });

  /** Of checkerboard and grid; a field that holds no such number changes nothing. */
  let cellMm = Number(input('cell').value);

  /** Asks the worker for what is chosen, and shows it; of what has a before both, so that one key changes them. */
  async function show(): Promise<void> {
    if (!fixed) return;
    const chosen = kind();
    // lines of the grid lie in slices of one direction
    if (chosen === 'grid' && select('slices').value === 'all') [select('slices').value, wasAll] = ['axial', true];
    if (chosen !== 'grid' && wasAll) [select('slices').value, wasAll] = ['all', false];
    for (const option of select('slices').options) option.disabled = chosen === 'grid' && option.value === 'all';
    const slices = select('slices').value as Slices;
    const hasBefore = chosen !== 'grid' && chosen !== 'folds';
    element('cell-field').hidden = chosen !== 'checkerboard' && chosen !== 'grid';
    element('strength-field').hidden = chosen !== 'overlay';
    button('before').disabled = !hasBefore;
    say('view-text', VIEWS[chosen]);
    const view = (before: boolean): RegistrationView => {
      if (chosen === 'folds') return { kind: chosen };
      if (chosen === 'checkerboard') return { kind: chosen, isBefore: before, cellMm };
      if (chosen !== 'grid') return { kind: chosen, isBefore: before };
      const normal = rasOrder(fixed!.geometry).axes[NORMALS[slices === 'all' ? 'axial' : slices]];
      return { kind: chosen, normal, cellMm };
    };
    const after = await compute.registrationView(view(false));
    const before = hasBefore ? await compute.registrationView(view(true)) : null;
    viewer.slices(slices);
    await viewer.show(chosen, after, before, Number(input('strength').value));
    viewer.showBefore(isBefore());
  }
  const showAlone = () =>
    workspace.alone(async () => {
      try {
        await show();
      } catch (error) {
        activity.say((error as Error).message, true);
      }
    });

  button('register').onclick = () => {
    const { first, second, backend } = workspace;
    if (!first || !second) return;
    workspace.alone(async () => {
      await clear();
      await activity.run('registering ...', async () => {
        const onProgress: OnProgress = (done, of, memoryBytes) =>
          done === 0
            ? activity.say(`registering: ${of} tiles, ${formatBytes(memoryBytes)} of memory`)
            : activity.advance(done, of, `registering: ${done} of ${of} tiles`);
        const result = await compute.register(second.id, first.id, backend, Comlink.proxy(onProgress));
        const { ncc, warnings } = result;
        fixed = first;
        showTable(
          table('registration-table'),
          ['second image', 'correlation (NCC)'],
          ncc.map(({ stage, value, kept }) => [kept ? STAGES[stage] : `${STAGES[stage]} (not kept)`, value.toFixed(3)]),
        );
        say('folds-text', foldsText(result), result.folds.share > 0.001);
        const name = `${workspace.resultNameOf(second)}_on_${workspace.resultNameOf(first)}`;
        await offerGzipped('registration-save', result.nifti, name);
        await offerGzipped('field-save', await compute.registrationField(), `${name}_field`);
        setBefore(false);
        await viewer.showImage(await workspace.niftiOf(first));
        await show();
        element('registration-result').hidden = false;
        const remark = warnings.map((warning) => `; ${warning}`).join('');
        return `done in ${result.seconds.toFixed(1)} s on ${result.backend}${remark}`;
      });
    });
  };

  function setBefore(before: boolean): void {
    button('before').ariaPressed = String(before);
    button('before').textContent = before ? 'Show after (B)' : 'Show before (B)';
    viewer.showBefore(before);
  }
  button('before').onclick = () => setBefore(!isBefore());
  section.addEventListener('keydown', (event) => {
    const isTyping = event.target instanceof HTMLInputElement && event.target.type === 'number';
    if (event.key.toLowerCase() !== 'b' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (fixed && !button('before').disabled) setBefore(!isBefore());
  });
  for (const id of ['view', 'slices']) select(id).onchange = showAlone;
  input('cell').onchange = () => {
    if (!areValid('cell')) return;
    cellMm = Number(input('cell').value);
    showAlone();
  };
  input('strength').oninput = () => viewer.setOpacity(Number(input('strength').value));

  viewer.attach(
    element<HTMLCanvasElement>('viewer-registration'),
    element('viewer-registration-text'),
    element('place-registration'),
  );
}
