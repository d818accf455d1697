import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Volume } from '../geometry/volume.ts';
import { readImage } from '../images/node/read.ts';
import { writeImage } from '../images/node/write.ts';
import type { ModelConfiguration } from '../model/configuration.ts';
import { writeTinyModel } from '../model/node/interchange/testing/tiny-model.ts';
import { renderSubject } from '../phantom/subject.ts';
import { probabilityText } from './classification.ts';
import { classifyImages } from './node/classify.ts';
import { partFile } from './node/inputs.ts';
import { load } from './node/load.ts';
import { segmentImages } from './node/segment.ts';
import { combinations, entropyInto, mirrored, openPredictor, uncertaintyOf } from './prediction.ts';
import type { MirrorAxis } from './prediction-options.ts';

let folder: string;
let heart: Volume;
const at = (...names: string[]): string => join(folder, ...names);
const preprocessing: ModelConfiguration['preprocessing'] = {
  modality: 'ct',
  spacingMm: [10, 10, 10],
  intensity: 'minmax',
  crop: 'none',
};
const patch: [number, number, number] = [16, 16, 16];
const NAMES = ['background', 'aorta', 'myocardium'];

const writeSegmenter = (
  name: string,
  seed: number,
  changes: Partial<ModelConfiguration> = {},
  names: readonly string[] = NAMES,
) =>
  writeTinyModel(
    at(name),
    { segmentation: names.length },
    {
      preprocessing,
      task: { kind: 'segmentation', labels: names.map((label, code) => ({ code, name: label })), patch },
      ...changes,
    },
    seed,
  );

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-prediction-'));
  await writeSegmenter('a', 3);
  await writeSegmenter('b', 8);
  heart = renderSubject({ kind: 'heart-ct', seed: 3, subject: 1, spacingMm: 10 }).image;
  await writeImage(at('heart.nii.gz'), heart);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const probabilitiesOf = async (models: readonly string[], options: object = {}): Promise<Float32Array[]> => {
  const model = await load(
    models.map((name) => at(name)),
    { threads: 1 },
  );
  const { probabilities } = await model.segment(heart, { probabilities: true, ...options });
  await model.close();
  return probabilities!.map(({ data }) => data);
};
const largestGap = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

it('tables keep apart what single precision does, and parts their files', () => {
  const next = new Float32Array([0, 1e-9, 2e-9, 0.1, 0.1 + 2 ** -27, 1 - 2 ** -24, 1]);
  const written = Array.from(next, (probability) => Number(probabilityText(probability)));
  expect(new Set(written).size).toBe(next.length);
  expect(written).toEqual([...written].sort((a, b) => a - b));
  const part = { index: 3, of: 7 };
  expect(['classes.csv', 'a.b/volumes', 'x.t2'].map((name) => partFile(name, part))).toEqual([
    'classes-3-of-7.csv',
    'a.b/volumes-3-of-7',
    'x-3-of-7.t2',
  ]);
});

