/** Several channels from prepared cohort to predictions: the label can be told by the second channel alone. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classifyImages } from '../../../apply/node/classify.ts';
import { embedImages } from '../../../apply/node/embed.ts';
import { load } from '../../../apply/node/load.ts';
import { registerImages } from '../../../apply/node/registration/register.ts';
import { segmentImages } from '../../../apply/node/segment.ts';
import { suggestSubjects } from '../../../apply/node/suggest.ts';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { prepareCohort } from '../../../cohort/node/prepare.ts';
import { EVERYTHING } from '../../../cohort/node/selection.ts';
import { SILENT } from '../../../common/progress.ts';
import { randomStream } from '../../../common/random.ts';
import { type Geometry, IDENTITY_3 } from '../../../geometry/volume.ts';
import { readImage } from '../../../images/node/read.ts';
import { writeImage } from '../../../images/node/write.ts';
import { exportModel } from '../../../model/node/interchange/export.ts';
import { readModel, resolveModel } from '../../../model/node/model-folder.ts';
import { STEM } from '../../../model/parameters.ts';
import { adaptedStem } from '../../start.ts';
import { TRANSFER } from '../../task/configuration.ts';
import { writeTinyCohort } from '../../testing/tiny-cohort.ts';
import { pretrain } from '../pretrain.ts';
import { pretrainingMaker } from '../pretraining-examples.ts';
import { parseConfiguration, parseConfigurationOf } from '../read-configuration.ts';
import { train } from './train.ts';

const root = mkdtempSync(join(tmpdir(), 'gvsl-channels-task-'));
const at = (...names: string[]): string => join(root, ...names);
const SIDE = 18;
const GRID: Geometry = { size: [SIDE, SIDE, SIDE], spacingMm: [2, 2, 2], originMm: [0, 0, 0], direction: IDENTITY_3 };

/** A ball that the first channel does not show, in noise. */
function subject(k: number) {
  const stream = randomStream(3, 'channels', k);
  const centre = Array.from({ length: 3 }, () => SIDE / 2 + stream.uniform(-2, 2));
  const [first, second, label] = [new Float32Array(SIDE ** 3), new Float32Array(SIDE ** 3), new Uint8Array(SIDE ** 3)];
  for (let i = 0; i < first.length; i++) {
    const distance = Math.hypot(
      (i % SIDE) - centre[0],
      (Math.floor(i / SIDE) % SIDE) - centre[1],
      Math.floor(i / SIDE ** 2) - centre[2],
    );
    first[i] = 300 + 40 * Math.sin(i / 50) + stream.uniform(0, 30);
    second[i] = 100 + 300 / (1 + Math.exp(2 * (distance - 5))) + stream.uniform(0, 20);
    label[i] = distance < 5 ? 1 : 0;
  }
  return [first, second, label].map((data) => ({ geometry: GRID, data }));
}

const configured = (out: object = {}) =>
  parseConfigurationOf(
    TRANSFER,
    {
      steps: 6,
      batch: 2,
      learningRate: 1e-2,
      threads: 1,
      init: at('pretrained'),
      log: { everySteps: 1, evaluateEverySteps: 3, picturesEverySteps: 6, checkpointEverySteps: 2 },
      data: { patch: 16, validation: 1, test: 1 },
      ...out,
    },
    [],
    'test',
  );
const pretraining = parseConfiguration(
  { steps: 4, threads: 1, model: { width: 0.125 }, data: { patch: 16, heldOut: 0, damage: { shufflingBoxes: 5 } } },
  [],
  'test',
);
const run = (out: string, configuration = configured(), resume = false, signal?: AbortSignal) =>
  train({ cohort: at('cohort'), out: at(out), configuration, resume, progress: SILENT, ...(signal ? { signal } : {}) });
const weights = async (out: string): Promise<Buffer> => readFile(join(at(out), 'last', 'model.safetensors'));

