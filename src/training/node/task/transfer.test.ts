import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classifyImages } from '../../../apply/node/classify.ts';
import { embedImages } from '../../../apply/node/embed.ts';
import { segmentImages } from '../../../apply/node/segment.ts';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { UsageError } from '../../../common/errors.ts';
import { SILENT } from '../../../common/progress.ts';
import { randomStream } from '../../../common/random.ts';
import type { Geometry, Matrix3, Xyz } from '../../../geometry/volume.ts';
import { readImage } from '../../../images/node/read.ts';
import { writeImage } from '../../../images/node/write.ts';
import { readModel, resolveModel } from '../../../model/node/model-folder.ts';
import { createBackend } from '../../../platform/node/backends.ts';
import { applyAugmentation, NO_AUGMENTATION, sampleAugmentation } from '../../task/augment.ts';
import { classIndices } from '../../task/classes.ts';
import { TRANSFER, type TransferConfiguration } from '../../task/configuration.ts';
import { dicePerClass } from '../../task/evaluate.ts';
import { oneHot } from '../../task/examples.ts';
import { writeTinyCohort } from '../../testing/tiny-cohort.ts';
import { pretrain } from '../pretrain.ts';
import { parseConfiguration, parseConfigurationOf } from '../read-configuration.ts';
import { bytesBeside } from './examples.ts';
import { cropFeatures } from './features.ts';
import { splitForTask } from './split.ts';
import { taskOf } from './task.ts';
import { train } from './train.ts';

const expectedChannel = 'skipped: another channel of its subject; one channel is used (_0000)';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

