/** The page: chooses files, calls the worker, shows what comes back. */
import * as Comlink from 'comlink';
import { formatBytes } from '../common/format-bytes.ts';
import type { BackendName } from '../platform/browser/backends.ts';
import { Activity } from './activity.ts';
import { imageName, modelFiles, takeDropped } from './chosen-files.ts';
import type { ComputeApi, ImageResult, ModelSummary, OnProgress } from './compute-worker.ts';
import { Curves, meanOfLast } from './curves.ts';
import { showTable } from './table.ts';
import { labelColours, Viewer } from './viewer.ts';

const element = <Type extends HTMLElement>(id: string): Type => document.getElementById(id) as Type;
const input = (id: string): HTMLInputElement => element<HTMLInputElement>(id);
const button = (id: string): HTMLButtonElement => element<HTMLButtonElement>(id);

const worker = new Worker(new URL('./compute-worker.ts', import.meta.url), { type: 'module' });
const compute = Comlink.wrap<ComputeApi>(worker);
const viewer = new Viewer();
const curves = new Curves(element('curves'));
const applying = new Activity(element('apply'), () => void compute.stop());
const training = new Activity(element('training'), () => void compute.stop());
const backendName = (): BackendName => element<HTMLSelectElement>('backend').value as BackendName;

worker.onerror = ({ message }) => applying.say(`the worker of the page failed: ${message}`, true);

let model: ModelSummary | undefined;
/** Names of the images that are open. */
const open: { image?: string; moving?: string } = {};
/** Of the training's steps so far. */
const losses: Readonly<Record<string, number>>[] = [];
let busy = false;

function enable(): void {
  const { image, moving } = open;
  button('segment').disabled = !image || !model?.canSegment;
  button('features').disabled = !image || !model?.hasFeatures;
  button('register').disabled = !image || !moving || !model?.canMatch;
  for (const fields of document.querySelectorAll('fieldset')) fields.disabled = busy;
  element<HTMLSelectElement>('backend').disabled = busy;
}

/** One thing at a time: controls rest meanwhile, and the one that was used has the keyboard again afterwards. */
async function alone(run: () => Promise<void>): Promise<void> {
  const used = document.activeElement;
  busy = true;
  enable();
  try {
    await run();
  } finally {
    busy = false;
    enable();
  }
  if (used instanceof HTMLElement && document.activeElement === document.body) used.focus();
}

/** A result belongs to the files that are chosen: it goes with them. */
function clearResult(): void {
  element('result').hidden = true;
  element('overlay-field').hidden = true;
  viewer.clearResult();
  applying.say('');
}

/** Opens what a field was given; what it is, or what is wrong with it, is said below the field. */
const opening = (field: string, name: string, run: () => Promise<string>) =>
  alone(async () => {
    const line = element(`${field}-text`);
    clearResult();
    line.classList.remove('wrong');
    line.textContent = `reading ${name} ...`;
    try {
      line.textContent = await run();
    } catch (error) {
      line.textContent = (error as Error).message;
      line.classList.add('wrong');
    }
  });

const bytesOf = async (file: File): Promise<ArrayBuffer> => {
  const bytes = await file.arrayBuffer();
  return Comlink.transfer(bytes, [bytes]);
};

input('model').onchange = () => {
  const files = [...(input('model').files ?? [])];
  if (files.length === 0) return;
  model = undefined;
  opening('model', 'the model', async () => {
    const { name, config, weights } = modelFiles(files);
    model = await compute.openModel({ name, config: await config.text(), weights: await weights.arrayBuffer() });
    return `${name}: ${model.description}`;
  });
};

function openImage(which: 'image' | 'moving', file: File): void {
  delete open[which];
  opening(which, file.name, async () => {
    if (which === 'image') viewer.clear();
    const { description, warnings } = await compute.openImage(which, file.name, await bytesOf(file));
    if (which === 'image') await viewer.showImage(file);
    open[which] = imageName(file.name);
    return [`${file.name}: ${description}`, ...warnings].join('; ');
  });
}
for (const which of ['image', 'moving'] as const)
  input(which).onchange = () => {
    const file = input(which).files?.[0];
    if (file) openImage(which, file);
  };
takeDropped((file) => {
  if (busy) return;
  // the field would go on naming the file before
  input('image').value = '';
  openImage('image', file);
});

async function offer(nifti: Uint8Array<ArrayBuffer>, name: string): Promise<void> {
  const link = element<HTMLAnchorElement>('save');
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(
    await new Response(new Blob([nifti]).stream().pipeThrough(new CompressionStream('gzip'))).blob(),
  );
  link.download = `${name}.nii.gz`;
  link.textContent = `Save ${link.download}`;
}