beforeAll(async () => {
  for (let k = 0; k < 6; k++) {
    const [first, second, label] = subject(k);
    await writeImage(at('source', 'imagesTr', `P${k}_0000.nii.gz`), first);
    await writeImage(at('source', 'imagesTr', `P${k}_0001.nii.gz`), second);
    await writeImage(at('source', 'labelsTr', `P${k}.nii.gz`), label);
  }
  writeFileSync(
    at('source', 'dataset.json'),
    JSON.stringify({ channel_names: { 0: 'T1', 1: 'FLAIR' }, labels: { background: 0, ball: 1 }, file_ending: '.nii.gz' }),
  );
  writeFileSync(
    at('classes.csv'),
    ['case,label', ...Array.from({ length: 6 }, (_, k) => `P${k},${k % 2 ? 'ill' : 'healthy'}`)].join('\n'),
  );
  await prepareCohort({
    source: at('source'),
    out: at('cohort'),
    options: { modality: 'mr', spacingMm: [2, 2, 2], size: null, crop: 'none', intensity: 'minmax' },
    selection: { ...EVERYTHING, channels: ['all'] },
    classes: at('classes.csv'),
    workers: 1,
  });
  await writeTinyCohort(at('one'), 4);
  await pretrain({ cohort: at('cohort'), out: at('pretrained'), configuration: pretraining, resume: false, progress: SILENT });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('pre-training on a cohort of several channels', () => {
  it('shows one channel of each sample, both images of a pair alike, drawn by step and sample', async () => {
    const cohort = await openCohort(at('cohort'));
    const job = { cohort: at('cohort'), training: cohort.subjects.map(({ id }) => id), configuration: pretraining };
    const [make, again] = [await pretrainingMaker(job), await pretrainingMaker(job)];
    const examples = await Promise.all(Array.from({ length: 8 }, (_, step) => make(step, 0)));
    expect(await again(5, 0)).toEqual(examples[5]);
    const { configuration } = await readModel(await resolveModel(at('pretrained')));
    expect(configuration.architecture).not.toHaveProperty('inputChannels');
    expect(configuration.preprocessing).not.toHaveProperty('channels');
  });

  it('goes on to the same bits, on any number of threads', async () => {
    const stop = new AbortController();
    let steps = 0;
    const progress = { ...SILENT, advance: () => void (++steps === 2 && stop.abort()) };
    const call = { cohort: at('cohort'), out: at('stopped'), configuration: { ...pretraining, threads: 2 } };
    await pretrain({ ...call, resume: false, progress, signal: stop.signal }).catch(() => undefined);
    await pretrain({ ...call, resume: true, progress: SILENT });
    expect(await weights('stopped')).toEqual(await weights('pretrained'));
  });
});

describe('a stem for several channels', () => {
  it('sees an image whose channels are all the same as the stem of one does', () => {
    const stem = { name: STEM, shape: [2, 1, 1, 1, 2], data: Float32Array.of(2, 4, 6, 8) };
    const { shape, data } = adaptedStem(stem, 2);
    expect([shape, [...data]]).toEqual([
      [2, 2, 1, 1, 2],
      [1, 2, 1, 2, 3, 4, 3, 4],
    ]);
    expect(adaptedStem(stem, 1)).toBe(stem);
  });

  it('is added up over the channels that it had, and shared out among those that it gets', () => {
    const stem = { name: STEM, shape: [1, 2, 1, 1, 2], data: Float32Array.of(1, 2, 3, 6) };
    expect([...adaptedStem(stem, 1).data]).toEqual([4, 8]);
    expect([...adaptedStem(stem, 4).data]).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
    expect(adaptedStem(stem, 2)).toBe(stem);
  });
});

describe('training on several channels', () => {
  it('starts from one channel, learns from all, and goes on to the same bits on any number of threads', async () => {
    const { best } = await run('segment');
    expect(best).not.toBeNull();
    const { configuration, parameters } = await readModel(await resolveModel(at('segment')));
    expect(configuration.architecture.inputChannels).toBe(2);
    expect(configuration.preprocessing!.channels!.map(({ name }) => name)).toEqual(['T1', 'FLAIR']);
    expect(parameters.get(STEM)!.shape.slice(1)).toEqual([2, 3, 3, 3]);
    const threads = { ...configured(), threads: 2 };
    await run('half', { ...threads, steps: 3 });
    await run('half', threads, true);
    expect(await weights('half')).toEqual(await weights('segment'));
  });

  it('segments cases of several channels, and names the channel that one lacks', async () => {
    const { steps: _, ...more } = configured();
    await run('longer', { ...more, steps: 40, log: { ...more.log, evaluateEverySteps: 20 } });
    await mkdir(at('new'));
    for (const file of ['P0_0000', 'P0_0001', 'P1_0000'])
      await copyFile(at('source', 'imagesTr', `${file}.nii.gz`), at('new', `${file}.nii.gz`));
    const report = await segmentImages({
      model: at('longer'),
      inputs: [at('new')],
      out: at('labels'),
      preview: true,
      csv: at('volumes.csv'),
    });
    expect(report.images.map(({ name }) => name)).toEqual(['P0']);
    expect(report.failed).toEqual([
      {
        path: at('new', 'P1_0000.nii.gz'),
        reason: 'its case P1 has no channel FLAIR (_0001); the model takes T1 (_0000), FLAIR (_0001)',
      },
    ]);
    const [found, truth] = [await readImage(at('labels', 'P0.nii.gz')), await readImage(at('source', 'labelsTr', 'P0.nii.gz'))];
    let [both, all] = [0, 0];
    truth.volume.data.forEach((value, i) => {
      both += value && found.volume.data[i] ? 2 : 0;
      all += (value ? 1 : 0) + (found.volume.data[i] ? 1 : 0);
    });
    expect(both / all).toBeGreaterThan(0.7);
    // the second file of the case means the same case
    const again = await segmentImages({ model: at('longer'), inputs: [at('new', 'P0_0001.nii.gz')], out: at('again') });
    expect(again.images.map(({ name, structures }) => [name, structures])).toEqual(
      report.images.map(({ name, structures }) => [name, structures]),
    );
    await expect(segmentImages({ model: at('longer'), inputs: [at('new')], out: at('no'), channel: 0 })).rejects.toThrow(
      'the model takes 2 channels together: T1, FLAIR',
    );
  });

  it('classifies, embeds and exports; volumes in memory are refused, saying why', async () => {
    await train({
      cohort: at('cohort'),
      out: at('classify'),
      configuration: configured({ task: 'classification' }),
      resume: false,
      progress: SILENT,
    });
    const { images } = await classifyImages({ model: at('classify'), inputs: [at('new', 'P0_0000.nii.gz')], out: at('classes') });
    expect(Object.keys(images[0].probabilities)).toEqual(['healthy', 'ill']);
    const embedded = await embedImages({ model: at('segment'), inputs: [at('new')], out: at('features') });
    expect(embedded.images.map(({ name }) => name)).toEqual(['P0']);
    expect([embedded.global, embedded.images[0].local]).toEqual([64, [8, SIDE, SIDE, SIDE]]);
    const { onnx } = await exportModel({
      model: at('segment'),
      onnx: at('model.onnx'),
      nnunet: at('for-nnunet'),
      monai: at('bundle'),
    });
    expect(onnx!.input.axes.slice(0, 2)).toEqual(['batch', 2]);
    const plan = JSON.parse(await readFile(at('for-nnunet', 'adaptation_plan.json'), 'utf8'));
    expect(plan.pretrain_num_input_channels).toBe(2);
    const { preprocessing } = JSON.parse(await readFile(at('bundle', 'configs', 'inference.json'), 'utf8'));
    expect(preprocessing.transforms[2].scales).toEqual(['minmax', 'minmax']);
    const model = await load(at('segment'), { threads: 1 });
    await expect(model.segment(subject(0)[0])).rejects.toThrow('the model takes 2 channels: T1, FLAIR');
    const { labels } = await model.segment(at('new', 'P0_0000.nii.gz'));
    expect(labels.geometry.size).toEqual(GRID.size);
    await model.close();
  });
});

describe('pre-training on all channels together', () => {
  const together = { ...pretraining, data: { ...pretraining.data, channels: 'all' as const } };
  const other = (k: number): string => at('source', 'imagesTr', `P${k}_0000.nii.gz`);
  const model = (out: string) => resolveModel(at(out)).then(readModel);
  beforeAll(async () => {
    await pretrain({ cohort: at('cohort'), out: at('together'), configuration: together, resume: false, progress: SILENT });
  });

  it('gives a training on the same channels its first convolution as it is', async () => {
    await run('from-together', configured({ init: at('together'), steps: 1, learningRate: 1e-12 }));
    const [before, after] = [await model('together'), await model('from-together')];
    expect(before.configuration.architecture.inputChannels).toBe(2);
    const [stem, trained] = [before, after].map(({ parameters }) => parameters.get(STEM)!);
    expect(trained.shape).toEqual(stem.shape);
    expect(Math.max(...trained.data.map((value, i) => Math.abs(value - stem.data[i])))).toBeLessThan(1e-9);
  });

  it('gives a pre-training on one channel a first convolution that is added up, and says so', async () => {
    const said: string[] = [];
    const progress = { ...SILENT, say: (text: string) => said.push(text) };
    await pretrain({
      cohort: at('cohort'),
      out: at('back'),
      configuration: { ...pretraining, steps: 1, init: at('together') },
      resume: false,
      progress,
    });
    expect((await model('back')).parameters.get(STEM)!.shape.slice(0, 2)).toEqual([8, 1]);
    expect(said.join('\n')).toContain('initial model: it sees 2 channels and this network 1: its first convolution was added up');
  });

  it('embeds cases, suggests by all channels, compares features, and exports', async () => {
    const embedded = await embedImages({ model: at('together'), inputs: [other(0)], out: at('together-features') });
    expect([embedded.global, embedded.images[0].local]).toEqual([64, [8, SIDE, SIDE, SIDE]]);
    const suggest = (from: string, threads: number) =>
      suggestSubjects({ cohort: at('cohort'), model: at(from), out: at(`next-${from}`), n: 2, labelled: [], threads });
    const [all, again, first] = [await suggest('together', 1), await suggest('together', 2), await suggest('pretrained', 1)];
    expect(again.suggested).toEqual(all.suggested);
    expect(first.suggested).toHaveLength(2);
    expect(first.meanDistance.after).not.toBe(all.meanDistance.after);
    await expect(
      suggestSubjects({ cohort: at('one'), model: at('together'), out: at('none'), n: 1, labelled: [], threads: 1 }),
    ).rejects.toThrow('has one channel, but');

    const open = await load(at('together'), { threads: 1 });
    expect(open.can.register).toBe(false);
    const comparison = await open.correspond(other(1), other(0));
    const centre = Array.from({ length: 3 }, () => SIDE - 1) as [number, number, number];
    expect(comparison.at('fixed', centre)).toMatchObject({ field: null, best: { similarity: expect.any(Number) } });
    const itself = await open.correspond(other(0), other(0));
    expect(itself.at('fixed', centre)?.best.similarity).toBeCloseTo(1, 5);
    await open.close();

    const { onnx } = await exportModel({
      model: at('together'),
      onnx: at('together.onnx'),
      nnunet: at('together-nnunet'),
      monai: at('together-monai'),
    });
    expect(onnx!.input.axes.slice(0, 2)).toEqual(['batch', 2]);
    const metadata = JSON.parse(await readFile(at('together-monai', 'configs', 'metadata.json'), 'utf8'));
    expect(metadata.network_data_format.inputs.image.num_channels).toBe(2);
  });

  it('is no registration, and register says which model would be one', async () => {
    await expect(
      registerImages({ model: at('together'), moving: other(1), fixed: other(0), out: at('registered') }),
    ).rejects.toThrow(/this network takes 2 channels together \(T1, FLAIR\).*use a model that was pre-trained on one channel/);
  });
});
