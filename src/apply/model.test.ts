import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProgressEvent } from '../common/progress.ts';
import type { Volume } from '../geometry/volume.ts';
import { readImage } from '../images/node/read.ts';
import { writeImage } from '../images/node/write.ts';
import { ALL_HEADS } from '../model/architecture.ts';
import type { ModelConfiguration } from '../model/configuration.ts';
import { writeTinyModel } from '../model/node/interchange/testing/tiny-model.ts';
import { readSafetensors } from '../model/node/safetensors.ts';
import { renderSubject } from '../phantom/subject.ts';
import type { Model } from './model.ts';
import { classifyImages } from './node/classify.ts';
import { embedImages } from './node/embed.ts';
import { type ImageInput, load } from './node/load.ts';
import { registerImages } from './node/registration/register.ts';
import { segmentImages } from './node/segment.ts';

const preprocessing: ModelConfiguration['preprocessing'] = {
  modality: 'ct',
  spacingMm: [10, 10, 10],
  intensity: 'minmax',
  crop: 'none',
};
const CODES = [0, 205, 420];
let folder: string;
let heart: Volume;
let other: Volume;
const at = (name: string): string => join(folder, name);
const models: Model<ImageInput>[] = [];
const open = async (name: string): Promise<Model<ImageInput>> => {
  const model = await load(at(name), { threads: 1 });
  models.push(model);
  return model;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-model-'));
  const labels = CODES.map((code) => ({ code, name: `structure ${code}` }));
  const patch: [number, number, number] = [16, 16, 16];
  await writeTinyModel(
    at('segmenter'),
    { segmentation: CODES.length },
    { preprocessing, task: { kind: 'segmentation', labels, patch } },
  );
  await writeTinyModel(
    at('classifier'),
    { classification: 1 },
    { preprocessing, task: { kind: 'classification', classes: ['healthy', 'ill'], patch } },
  );
  await writeTinyModel(at('matcher'), ALL_HEADS, { preprocessing, patch });
  const render = (subject: number): Volume => renderSubject({ kind: 'heart-ct', seed: 3, subject, spacingMm: 10 }).image;
  [heart, other] = [render(1), render(2)];
  await writeImage(at('heart.nii.gz'), heart);
  await writeImage(at('other.nii.gz'), other);
});
afterAll(async () => {
  for (const model of models) await model.close();
  await rm(folder, { recursive: true, force: true });
});