/** Runs a computation on the image, shows its result, and offers it for saving. */
function computing<Result extends ImageResult>(
  what: string,
  parts: string,
  name: () => string,
  run: (onProgress: OnProgress) => Promise<Result>,
  show: (result: Result) => Promise<string>,
): Promise<void> {
  clearResult();
  return alone(() =>
    applying.run(`${what} ...`, async () => {
      const onProgress: OnProgress = (done, of, memoryBytes) =>
        done === 0
          ? applying.say(`${what}: ${of} ${parts}, ${formatBytes(memoryBytes)} of memory`)
          : applying.advance(done, of, `${what}: ${done} of ${of} ${parts}`);
      const result = await run(Comlink.proxy(onProgress));
      const remark = await show(result);
      await offer(result.nifti, name());
      element('result').hidden = false;
      element('overlay-field').hidden = !viewer.works;
      return `done in ${result.seconds.toFixed(1)} s on ${result.backend}${remark}`;
    }),
  );
}

button('segment').onclick = () =>
  computing(
    'segmenting',
    'windows',
    () => `${open.image}_labels`,
    (onProgress) => compute.segment(backendName(), false, onProgress),
    async ({ nifti, structures }) => {
      const colours = labelColours(structures.length);
      showTable(
        element<HTMLTableElement>('result-table'),
        ['label', 'structure', 'ml'],
        structures.map(({ code, name, volumeMl }) => [String(code), name, volumeMl.toFixed(1)]),
        colours,
      );
      await viewer.showLabels(nifti, structures);
      return '';
    },
  );

button('features').onclick = () =>
  computing(
    'computing features',
    'windows',
    () => `${open.image}_features`,
    (onProgress) => compute.features(backendName(), false, onProgress),
    async ({ nifti }) => {
      showTable(element<HTMLTableElement>('result-table'), [], []);
      await viewer.showColours(nifti);
      return '; similar colours are similar features (their first three principal components)';
    },
  );

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

button('register').onclick = () =>
  computing(
    'registering',
    'tiles',
    () => `${open.moving}_on_${open.image}`,
    (onProgress) => compute.register(backendName(), onProgress),
    async ({ nifti, ncc, warnings }) => {
      showTable(
        element<HTMLTableElement>('result-table'),
        ['second image', 'correlation (NCC)'],
        ncc.map(({ stage, value, kept }) => [kept ? STAGES[stage] : `${STAGES[stage]} (not kept)`, value.toFixed(3)]),
      );
      await viewer.showWarped(nifti);
      return warnings.map((warning) => `; ${warning}`).join('');
    },
  );

input('overlay').oninput = () => viewer.setOpacity(Number(input('overlay').value));

element('training-form').onsubmit = (event) => {
  event.preventDefault();
  const request = {
    subjects: Number(input('subjects').value),
    steps: Number(input('steps').value),
    width: Number(element<HTMLSelectElement>('width').value),
    seed: 1,
  };
  curves.clear();
  losses.length = 0;
  const { subjects, steps } = request;
  const summary = (): string => `step ${losses.length} of ${steps}, loss ${meanOfLast(losses, 'total').toFixed(4)}`;
  let startedMs = 0;
  alone(() =>
    training.run('starting ...', async () => {
      await compute.train(
        backendName(),
        request,
        Comlink.proxy((memoryBytes: number) =>
          training.say(`${formatBytes(memoryBytes)} of memory; generating ${subjects} patients`),
        ),
        Comlink.proxy((subject: number) => {
          training.say(`generating patients: ${subject} of ${subjects}`);
          startedMs = performance.now();
        }),
        Comlink.proxy((step: number, loss: Readonly<Record<string, number>>) => {
          losses.push(loss);
          curves.add(step, loss);
          training.advance(step, steps, summary());
        }),
      );
      return `${summary()}; done in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
    }),
  );
};

// work is lost with the page, and so is its result
addEventListener('beforeunload', (event) => {
  if (busy) event.preventDefault();
});

const { choices, notes } = await compute.devices();
element('backend').append(...choices.map(({ name, label }) => new Option(label, name)));
element('notes').textContent = notes.join(' ');
if (!(await viewer.attach(element<HTMLCanvasElement>('viewer'), element('viewer-text'), element('place'))))
  element('viewer-text').textContent = 'This browser has no WebGL 2: images cannot be shown, but results can be saved.';

/** For scripts and the tests. */
Object.assign(globalThis, { gvsl: { compute, Comlink, losses } });