/** A bright ball on a grid of any orientation and spacing, in which it lies askew. */
function ball(size: Xyz, spacingMm: Xyz, direction: Matrix3): { geometry: Geometry; data: Int16Array } {
  const geometry: Geometry = { size, spacingMm, originMm: [-20, 30, 5], direction };
  const data = new Int16Array(size[0] * size[1] * size[2]);
  for (let z = 0, i = 0; z < size[2]; z++)
    for (let y = 0; y < size[1]; y++)
      for (let x = 0; x < size[0]; x++, i++) {
        const distance = Math.hypot(
          (x - size[0] / 2) * spacingMm[0],
          (y - size[1] / 2) * spacingMm[1],
          (z - size[2] / 2) * spacingMm[2],
        );
        data[i] = Math.round(100 + 500 / (1 + Math.exp(distance - 10)) + ((7 * i) % 13));
      }
  return { geometry, data };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-transfer-'));
  await writeTinyCohort(at('cohort'), 8);
  await pretrain({
    cohort: at('cohort'),
    out: at('pretrained'),
    configuration: parseConfiguration(
      { steps: 2, threads: 1, model: { width: 0.125 }, data: { patch: 16, heldOut: 0, damage: { shufflingBoxes: 5 } } },
      [],
      'test',
    ),
    resume: false,
    progress: SILENT,
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const configured = (changes: Record<string, unknown> = {}, data: object = {}): TransferConfiguration =>
  parseConfigurationOf(
    TRANSFER,
    {
      steps: 6,
      batch: 2,
      learningRate: 1e-2,
      threads: 1,
      init: at('pretrained'),
      log: { everySteps: 1, evaluateEverySteps: 3, picturesEverySteps: 6, checkpointEverySteps: 2 },
      data: { patch: 16, validation: 2, test: 2, ...data },
      ...changes,
    },
    [],
    'test',
  );
const run = (out: string, configuration: TransferConfiguration, resume = false, signal?: AbortSignal) =>
  train({ cohort: at('cohort'), out: at(out), configuration, resume, progress: SILENT, ...(signal ? { signal } : {}) });
const stateOf = async (out: string): Promise<Buffer> =>
  Buffer.concat(
    await Promise.all(
      ['model.safetensors', 'config.json', 'state.safetensors', 'state.json'].map((name) => readFile(at(out, 'last', name))),
    ),
  );

describe('splitForTask', () => {
  const data = (changes: object = {}) => configured({}, changes);

  it('keeps training, validation and test apart, and numbers of labels nested for a seed', async () => {
    const cohort = await openCohort(at('cohort'));
    const { training, validation, test } = await splitForTask(cohort, data());
    const ids = [...training, ...validation, ...test].map(({ id }) => id);
    expect(new Set(ids).size).toBe(8);
    expect([training.length, validation.length, test.length]).toEqual([4, 2, 2]);
    const two = await splitForTask(cohort, data({ labels: 2 }));
    const three = await splitForTask(cohort, data({ labels: 3 }));
    expect(three.training.slice(0, 2)).toEqual(two.training);
    expect(two.test).toEqual(test);
    const fold = await Promise.all([1, 2, 3].map((k) => splitForTask(cohort, data({ test: 0, folds: 3, fold: k }))));
    expect(new Set(fold.flatMap((split) => split.validation.map(({ id }) => id))).size).toBe(8);
  });

  it('refuses more labels than there are, a subject in two parts, and subjects that are not there', async () => {
    const cohort = await openCohort(at('cohort'));
    await expect(splitForTask(cohort, data({ labels: 5 }))).rejects.toThrow('only 4 labelled subjects');
    await expect(splitForTask(cohort, data({ validation: 6, test: 2 }))).rejects.toThrow('no training subjects left');
    await expect(splitForTask(cohort, data({ fold: 3 }))).rejects.toThrow('`data.fold` 3: there is one fold');
    await expect(splitForTask(cohort, data({ folds: 2, fold: 3 }))).rejects.toThrow('`data.fold` 3: there are 2 folds');
    const folds = data({ folds: 2, fold: 1, split: 'split.json' });
    await expect(splitForTask(cohort, folds)).rejects.toThrow('a file names one split');
    const file = at('split.json');
    const withFile = (document: unknown) =>
      writeFile(file, JSON.stringify(document)).then(() => splitForTask(cohort, data({ split: file })));
    await expect(withFile({ training: ['tiny_0'], test: ['tiny_0'] })).rejects.toThrow(
      "subject 'tiny_0' is in training and in test",
    );
    await expect(withFile({ training: ['nobody'] })).rejects.toThrow("there is no subject 'nobody'");
    await expect(withFile({ training: [] })).rejects.toThrow('training: found a list of 0; expected {"training"');
    await expect(withFile({ train: ['tiny_0'] })).rejects.toThrow('unknown key train; expected {"training"');
    await expect(withFile([{ train: ['tiny_0'] }])).rejects.toThrow('found a list of 1; expected {"training"');
    await expect(withFile({ test: ['tiny_0'] })).rejects.toThrow('training: is missing; expected {"training"');
    await expect(withFile({ training: ['tiny_0', 3] })).rejects.toThrow('training.1: found 3; expected {"training"');
    await expect(withFile({ training: ['tiny_0.nii.gz'] })).rejects.toThrow("'tiny_0.nii.gz' in ");
    await expect(splitForTask(cohort, data({ split: at('nofile.json') }))).rejects.toThrow('no such file; expected {"training"');
    await expect(splitForTask(cohort, data({ split: folder }))).rejects.toThrow('is a folder; expected {"training"');
    await writeFile(file, '{"training": ["tiny_0"], "training": ["tiny_1"]}');
    await expect(splitForTask(cohort, data({ split: file }))).rejects.toThrow('"training" occurs more than once');
    expect((await withFile({ training: ['tiny_0'], test: ['tiny_1'] })).test.map(({ id }) => id)).toEqual(['tiny_1']);
  });
});

describe('taskOf', () => {
  it('takes the codes that are there, and refuses others', async () => {
    const cohort = await openCohort(at('cohort'));
    const task = await taskOf(cohort, configured());
    expect(task).toMatchObject({ kind: 'segmentation', labels: [{ code: 0 }, { code: 500, name: 'label 500' }] });
    await expect(taskOf(cohort, configured({}, { labelCodes: [420] }))).rejects.toThrow('not in any label map of');
    await expect(taskOf(cohort, configured({}, { labelCodes: [0] }))).rejects.toThrow('0 is the background');
    expect(await taskOf(cohort, configured({ task: 'classification' }))).toMatchObject({ classes: ['healthy', 'ill'] });
    if (task.kind !== 'segmentation') throw new Error('not a segmentation');
    expect([...classIndices([0, 500, 7], task)]).toEqual([0, 1, 0]);
    expect([...oneHot([0, 1], 2, 2)]).toEqual([1, 0, 0, 1]);
    expect(dicePerClass(Uint8Array.of(0, 1, 1, 2), Uint8Array.of(0, 1, 2, 2), 4)).toEqual([2 / 3, 2 / 3, null]);
  });
});

describe('augmentation', () => {
  it('changes nothing by the empty plan, mirrors exactly, and moves labels with the image', () => {
    const random = randomStream(5, 'augment');
    const image = Float32Array.from({ length: 60 }, () => random.uniform());
    const labels = Uint16Array.from(image, (value) => (value > 0.5 ? 2 : 0));
    expect(applyAugmentation(image, labels, [3, 4, 5], NO_AUGMENTATION)).toEqual({ image, labels });
    const flip = { ...NO_AUGMENTATION, flip: [true, false, true] as const };
    const once = applyAugmentation(image, labels, [3, 4, 5], flip);
    expect(once.image[0]).toBe(image[2 * 20 + 4]);
    expect(applyAugmentation(once.image, once.labels, [3, 4, 5], flip)).toEqual({ image, labels });
    expect([...once.labels!]).toEqual(Array.from(once.image, (value) => (value > 0.5 ? 2 : 0)));
    const options = { spatialProbability: 1, spatial: {}, intensityProbability: 1, flips: ['x'] as const };
    const plan = sampleAugmentation(randomStream(1, 'plan'), [3, 4, 5], options);
    expect(sampleAugmentation(randomStream(1, 'plan'), [3, 4, 5], options)).toEqual(plan);
    const changed = applyAugmentation(image, labels, [3, 4, 5], plan);
    expect(Math.min(...changed.image)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...changed.image)).toBeLessThanOrEqual(1);
  });
});

describe('memory beside the session', () => {
  it('counts the examples that are made ahead and one truth of all classes, so 100 classes at 128^3 are 840 MB once', () => {
    const task = (classes: number) =>
      ({
        kind: 'segmentation',
        labels: Array.from({ length: classes }, (_, code) => ({ code, name: `${code}` })),
        patch: [128, 128, 128],
      }) as const;
    const bytes = (classes: number, batch: number): number => bytesBeside(0, [128, 128, 128], batch, task(classes) as never);
    expect(bytes(100, 1) - bytes(2, 1)).toBe(4 * 98 * 128 ** 3);
    // more examples cost an image and two bytes a voxel each, whatever the classes
    expect(bytes(100, 3) - bytes(100, 2)).toBe(4 * 6 * 128 ** 3);
    // the parameters that it starts from, and a checkpoint's three copies
    expect(bytesBeside(1000, [16, 16, 16], 1, task(2) as never) - bytesBeside(0, [16, 16, 16], 1, task(2) as never)).toBe(16_000);
  });
});

describe('cropFeatures', () => {
  it('takes a box, zero outside', () => {
    const features = { size: [2, 2, 3] as const, channels: 2, data: Float32Array.from({ length: 24 }, (_, i) => i + 1) };
    expect([...cropFeatures(features, [1, 0, 2], [1, 2, 2])]).toEqual([9, 0, 12, 0, 21, 0, 24, 0]);
    expect([...cropFeatures(features, [0, 0, 5], [1, 1, 1])]).toEqual([0, 0]);
  });
});

describe('train', () => {
  it('fine-tunes: the same bytes in one go and resumed, better with steps, tested on its best state', async () => {
    const whole = await run('whole', configured());
    expect(whole).toMatchObject({
      step: 6,
      finished: true,
      stoppedEarly: false,
      subjects: { training: 4, validation: 2, test: 2 },
    });
    expect(whole.test!.subjects).toHaveLength(2);
    const stop = new AbortController();
    const stopped = run('parts', configured(), false, stop.signal);
    setTimeout(() => stop.abort(), 300);
    const part = await stopped;
    if (!part.finished) await run('parts', configured(), true);
    expect(await stateOf('parts')).toEqual(await stateOf('whole'));
    // with everything that is off by default
    const all = { warmupSteps: 2, accumulate: 2, gradientClip: 0.1, weightDecay: 0.1, emaDecay: 0.5, steps: 4 };
    await run('all', configured(all));
    await run('all-parts', configured({ ...all, steps: 2 }));
    await run('all-parts', configured(all), true);
    expect(await stateOf('all-parts')).toEqual(await stateOf('all'));
    await expect(run('whole', configured({ learningRate: 1 }), true)).rejects.toThrow('learningRate: was 0.01, now 1');
    const { configuration } = await readModel(await resolveModel(at('whole')));
    expect(configuration).toMatchObject({
      task: { kind: 'segmentation', labels: [{ code: 0 }, { code: 500 }], patch: [16, 16, 16] },
      architecture: { width: 0.125, heads: { segmentation: 2 } },
      training: { mode: 'finetune' },
    });
  });

  it('linear evaluation leaves the backbone as it is, bit by bit, and learns from features computed once', async () => {
    await run('linear', configured({ mode: 'linear' }));
    // also where weights decay, and with an average, which rounds
    await run('linear-decayed', configured({ mode: 'linear', steps: 3, weightDecay: 0.5, emaDecay: 0.7 }));
    const before = await readModel(await resolveModel(at('pretrained')));
    for (const out of ['linear', 'linear-decayed']) {
      const after = await readModel(await resolveModel(at(out, 'last')));
      for (const [name, { data }] of after.parameters)
        if (name.startsWith('unet.')) expect(data, `${out}, ${name}`).toEqual(before.parameters.get(name)!.data);
    }
    const steps = (await readFile(at('linear', 'metrics.jsonl'), 'utf8'))
      .split('\n')
      .filter((line) => line.includes('"kind":"step"'));
    const losses = steps.map((line) => (JSON.parse(line) as { loss: { total: number } }).loss.total);
    expect(losses.at(-1)!).toBeLessThan(losses[0]);
  });

  it('stops where validation gets no better, and goes no further when resumed', async () => {
    const still = configured({ steps: 40, learningRate: 1e-12, earlyStopEvaluations: 2 });
    const result = await run('still', still);
    expect(result).toMatchObject({ stoppedEarly: true, finished: true });
    expect(result.step).toBeLessThan(40);
    expect(await run('still', still, true)).toMatchObject({ step: result.step, stoppedEarly: true });
  });

  it('classifies with the encoder alone', async () => {
    const result = await run('classes', configured({ task: 'classification' }));
    expect(result.evaluation).toMatchObject({ dice: null, subjects: 2 });
    const { parameters } = await readModel(await resolveModel(at('classes', 'last')));
    expect([...parameters.keys()].filter((name) => name.startsWith('unet.up'))).toEqual([]);
    // to segment, its decoder starts anew, and that is said
    const said: string[] = [];
    const progress = { ...SILENT, say: (text: string) => void said.push(text) };
    const configuration = configured({ init: at('classes'), steps: 1 });
    await train({ cohort: at('cohort'), out: at('from-classes'), configuration, progress });
    expect(said[0]).toMatch(/start .*classes: encoder; starting anew: decoder, out_conv; all parameters trained/);
    expect(said[0]).toContain('warning    initial model: it has no decoder, which starts at random');
    const { start } = JSON.parse(await readFile(at('from-classes', 'run.json'), 'utf8'));
    expect(start).toEqual({ taken: ['encoder'], anew: ['decoder', 'out_conv'] });
  });

  it('refuses another width than the model has, and a model that is not there', async () => {
    await expect(run('wide', configured({ model: { width: 1 } }))).rejects.toThrow('has width 0.125');
    await expect(run('none', configured({ init: at('nowhere') }))).rejects.toThrow('no such folder');
  });
});

describe('applying a model', () => {
  const backend = () => createBackend('cpu', 1);
  /** Axes in another order than RAS, and mirrored. */
  const turned: Matrix3 = [0, 0, -1, 1, 0, 0, 0, -1, 0];

  it("segments on the image's own grid with the codes of training", async () => {
    await run('segmenter', configured({ steps: 60, batch: 1, log: { evaluateEverySteps: 0 } }));
    const image = ball([23, 17, 30], [1.5, 2.5, 1.2], turned);
    await writeImage(at('scans', 'ball_0000.nii.gz'), image);
    const report = await segmentImages({
      model: at('segmenter'),
      inputs: [at('scans', 'ball_0000.nii.gz')],
      out: at('labels'),
      backend: await backend(),
      progress: SILENT,
      probabilities: true,
    });
    expect(report.images[0]).toMatchObject({ name: 'ball', structures: [{ code: 500 }] });
    const labels = (await readImage(at('labels', 'ball.nii.gz'))).volume;
    const { size, spacingMm, originMm, direction } = labels.geometry;
    expect(size).toEqual(image.geometry.size);
    spacingMm.forEach((mm, k) => void expect(mm).toBeCloseTo(image.geometry.spacingMm[k], 5));
    originMm.forEach((mm, k) => void expect(mm).toBeCloseTo(image.geometry.originMm[k], 4));
    direction.forEach((d, k) => void expect(d).toBeCloseTo(turned[k], 5));
    expect([...new Set(labels.data)].every((code) => code === 0 || code === 500)).toBe(true);
    // the ball is bright and was learnt as such: most of it is found, where it is
    const wanted = Uint8Array.from(image.data, (value) => (value > 350 ? 1 : 0));
    const found = Uint8Array.from(labels.data, (code) => (code === 500 ? 1 : 0));
    expect(dicePerClass(found, wanted, 2)[0]).toBeGreaterThan(0.5);
    const probabilities = (await readImage(at('labels', report.images[0].files[2]))).volume;
    probabilities.data.forEach((p, i) => {
      if (Math.abs(p - 0.5) > 1e-4 && p > 0.5 !== (labels.data[i] === 500))
        throw new Error(`voxel ${i}: probability ${p}, label ${labels.data[i]}`);
    });
  });

  it('writes features and classes, and says what a model is not for', async () => {
    const scan = at('scans', 'ball_0000.nii.gz');
    const call = { out: at('out'), backend: await backend(), progress: SILENT };
    const features = await embedImages({ ...call, model: at('pretrained'), inputs: [scan] });
    expect(features).toMatchObject({ global: 64, images: [{ name: 'ball', files: ['ball.safetensors', 'pictures/ball.png'] }] });
    expect(features.images[0].local![0]).toBe(8);
    const classes = await classifyImages({ ...call, model: at('classes'), inputs: [scan] });
    const { probabilities } = classes.images[0];
    expect(probabilities.healthy + probabilities.ill).toBeCloseTo(1, 6);
    expect(await readFile(at('out', 'classes.csv'), 'utf8')).toMatch(/^case,healthy,ill,prediction\nball,/);
    await expect(segmentImages({ ...call, model: at('pretrained'), inputs: [scan] })).rejects.toThrow(
      'without a head for a task',
    );
    await expect(classifyImages({ ...call, model: at('segmenter'), inputs: [scan] })).rejects.toThrow(
      'a network for segmentation',
    );
    // without a decoder there are no local features, and a picture of an earlier call does not stay behind
    const encoded = await embedImages({ ...call, model: at('classes'), inputs: [scan] });
    expect(encoded).toMatchObject({ global: 64, images: [{ local: null, files: ['ball.safetensors'] }] });
    expect(await readdir(at('out', 'pictures'))).toEqual([]);
  });

  const segmenting = async (inputs: readonly string[], out: string, more: object = {}) =>
    segmentImages({
      model: at('segmenter'),
      inputs: inputs.map((path) => at(path)),
      out: at(out),
      backend: await backend(),
      progress: SILENT,
      ...more,
    });
  const small = () => ball([18, 17, 16], [2, 2, 2], [1, 0, 0, 0, 1, 0, 0, 0, 1]);

  it('ends no batch for one bad file, leaves further channels out, and tells equal names apart by their folders', async () => {
    for (const path of ['a/ct.nii.gz', 'b/ct.nii.gz', 'c1_0000.nii.gz', 'c1_0001.nii.gz', 'c2_0001.nii.gz'])
      await writeImage(at('mix', path), small());
    const whole = await readFile(at('mix', 'a', 'ct.nii.gz'));
    await writeFile(at('mix', 'cut.nii.gz'), whole.subarray(0, whole.length / 2));
    const report = await segmenting(['mix', 'none.nii', 'mix/a/ct.nii.gz'], 'mixed');
    expect(report.images.map(({ name }) => name)).toEqual(['a_ct', 'b_ct', 'c1', 'c2_0001']);
    expect(report.failed.map(({ path }) => path)).toEqual([at('none.nii'), at('mix', 'cut.nii.gz')]);
    expect(report.failed[0].reason).toBe('no such file or folder');
    expect(report.warnings).toEqual([`${at('mix', 'c1_0001.nii.gz')}: ${expectedChannel}`]);
    expect((await readdir(at('mixed'))).sort()).toEqual(
      ['.gvsl-results.json', ...report.images.flatMap(({ files }) => files), 'segment.json'].sort(),
    );
    expect(JSON.parse(await readFile(at('mixed', 'segment.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(report)));
    const again = await segmenting(['mix'], 'mix/labels');
    expect(again.images).toHaveLength(4);
    expect(await segmenting(['mix'], 'mix/labels')).toEqual(again);
    const classes = await classifyImages({
      model: at('classes'),
      inputs: [at('mix', 'cut.nii.gz'), at('mix', 'c1_0000.nii.gz')],
      out: at('mixed'),
      backend: await backend(),
      progress: SILENT,
    });
    expect(classes).toMatchObject({ images: [{ case: 'c1' }], failed: [{ path: at('mix', 'cut.nii.gz') }] });
  });

  it('leaves label maps of a folder out, unless they are named, and takes the channel that is asked for', async () => {
    const scan = small();
    await writeImage(at('bids', 'p.nii.gz'), scan);
    const codes = Uint8Array.from(scan.data, (value) => (value > 350 ? 1 : 0));
    await writeImage(at('bids', 'p_seg.nii.gz'), { geometry: scan.geometry, data: codes });
    const report = await segmenting(['bids'], 'bids-labels');
    expect(report).toMatchObject({ images: [{ name: 'p' }], failed: [] });
    expect(report.warnings).toEqual([
      expect.stringMatching(/p_seg\.nii\.gz: skipped: .*label map.*\(to process it anyway, name the file itself\)/),
    ]);
    expect((await segmenting(['bids/p_seg.nii.gz'], 'bids-labels')).images[0]).toMatchObject({ name: 'p_seg' });
    expect((await segmenting(['bids/p.nii.gz'], 'bids-labels', { channel: 1 })).failed[0].reason).toContain(
      'channel 1 does not exist',
    );
    expect((await segmenting(['bids/p.nii.gz'], 'bids-labels', { channel: 0 })).images).toHaveLength(1);
  });

  it('never replaces what it reads, whatever the way to it, nor what somebody else made', async () => {
    await writeImage(at('own', 'p.nii.gz'), small());
    await writeImage(at('own', 'q_0000.nii.gz'), small());
    const original = await readFile(at('own', 'p.nii.gz'));
    await symlink(at('own'), at('own-link'));
    await mkdir(at('linked'));
    await symlink(at('own', 'p.nii.gz'), at('linked', 'p.nii.gz'));
    await mkdir(at('hard'));
    await link(at('own', 'p.nii.gz'), at('hard', 'p.nii.gz'));
    await expect(segmenting(['own'], 'own')).rejects.toThrow(/own: results would be written into the image folder/);
    for (const [input, out] of [
      ['own/p.nii.gz', 'own'],
      ['own/p.nii.gz', 'own/../own-link/'],
      ['own-link/p.nii.gz', 'own'],
      ['linked/p.nii.gz', 'own'],
      ['own/p.nii.gz', 'linked'],
      ['own', 'linked'],
      ['own/p.nii.gz', 'hard'],
    ] as const) {
      const failure = await segmenting([input], out, { overwrite: true }).catch((error: unknown) => error);
      expect(failure, `${input} to ${out}`).toBeInstanceOf(UsageError);
      expect((failure as Error).message).toMatch(/p\.nii\.gz: would replace .*p\.nii\.gz, an input image/);
    }
    expect(await readFile(at('own', 'p.nii.gz'))).toEqual(original);

    await mkdir(at('truth'));
    await writeFile(at('truth', 'p.nii.gz'), 'drawn by hand');
    await expect(segmenting(['own'], 'truth')).rejects.toThrow(/p\.nii\.gz is already there and was not written by gvsl segment/);
    expect(await readdir(at('truth'))).toEqual(['p.nii.gz']);
    await segmenting(['own'], 'truth', { overwrite: true });
    await writeFile(at('truth', 'q.nii.gz'), 'corrected by hand');
    await expect(segmenting(['own'], 'truth')).rejects.toThrow(/q\.nii\.gz is already there .* or changed since/);
    await segmenting(['own/p.nii.gz'], 'truth');
  });
});
