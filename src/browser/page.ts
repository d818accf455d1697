/** The page: chooses files, calls the worker, shows what comes back. */
import * as Comlink from 'comlink';
import type { BackendName } from './backends.ts';
import type { ComputeApi, ImageResult, ModelSummary } from './compute-worker.ts';
import { Curves } from './curves.ts';
import { Viewer } from './viewer.ts';

const element = <Type extends HTMLElement>(id: string): Type => document.getElementById(id) as Type;
const input = (id: string): HTMLInputElement => element<HTMLInputElement>(id);
const button = (id: string): HTMLButtonElement => element<HTMLButtonElement>(id);

const compute = Comlink.wrap<ComputeApi>(new Worker(new URL('./compute-worker.ts', import.meta.url), { type: 'module' }));
const viewer = new Viewer();
const curves = new Curves(element('curves'));
const backendName = (): BackendName => element<HTMLSelectElement>('backend').value as BackendName;

function say(id: string, text: string, wrong = false): void {
  const place = element(id);
  place.textContent = text;
  place.classList.toggle('wrong', wrong);
}

/** Runs what a control asks for; what goes wrong is said where the control is. */
async function attempt(place: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    say(place, (error as Error).message, true);
  }
}

let model: ModelSummary | undefined;
const has = { image: false, moving: false };
/** Of the training's steps so far. */
const losses: Readonly<Record<string, number>>[] = [];
let busy = false;

function enable(): void {
  button('segment').disabled = busy || !has.image || !model?.canSegment;
  button('features').disabled = busy || !has.image || !model?.hasFeatures;
  button('register').disabled = busy || !has.image || !has.moving || !model?.canMatch;
  button('train').disabled = busy;
}

async function working(place: string, run: () => Promise<void>): Promise<void> {
  busy = true;
  enable();
  await attempt(place, run);
  busy = false;
  enable();
}

input('model').onchange = () =>
  attempt('model-text', async () => {
    model = undefined;
    enable();
    const files = [...(input('model').files ?? [])];
    // a run has several models; the best one is meant, as on the command line
    const find = (name: string): File | undefined =>
      ['', 'best/', 'last/'].flatMap((folder) =>
        files.filter(({ webkitRelativePath: path }) => path.split('/').slice(1).join('/') === folder + name),
      )[0];
    const [config, weights] = [find('config.json'), find('model.safetensors')];
    if (!config || !weights)
      throw new Error('expected a folder with config.json and model.safetensors, or a run with best/ or last/');
    const name = config.webkitRelativePath.split('/').slice(0, -1).join('/');
    model = await compute.openModel({ name, config: await config.text(), weights: await weights.arrayBuffer() });
    say('model-text', `${name}: ${model.description}`);
    enable();
  });

for (const which of ['image', 'moving'] as const)
  input(which).onchange = () =>
    attempt(`${which}-text`, async () => {
      has[which] = false;
      enable();
      const file = input(which).files?.[0];
      if (!file) return;
      say(`${which}-text`, `reading ${file.name} ...`);
      const { description, remarks } = await compute.openImage(which, file.name, await file.arrayBuffer());
      say(`${which}-text`, [`${file.name}: ${description}`, ...remarks].join('; '));
      has[which] = true;
      enable();
      if (which === 'image') await viewer.showImage(file);
    });

/** Runs a computation on the image, and offers its result for saving. */
const computing = (
  what: string,
  fileName: string,
  run: (onProgress: (done: number, of: number) => void) => Promise<ImageResult>,
) =>
  working('status', async () => {
    const bar = element<HTMLProgressElement>('progress');
    const link = element<HTMLAnchorElement>('save');
    element('structures').hidden = link.hidden = true;
    bar.removeAttribute('value');
    bar.hidden = false;
    say('status', `${what} ...`);
    try {
      const { nifti, seconds, backend } = await run(
        Comlink.proxy((done: number, of: number) => {
          bar.value = done / of;
        }),
      );
      say('status', `done in ${seconds.toFixed(1)} s, computing ${backend}`);
      URL.revokeObjectURL(link.href);
      link.href = URL.createObjectURL(new Blob([nifti]));
      link.download = fileName;
      link.hidden = false;
    } finally {
      bar.hidden = true;
    }
  });

button('segment').onclick = () =>
  computing('segmenting', 'labels.nii', async (onProgress) => {
    const result = await compute.segment(backendName(), false, onProgress);
    const table = element<HTMLTableElement>('structures');
    table.tBodies[0]!.replaceChildren(
      ...result.structures.map(({ code, name, volumeMl }) => {
        const row = document.createElement('tr');
        for (const text of [String(code), name, volumeMl.toFixed(1)]) row.insertCell().textContent = text;
        return row;
      }),
    );
    table.hidden = false;
    await viewer.showLabels(result.nifti, model!.labels);
    return result;
  });

button('features').onclick = () =>
  computing('computing features', 'features.nii', async (onProgress) => {
    const result = await compute.features(backendName(), onProgress);
    await viewer.showColours(result.nifti);
    return result;
  });

button('register').onclick = () =>
  computing('registering', 'warped.nii', async (onProgress) => {
    const result = await compute.register(backendName(), onProgress);
    await viewer.showWarped(result.nifti);
    say(
      'moving-text',
      `correlation with the first: ${result.ncc.map(({ stage, value }) => `${stage} ${value.toFixed(3)}`).join(', ')}`,
    );
    return result;
  });

const numberOf = (id: string): number => {
  const { value, min, max } = input(id);
  const number = Number(value);
  if (!Number.isInteger(number) || number < Number(min) || number > Number(max))
    throw new Error(`${id}: expected a whole number from ${min} to ${max}, found '${value}'`);
  return number;
};

button('train').onclick = () =>
  working('training-status', async () => {
    const request = {
      subjects: numberOf('subjects'),
      steps: numberOf('steps'),
      width: Number(element<HTMLSelectElement>('width').value),
      seed: 1,
    };
    curves.clear();
    losses.length = 0;
    button('stop').disabled = false;
    try {
      const done = await compute.train(
        backendName(),
        request,
        Comlink.proxy((subject: number) => say('training-status', `drawing patient ${subject} of ${request.subjects}`)),
        Comlink.proxy((step: number, loss: Readonly<Record<string, number>>, seconds: number) => {
          losses.push(loss);
          curves.add(step, loss);
          say(
            'training-status',
            `step ${step} of ${request.steps}, loss ${loss.total!.toFixed(4)}, ${seconds.toFixed(2)} s a step`,
          );
        }),
      );
      element('training-status').append(done === request.steps ? '; done' : '; stopped');
    } finally {
      button('stop').disabled = true;
    }
  });

button('stop').onclick = () => compute.stop();

await attempt('status', async () => {
  const { webgpu, cpu } = await compute.devices();
  const options = [...(webgpu === null ? [] : [['webgpu', `GPU (${webgpu})`]]), ['cpu', `CPU (${cpu})`]] as const;
  element('backend').append(...options.map(([value, text]) => new Option(text, value)));
  if (webgpu === null) say('status', 'This browser offers no GPU; the CPU computes.');
  await viewer.attach(element<HTMLCanvasElement>('viewer'));
});

/** For scripts and the tests. */
Object.assign(globalThis, { gvsl: { compute, Comlink, losses } });
