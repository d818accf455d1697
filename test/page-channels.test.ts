/** A model of two channels in the page's worker: what is taught and fine-tuned sees both. */
import { expect, it } from 'vitest';
import { Model, type PrepareImage } from '../src/apply/model.ts';
import { trainedNetwork } from '../src/apply/network.ts';
import { BACKGROUND_STROKE, Teacher } from '../src/apply/teaching/teacher.ts';
import { memorySubject } from '../src/cohort/memory-subjects.ts';
import type { Geometry, Volume, Xyz } from '../src/geometry/volume.ts';
import { type LoadedImage, loadedVolume } from '../src/images/loaded-image.ts';
import type { ModelConfiguration } from '../src/model/configuration.ts';
import { tinyModel } from '../src/model/node/interchange/testing/tiny-model.ts';
import { prepareChannels } from '../src/page/compute/channels.ts';
import { createBackend } from '../src/platform/node/backends.ts';
import { FineTuning } from '../src/training/task/fine-tune.ts';

const ENOUGH = { bytes: 2 ** 30, limit: 'the limit of this test' };
const MEMORY = { session: () => ENOUGH, results: () => ENOUGH };
const SIDE = 16;
const size: Xyz = [SIDE, SIDE, SIDE];
const geometry: Geometry = { size, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
const isInside = (v: number): boolean => v % SIDE >= 4 && v % SIDE < 10;
const volume = (of: (v: number) => number): Volume => ({
  geometry,
  data: Float32Array.from({ length: SIDE ** 3 }, (_, v) => of(v)),
});

const preprocessing: NonNullable<ModelConfiguration['preprocessing']> = {
  modality: 'mr',
  spacingMm: [1, 1, 1],
  intensity: 'minmax',
  crop: 'none',
  channels: [
    { name: 'T1', number: 0, scale: 'minmax' },
    { name: 'FLAIR', number: 1, scale: 'minmax' },
  ],
};

it('teaches and fine-tunes what the second channel alone shows', async () => {
  const { configuration, parameters } = tinyModel({ restoration: true }, { preprocessing, patch: [SIDE, SIDE, SIDE] }).model;
  const network = trainedNetwork('two', configuration, parameters);
  const channel = (label: string, of: (v: number) => number) => ({ label, image: loadedVolume(volume(of), label) });
  // the first one is the same everywhere but for its grain
  const channels = [channel('0', (v) => 100 + (v % 7)), channel('1', (v) => (isInside(v) ? 200 : 50) + (v % 5))];
  const [{ image }] = channels;
  const prepare: PrepareImage<LoadedImage> = async (_, of) => prepareChannels(channels, of);
  const strokes = {
    geometry,
    data: Uint8Array.from({ length: SIDE ** 3 }, (_, v) => (v % 11 ? 0 : isInside(v) ? 1 : BACKGROUND_STROKE)),
  };
  const labels = [
    { code: 0, name: 'background' },
    { code: 1, name: 'slab' },
  ];
  const backend = await createBackend('cpu', 1);
  const teacher = new Teacher<LoadedImage>(network, backend, MEMORY, prepare);
  await teacher.add('one', image);
  const { network: taught } = await teacher.learn(new Map([['one', strokes]]), labels);
  const { labels: found } = await teacher.segment('one');
  await teacher.close();
  const right = found.data.filter((code, v) => code === Number(isInside(v))).length;
  expect(right / SIDE ** 3).toBeGreaterThan(0.9);
  const model = new Model<LoadedImage>(taught, backend, MEMORY, prepare);
  expect((await model.segment(image)).labels.data).toEqual(found.data);
  await model.close();

  const subject = memorySubject('one', await prepare(image, network, 'one'), found);
  expect(subject.channels).toHaveLength(2);
  const tuning = await FineTuning.open({
    network,
    backend: await createBackend('cpu', 1),
    memory: MEMORY,
    training: [subject],
    validation: [subject],
    labels,
    configuration: { data: { patch: SIDE } },
  });
  const losses: number[] = [];
  await tuning.run({ steps: 2, evaluateEvery: 0, onStep: ({ loss }) => void losses.push(loss.total), onEvaluation: () => {} });
  expect(losses.every(Number.isFinite) && losses.length === 2).toBe(true);
  expect((await tuning.network()).network.configuration.preprocessing!.channels).toEqual(preprocessing.channels);
  await tuning.close();
});
