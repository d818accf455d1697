/** The page: chooses files, calls the worker, shows what comes back. */
import * as Comlink from 'comlink';
import { formatBytes } from '../common/format-bytes.ts';
import type { BackendName } from '../platform/browser/backends.ts';
import { Activity } from './activity.ts';
import { imageName, modelFiles, takeDropped } from './chosen-files.ts';
import { Comparison } from './comparison.ts';
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
const comparing = new Activity(element('compare'), () => void compute.stop());
const training = new Activity(element('training'), () => void compute.stop());
const backendName = (): BackendName => element<HTMLSelectElement>('backend').value as BackendName;

worker.onerror = ({ message }) => applying.say(`the worker of the page failed: ${message}`, true);

const comparison = new Comparison((side, point, kind) => compute.similar(side, point, kind));

let model: ModelSummary | undefined;
/** The images that are open. */
const open: { image?: OpenImage; moving?: OpenImage } = {};
interface OpenImage {
  readonly name: string;
  readonly file: File;
  readonly isExample: boolean;
}
/** Of the training's steps so far. */
const losses: Readonly<Record<string, number>>[] = [];
let busy = false;

function enable(): void {
  const { image, moving } = open;
  button('segment').disabled = !image || !model?.canSegment;
  button('features').disabled = !image || !model?.hasFeatures;
  button('register').disabled = !image || !moving || !model?.canMatch;
  button('compare-button').disabled = !image || !moving || !model?.hasFeatures;
  for (const one of document.querySelectorAll<HTMLButtonElement>('#start button')) one.disabled = busy;
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
function clearComparison(): void {
  comparison.clear();
  comparing.say('');
}

/** Opens what a field was given; what it is, or what is wrong with it, is said below the field. */
const opening = (field: string, name: string, run: () => Promise<string>) =>
  alone(async () => {
    const line = element(`${field}-text`);
    clearResult();
    clearComparison();
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

async function readImage(which: 'image' | 'moving', file: File, isExample: boolean): Promise<string> {
  if (which === 'image') viewer.clear();
  const { description, warnings } = await compute.openImage(which, file.name, await bytesOf(file));
  if (which === 'image') await viewer.showImage(file);
  open[which] = { name: imageName(file.name), file, isExample };
  return [`${file.name}: ${description}`, ...warnings].join('; ');
}

function openImage(which: 'image' | 'moving', file: File): void {
  delete open[which];
  // a file of one's own and a synthetic patient are no pair
  const partner = which === 'image' ? 'moving' : 'image';
  if (open[partner]?.isExample) {
    delete open[partner];
    element(`${partner}-text`).textContent = 'A NIfTI file, .nii or .nii.gz.';
    if (partner === 'image') viewer.clear();
  }
  opening(which, file.name, () => readImage(which, file, false));
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
    () => `${open.image?.name}_labels`,
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

const showFeatures = () =>
  computing(
    'computing features',
    'windows',
    () => `${open.image?.name}_features`,
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

const register = () =>
  computing(
    'registering',
    'tiles',
    () => `${open.moving?.name}_on_${open.image?.name}`,
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

button('features').onclick = showFeatures;
button('register').onclick = register;

const compareImages = () => {
  const { image, moving } = open;
  if (!image || !moving) return Promise.resolve();
  clearComparison();
  return alone(() =>
    comparing.run('computing features ...', async () => {
      let part = 0;
      const onProgress: OnProgress = (done, of, memoryBytes) => {
        if (done === 0) part++;
        const what = ['features of the first image', 'features of the second image', 'registration'][part - 1] ?? 'comparing';
        if (done === 0) comparing.say(`${what}: ${formatBytes(memoryBytes)} of memory`);
        else comparing.advance(done, of, `${what}: ${done} of ${of}`);
      };
      const compared = await compute.compare(backendName(), Comlink.proxy(onProgress));
      await comparison.show(compared, { fixed: image.file, moving: moving.file });
      return [`done in ${compared.seconds.toFixed(1)} s on ${compared.backend}`, ...compared.warnings].join('; ');
    }),
  );
};
button('compare-button').onclick = compareImages;

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

/** The network that the page brings along, and two patients that are generated here. */
const openExample = () =>
  alone(async () => {
    clearResult();
    clearComparison();
    const name = 'example-model';
    const part = async (file: string): Promise<Response> => {
      const answer = await fetch(`./${name}/${file}`);
      if (!answer.ok) throw new Error(`the page's server has no ${name}/${file}: ${answer.status}`);
      return answer;
    };
    try {
      const [config, weights] = await Promise.all([part('config.json'), part('model.safetensors')]);
      model = await compute.openModel({ name, config: await config.text(), weights: await weights.arrayBuffer() });
      element('model-text').textContent = `Example: ${model.description}`;
      for (const [which, subject] of [
        ['image', 0],
        ['moving', 1],
      ] as const) {
        const file = new File([await compute.examplePatient(subject)], `patient_${subject + 1}.nii`);
        input(which).value = '';
        element(`${which}-text`).textContent = `Example: ${await readImage(which, file, true)}`;
      }
      input('model').value = '';
    } catch (error) {
      applying.say((error as Error).message, true);
    }
  });
button('example').onclick = openExample;

/** A view of the tour: the example is opened where what is open does not allow it. */
function tour(step: string, section: string, needed: string | null, run: () => Promise<void> | void): void {
  const chosen = button(`tour-${step}`);
  chosen.onclick = async () => {
    if (needed && button(needed).disabled) await openExample();
    if (needed && button(needed).disabled) return;
    for (const one of document.querySelectorAll('.tour [aria-current]')) one.removeAttribute('aria-current');
    chosen.setAttribute('aria-current', 'step');
    // keyboard and screen reader go along
    element(section).scrollIntoView();
    element(section).focus({ preventScroll: true });
    await run();
  };
}
tour('register', 'apply', 'register', () => register());
tour('features', 'apply', 'features', () => showFeatures());
tour('compare', 'compare', 'compare-button', compareImages);
tour('train', 'training', null, () => element<HTMLFormElement>('training-form').requestSubmit());

// work is lost with the page, and so is its result
addEventListener('beforeunload', (event) => {
  if (busy) event.preventDefault();
});

const { choices, notes } = await compute.devices();
element('backend').append(...choices.map(({ name, label }) => new Option(label, name)));
element('notes').textContent = notes.join(' ');
if (!(await viewer.attach(element<HTMLCanvasElement>('viewer'), element('viewer-text'), element('place'))))
  element('viewer-text').textContent = 'This browser has no WebGL 2: images cannot be shown, but results can be saved.';

await comparison.attach();
const [{ label }] = choices;
element('where').textContent +=
  ` The page and the network (1 MB) came from ${location.host}; everything else is computed in this browser, on its ${label}.`;
await openExample();

/** For scripts and the tests. */
Object.assign(globalThis, { gvsl: { compute, Comlink, losses, ready: true } });