describe('several models together', () => {
  it('predict the mean of their probabilities', async () => {
    const [[a], [b], [both]] = [await probabilitiesOf(['a']), await probabilitiesOf(['b']), await probabilitiesOf(['a', 'b'])];
    expect(largestGap(a, b)).toBeGreaterThan(0.01);
    const mean = a.map((value, i) => (value + b[i]) / 2);
    expect(largestGap(mean, both)).toBeLessThan(1e-5);
  });

  it('are refused where they do not predict the same, with what differs', async () => {
    await writeSegmenter('codes', 1, {
      task: { kind: 'segmentation', labels: [0, 7, 9].map((code) => ({ code, name: `label ${code}` })), patch },
    });
    await writeSegmenter('spacing', 1, { preprocessing: { ...preprocessing!, spacingMm: [5, 5, 5] } });
    await writeTinyModel(
      at('classifier'),
      { classification: 1 },
      { preprocessing, task: { kind: 'classification', classes: ['healthy', 'ill'], patch } },
    );
    const together = (...names: string[]) =>
      segmentImages({ model: names.map((name) => at(name)), inputs: [at('heart.nii.gz')], out: at('refused'), threads: 1 });
    await expect(together('a', 'codes')).rejects.toThrow(/the label codes must be the same; .*0, 1, 2; .*0, 7, 9/);
    await expect(together('a', 'spacing')).rejects.toThrow(/the voxel size \(mm\) must be the same/);
    await expect(together('a', 'classifier')).rejects.toThrow(/the task must be the same/);
    await expect(together('a', 'a')).rejects.toThrow('is named twice');
    await expect(together()).rejects.toThrow('expected at least one model');
  });

  it('classify by the mean too; features and registration take one model', async () => {
    const task = { kind: 'classification' as const, classes: ['healthy', 'ill'], patch };
    for (const seed of [1, 2]) await writeTinyModel(at(`class-${seed}`), { classification: 1 }, { preprocessing, task }, seed);
    const classify = async (...names: string[]) => {
      const call = { model: names.map((name) => at(name)), inputs: [at('heart.nii.gz')], out: at('classes'), threads: 1 };
      const { images, models } = await classifyImages(call);
      expect(models.length).toBe(names.length);
      return images[0].probabilities.ill;
    };
    const [one, two] = [await classify('class-1'), await classify('class-2')];
    expect(await classify('class-1', 'class-2')).toBeCloseTo((one + two) / 2, 6);
    const model = await load([at('class-1'), at('class-2')], { threads: 1 });
    await expect(model.embed(heart)).rejects.toThrow(/takes one model; got 2/);
    await model.close();
  });
});

describe('mirroring', () => {
  it('mirrors along the named axes, and back', () => {
    const values = Float32Array.from({ length: 2 * 2 * 3 * 2 }, (_, i) => i);
    expect(Array.from(mirrored(values, [2, 3, 2], ['x']).slice(0, 4))).toEqual([1, 0, 3, 2]);
    expect(Array.from(mirrored(values, [2, 3, 2], ['y', 'z']).slice(0, 4))).toEqual([10, 11, 8, 9]);
    for (const axes of combinations(['x', 'y', 'z']))
      expect(mirrored(mirrored(values, [2, 3, 2], axes), [2, 3, 2], axes)).toEqual(values);
    expect(combinations(['x', 'z'])).toEqual([[], ['x'], ['z'], ['x', 'z']]);
  });

  it('classifies by the mean of a scan and its mirror image; not where classes tell sides apart', async () => {
    const task = { kind: 'classification' as const, classes: ['healthy', 'ill'], patch };
    await writeTinyModel(at('class'), { classification: 1 }, { preprocessing, task }, 3);
    await writeTinyModel(at('sided'), { classification: 1 }, { preprocessing, task: { ...task, classes: ['left', 'right'] } });
    const [nx] = heart.geometry.size;
    const other = { ...heart, data: heart.data.map((_, i) => heart.data[i - (i % nx) + nx - 1 - (i % nx)]) };
    const model = await load(at('class'), { threads: 1 });
    const ill = async (scan: typeof heart, mirror: MirrorAxis[] = []) =>
      (await model.classify(scan, { mirror })).probabilities.ill;
    const [one, two] = [await ill(heart), await ill(other)];
    expect(one).not.toBe(two);
    expect(await ill(heart, ['x'])).toBeCloseTo((one + two) / 2, 5);
    expect(await ill(heart, [])).toBe(one);
    await model.close();
    const call = { inputs: [at('heart.nii.gz')], out: at('mirrored'), threads: 1, mirror: ['x' as const] };
    expect(await classifyImages({ ...call, model: at('class') })).toMatchObject({
      mirror: ['x'],
      images: [{ probabilities: { ill: expect.closeTo((one + two) / 2, 5) } }],
    });
    await expect(classifyImages({ ...call, model: at('sided') })).rejects.toThrow(
      'swaps left and right, which the classes left, right tell apart',
    );
  });

  it('predicts for a mirrored scan the mirrored map', async () => {
    // the grid's x runs to the patient's left: mirrored in it, the patient is
    const [nx] = heart.geometry.size;
    const other = { ...heart, data: heart.data.map((_, i) => heart.data[i - (i % nx) + nx - 1 - (i % nx)]) };
    const model = await load(at('a'), { threads: 1 });
    const [one, two] = [
      await model.segment(heart, { mirror: ['x'], probabilities: true }),
      await model.segment(other, { mirror: ['x'], probabilities: true }),
    ];
    await model.close();
    const back = one.probabilities![1].data.map((_, i) => two.probabilities![1].data[i - (i % nx) + nx - 1 - (i % nx)]);
    expect(largestGap(one.probabilities![1].data, back)).toBeLessThan(1e-4);
  });

  it('refuses axes that are none, and left and right where names tell them apart', async () => {
    await writeSegmenter('sides', 1, {}, ['background', 'Left-Hippocampus', 'kidney_R', 'vertebra L1']);
    const segment = (name: string, mirror: string[]) =>
      segmentImages({ model: at(name), inputs: [at('heart.nii.gz')], out: at('refused'), threads: 1, mirror: mirror as never });
    await expect(segment('a', ['q'])).rejects.toThrow("`mirror` q: expected axes of x, y, z; found 'q'");
    await expect(segment('sides', ['x', 'y'])).rejects.toThrow(
      /swaps left and right, which the structures Left-Hippocampus, kidney_R tell/,
    );
    const flips = { data: { augmentation: { flips: ['y'] } } };
    await writeSegmenter('flipped', 1, { training: flips });
    const { warnings } = await segment('flipped', ['y', 'z']);
    expect(warnings).toEqual([expect.stringContaining('was not trained with flips along z')]);
  });
});