describe('a model in memory computes what the files hold', () => {
  it('segments', async () => {
    const model = await open('segmenter');
    expect(model.can).toEqual({ segment: true, classify: false, embed: true, register: false });
    const events: ProgressEvent[] = [];
    const found = await model.segment(heart, { probabilities: true, progress: (event) => events.push(event) });
    expect(events.at(-1)).toEqual({ done: found.windows, total: found.windows, unit: 'windows' });
    const again = await model.segment(at('heart.nii.gz'));
    expect(again.labels.data).toEqual(found.labels.data);
    expect(again.probabilities).toBe(null);
    // the open model, and its folder, through files
    const report = await segmentImages({ model, inputs: [at('heart.nii.gz')], out: at('labels'), probabilities: true });
    expect(report.images[0].structures).toEqual(found.structures);
    await segmentImages({ model: at('segmenter'), threads: 2, inputs: [at('heart.nii.gz')], out: at('labels-2') });
    for (const name of ['labels', 'labels-2']) {
      const { volume } = await readImage(at(`${name}/heart.nii.gz`));
      expect(Array.from(volume.data)).toEqual(Array.from(found.labels.data));
    }
    const { volume } = await readImage(at('labels/probabilities/heart_probability_205_structure-205.nii.gz'));
    expect(found.probabilities![1].data).toEqual(volume.data);
    const [background, first, second] = found.probabilities!.map(({ data }) => data[1000]);
    expect(background + first + second).toBeCloseTo(1, 5);
  });

  it('classifies', async () => {
    const model = await open('classifier');
    const found = await model.classify({ path: at('heart.nii.gz') });
    const { images } = await classifyImages({ model, inputs: [at('heart.nii.gz')], out: at('classes') });
    expect(images[0]).toMatchObject({ probabilities: found.probabilities, prediction: found.prediction });
    expect(found.probabilities.healthy + found.probabilities.ill).toBeCloseTo(1, 6);
    expect((await model.classify(heart)).probabilities).toEqual(found.probabilities);
    const { local, colours, global } = await model.embed(heart);
    expect([local, colours, global.length, model.can.embed]).toEqual([null, null, 64, false]);
    const embedded = await embedImages({ model, inputs: [at('heart.nii.gz')], out: at('global') });
    expect(embedded).toMatchObject({ global: 64, images: [{ local: null, files: ['heart.safetensors'] }] });
    expect((await readSafetensors(at('global/heart.safetensors'))).tensors.get('global')!.data).toEqual(global);
    await expect(model.segment(heart)).rejects.toThrow(/a network for classification; expected one for segmentation/);
  });

  it('embeds and registers, one after the other', async () => {
    const model = await open('matcher');
    // not awaited one by one: calls wait for one another
    const [features, found] = await Promise.all([
      model.embed(heart),
      model.register(at('other.nii.gz'), at('heart.nii.gz'), { start: 'stored' }),
    ]);
    await embedImages({ model, inputs: [at('heart.nii.gz')], out: at('features') });
    const { tensors } = await readSafetensors(at('features/heart.safetensors'));
    expect(features.global).toEqual(tensors.get('global')!.data);
    expect(features.local!.data).toEqual(tensors.get('local')!.data);
    expect(features.local!.shape).toEqual(tensors.get('local')!.shape);
    const parts = [1, 2].map((index) => ({ index, of: 2 }));
    const both = { model, inputs: [at('heart.nii.gz'), at('other.nii.gz')], out: at('vectors'), globalOnly: true };
    for (const part of parts) await embedImages({ ...both, part });
    expect((await embedImages(both)).images.map(({ files, local }) => [files, local])).toEqual([
      [[], null],
      [[], null],
    ]);
    const rows = async (name: string) => (await readFile(at(`vectors/${name}`), 'utf8')).trim().split('\n').slice(1);
    const inParts = (await Promise.all(parts.map(({ index }) => rows(`global-${index}-of-2.csv`)))).flat();
    expect(inParts.sort()).toEqual((await rows('global.csv')).sort());
    const [heartRow] = await rows('global.csv');
    expect(heartRow.split(',').slice(1).map(Number)).toEqual(Array.from(features.global));

    const report = await registerImages({
      model,
      moving: at('other.nii.gz'),
      fixed: at('heart.nii.gz'),
      out: at('registered'),
      start: 'stored',
    });
    const dataOf = async (name: string) => (await readImage(at(`registered/${name}`))).volume.data;
    expect(Array.from(found.warped.data)).toEqual(Array.from(await dataOf('warped.nii.gz')));
    expect(found.jacobian().data).toEqual(await dataOf('jacobian.nii.gz'));
    expect(found.affine).toEqual(report.affine);
    expect(found.ncc).toEqual(report.stages.map(({ stage, ncc: value, kept }) => ({ stage, value, kept })));
    const displacement = found.displacement();
    const { originMm } = displacement.geometry;
    const to = found.mapPoint(originMm);
    expect([0, 1, 2].map((k) => originMm[k] + displacement.data[k])).toEqual(to.map((mm) => expect.closeTo(mm, 3)));
    const { volume: moving } = await readImage(at('other.nii.gz'));
    expect(found.warp(moving, -1024).data).toEqual(found.warped.data);
    expect(found.warpLabels({ ...moving, data: new Uint8Array(moving.data.length).fill(7) }).data).toContain(7);
  });
});

describe('a model in memory is told what is wrong', () => {
  it('by arguments', async () => {
    const model = await open('segmenter');
    await expect(model.segment(heart, { window: 4 })).rejects.toThrow('`window` 4: expected one side from 8 to 512 voxels');
    await expect(model.segment(heart, { overlap: 1 })).rejects.toThrow('`overlap` 1: expected');
    await expect(model.segment({ ...heart, data: heart.data.subarray(1) })).rejects.toThrow(
      /^the image: it holds \d+ voxels, expected/,
    );
    await expect(model.segment(at('nothing.nii'))).rejects.toThrow(/nothing\.nii/);
    await expect(model.register(heart, other)).rejects.toThrow('no matching head');
    await expect(load(at('nowhere'))).rejects.toThrow(/nowhere: no such folder/);
    await expect(load(at('segmenter'), { modality: 'mr' })).rejects.toThrow(/`modality` mr: the model .* was trained on ct/);
    await expect(segmentImages({ model, modality: 'ct', inputs: [at('heart.nii.gz')], out: at('refused') })).rejects.toThrow(
      '`modality`: the model is open already; give it to load',
    );
  });

  it('stops between windows where a signal says so, writes nothing half, and goes on being of use', async () => {
    const model = await open('segmenter');
    const stop = new AbortController();
    const work = segmentImages({
      model,
      inputs: [at('heart.nii.gz'), at('other.nii.gz')],
      out: at('stopped'),
      signal: stop.signal,
      progress: ({ done, unit }) => {
        if (unit === 'windows' && done === 2) stop.abort(new Error('enough'));
      },
    });
    await expect(work).rejects.toThrow('enough');
    await expect(readFile(at('stopped/segment.json'))).rejects.toThrow('ENOENT');
    await expect(readFile(at('stopped/heart.nii.gz'))).rejects.toThrow('ENOENT');
    await expect(model.segment(heart, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    expect((await model.segment(heart)).windows).toBeGreaterThan(2);
  });

  it('that it is closed', async () => {
    const model = await open('segmenter');
    await model.close();
    await model.close();
    await expect(model.segment(heart)).rejects.toThrow('the model is closed');
  });
});