describe('uncertainty', () => {
  it('is the entropy of the mean, and the part of it that comes from disagreement', async () => {
    const out = new Float32Array(3);
    entropyInto(Float32Array.of(1, 0.5, 0, 0, 0.5, 1), 2, out);
    expect(Array.from(out)).toEqual([0, 1, 0]);
    expect(Array.from(uncertaintyOf(Float32Array.of(1, 0.5, 0, 0.5), 2, 'entropy'))).toEqual([0, 1]);
    // of three voxels: sure of different classes, unsure alike, one surer than the other
    const says = [
      [1, 0.5, 0.9, 0, 0.5, 0.1],
      [0, 0.5, 0.6, 1, 0.5, 0.4],
    ];
    const members = says.map((values) => ({
      session: { run: async () => ({ probabilities: Float32Array.from(values) }) },
      load: async () => {},
    }));
    const network = { configuration: { task: { kind: 'segmentation', labels: [{}, {}] } } };
    const open = { network, members: async () => members } as unknown as Parameters<typeof openPredictor>[0];
    const predictor = await openPredictor(open, { window: [1, 1, 3], mirror: [], spread: true });
    expect(predictor.channels).toBe(3);
    const plane = (await predictor.predict(new Float32Array(3), [0, 0, 0])) as Float32Array;
    const bits = (p: number): number => -p * Math.log2(p) - (1 - p) * Math.log2(1 - p);
    const found = uncertaintyOf(plane, 2, 'disagreement');
    for (const [v, wanted] of [1, 0, bits(0.75) - (bits(0.9) + bits(0.6)) / 2].entries()) expect(found[v]).toBeCloseTo(wanted, 6);
  });

  it('of a network and its copy is no disagreement, where windows overlap and on another grid too', async () => {
    await writeSegmenter('a-copy', 3);
    const model = await load([at('a'), at('a-copy')], { threads: 1 });
    const { labels, uncertainty } = await model.segment(heart, { uncertainty: 'disagreement', overlap: 0.75 });
    await model.close();
    expect(new Set(labels.data).size).toBeGreaterThan(1);
    expect(Math.max(...uncertainty!.data)).toBeLessThan(1e-6);
  });

  it('is written on the grid of the scan, and needs several predictions to disagree', async () => {
    const call = { inputs: [at('heart.nii.gz')], out: at('unsure'), threads: 1 };
    await expect(segmentImages({ ...call, model: at('a'), uncertainty: 'disagreement' })).rejects.toThrow('needs several models');
    const { images } = await segmentImages({
      ...call,
      model: [at('a'), at('b')],
      uncertainty: 'disagreement',
      probabilities: true,
    });
    expect(images[0].files).toContain('uncertainty/heart_disagreement.nii.gz');
    const { volume } = await readImage(at('unsure/uncertainty/heart_disagreement.nii.gz'));
    const model = await load([at('a'), at('b')], { threads: 1 });
    const found = await model.segment(heart, { uncertainty: 'disagreement', probabilities: true });
    await model.close();
    expect(volume.data).toEqual(found.uncertainty!.data);
    expect(Math.max(...found.uncertainty!.data)).toBeGreaterThan(0);
    expect(Math.min(...found.uncertainty!.data)).toBeGreaterThanOrEqual(0);
    const { volume: probability } = await readImage(at('unsure/probabilities/heart_probability_1_aorta.nii.gz'));
    expect(probability.data).toEqual(found.probabilities![1].data);
  });
});

describe('what people use', () => {
  it('a table of structures, and a picture', async () => {
    const csv = at('volumes.csv');
    const { images } = await segmentImages({
      ...{ model: at('a'), inputs: [at('heart.nii.gz')], out: at('used'), threads: 1 },
      ...{ csv, preview: true, keepLargest: true },
    });
    const lines = (await readFile(csv, 'utf8')).trim().split('\n');
    expect(lines[0]).toContain('image,code,structure,voxels,volumeMl,meanIntensity,sdIntensity,p5Intensity');
    expect(lines.length).toBe(3);
    const { labels, structures } = await load(at('a'), { threads: 1 }).then(async (model) => {
      const found = await model.segment(heart, { keepLargest: true });
      await model.close();
      return found;
    });
    expect(images[0].structures).toEqual(structures);
    const fields = lines[1].split(',');
    const inside = [...heart.data].filter((_, i) => labels.data[i] === 1);
    expect([fields[0], fields[1], fields[2], Number(fields[3])]).toEqual(['heart', '1', 'aorta', inside.length]);
    if (inside.length > 0) expect(Number(fields[5])).toBeCloseTo(inside.reduce((sum, v) => sum + v, 0) / inside.length, 2);
    const png = await readFile(at('used/previews/heart.png'));
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect(images[0].removed!.map(({ code }) => code)).toEqual([1, 2]);
  });

  it('post-processing that the model stores is applied, unless it is left out', async () => {
    await writeSegmenter('tidy', 3, { postProcessing: [{ code: 1, keepLargest: true, minVolumeMm3: 0 }] });
    const segment = async (options: object) =>
      await segmentImages({ model: at('tidy'), inputs: [at('heart.nii.gz')], out: at('tidied'), threads: 1, ...options });
    expect((await segment({})).postProcessing).toEqual([{ code: 1, keepLargest: true, minVolumeMm3: 0 }]);
    expect((await segment({ postProcessing: false })).postProcessing).toEqual([]);
    expect((await segment({ minVolume: 2, keepLargest: [2] })).postProcessing).toEqual([
      { code: 1, keepLargest: true, minVolumeMm3: 2000 },
      { code: 2, keepLargest: true, minVolumeMm3: 2000 },
    ]);
    await expect(segment({ keepLargest: [3] })).rejects.toThrow('no structure of the model has this code; it has 1, 2');
    await expect(segment({ minVolume: -1 })).rejects.toThrow('expected a volume in ml');
    const { warnings, postProcessing } = await segment({ model: [at('tidy'), at('b')] });
    expect(postProcessing).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('store different post-processing')]);
  });
});
