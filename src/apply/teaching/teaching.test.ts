import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { elementCount } from '../../engine/graph.ts';
import { IDENTITY_3, type Volume, type Zyx } from '../../geometry/volume.ts';
import { ALL_HEADS, NO_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { usualPart } from '../../model/node/interchange/part.ts';
import { tinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { multiLevelParameters } from '../../model/parameters.ts';
import { teachingProgram } from '../../model/task-programs.ts';
import { levelShapes } from '../../model/unet.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { filesOfNetwork, networkOfFiles, type TrainedNetwork, trainedNetwork } from '../network.ts';
import { segmentImages } from '../node/segment.ts';
import { fitSegmentationHead, voxelsOfStrokes, type WindowFeatures } from './fit-head.ts';
import { headOfNetwork, networkWithHead } from './network-with-head.ts';
import { BACKGROUND_STROKE, openTeacher } from './teacher.ts';

const EXAMPLE = new URL('../../page/public/example-model/', import.meta.url);
const example = async (): Promise<TrainedNetwork> => {
  const [config, weights] = await Promise.all([
    readFile(new URL('config.json', EXAMPLE), 'utf8'),
    readFile(new URL('model.safetensors', EXAMPLE)),
  ]);
  return networkOfFiles({ name: 'example', config, weights: new Uint8Array(weights).buffer });
};
const ARCHITECTURE = scaledArchitecture(0.125, NO_HEADS);
const scan = (values: readonly number[], spacing: number): Volume => ({
  geometry: { size: [values.length, 1, 1], spacingMm: [spacing, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 },
  data: Uint8Array.from(values),
});

/** Levels of random values for an odd window, which is padded. */
function randomLevels(size: Zyx, seed: number): WindowFeatures {
  const stream = randomStream(seed, 'teaching');
  const values = (length: number) => Float32Array.from({ length }, () => stream.normal(1, 2));
  const levels = Object.fromEntries(
    levelShapes(ARCHITECTURE, size).map(({ name, shape }) => [name, values(elementCount(shape))]),
  ) as unknown as WindowFeatures['levels'];
  return { image: values(elementCount(size)), levels, size };
}

describe('fitSegmentationHead', () => {
  it('is the head of the network: its logits separate what the image around a voxel and any level tell apart', async () => {
    const size: Zyx = [17, 3, 18];
    const window = randomLevels(size, 4);
    const voxels = Array.from({ length: elementCount(size) }, (_, v) => v);
    const backend = await createBackend('cpu', 1);
    const inputs = (values: (name: string, length: number) => Float32Array) =>
      Object.fromEntries(
        multiLevelParameters(ARCHITECTURE, 2).map(({ name, shape }) => [name, values(name, elementCount(shape))]),
      );
    const session = await backend.open(teachingProgram(ARCHITECTURE, size, 2).program);
    for (const decisive of ['image', 'down4', 'up1', 'down1', 'up4']) {
      const marginsBy = async (head: Record<string, Float32Array>): Promise<number[]> => {
        const { probabilities } = await session.run('head', { image: window.image, ...window.levels, ...head });
        return voxels.map((v) => Math.log(probabilities[voxels.length + v] / probabilities[v]));
      };
      // 1 where a channel, or the right neighbour, is above its median
      const margins = await marginsBy(
        inputs((name, length) => {
          const data = new Float32Array(length);
          if (name === `out_levels.${decisive}.weight`) data[length / 2 + (decisive === 'image' ? 14 : 0)] = 1;
          return data;
        }),
      );
      const median = [...margins].sort((a, b) => a - b)[voxels.length >> 1];
      const truth = margins.map((margin) => (margin > median ? 1 : 0));
      const head = fitSegmentationHead(ARCHITECTURE, [{ ...window, voxels, classes: truth }], 2, {
        l2: 1,
        maxPerClass: 2000,
      });
      const found = (await marginsBy(inputs((name) => head.parameters.get(name)!.data))).map((margin) => (margin > 0 ? 1 : 0));
      const wrong = found.filter((one, v) => one !== truth[v]).length;
      expect(wrong / voxels.length, decisive).toBeLessThan(0.03);
    }
    await session.close();
  });

  it('refuses what cannot be learnt from', () => {
    const image = randomLevels([2, 2, 2], 1);
    const learn = (voxels: number[], classes: number[], of = image) =>
      fitSegmentationHead(ARCHITECTURE, [{ ...of, voxels, classes }], 2);
    expect(() => learn([0], [1])).toThrow(/got none of class 0/);
    expect(() => learn([8], [0])).toThrow(/voxel 8 of class 0/);
    expect(() => learn([0], [0], { ...image, size: [2, 2, 3] })).toThrow(/expected the features of a window of 2 x 2 x 3/);
  });
});

describe('voxelsOfStrokes', () => {
  it('finds thin strokes on a coarser grid: the more frequent class of a voxel counts', () => {
    const { geometry } = scan([0, 0, 0], 4);
    // voxels of 1 mm at 0, 1, ...; those of the grid are at 0, 4 and 8
    expect(voxelsOfStrokes(scan([0, 7, 9, 0, 9, 7, 9, 0, 0, 5], 1), geometry, [7, 9])).toEqual({
      voxels: [0, 1, 2],
      classes: [0, 1, 1],
    });
  });
});

describe('a network that was taught', () => {
  it('segments another patient after a few voxels of each structure, better with more', async () => {
    const network = await example();
    const subject = (number: number) => renderSubject({ kind: 'heart-ct', seed: 2, subject: number, spacingMm: 6, pose: 0.3 });
    const [first, second] = [subject(0), subject(1)];
    const teacher = openTeacher(network, await createBackend('cpu', 1));
    await teacher.add('first', first.image);
    await teacher.add('second', second.image);
    // left ventricle, its wall, right ventricle: as strokes have them
    const codes = [500, 205, 600];
    const strokes = [BACKGROUND_STROKE, 1, 2, 3];
    const labels = [0, 1, 2, 3].map((code) => ({ code, name: `structure ${code}` }));
    const classes = [...first.labels.data].map((code) => codes.indexOf(code) + 1);
    const diceWith = async (perClass: number): Promise<number> => {
      const stream = randomStream(1, 'strokes', perClass);
      const order = classes.map((_, i) => i).sort(() => stream.uniform(-1, 1));
      const data = new Uint8Array(classes.length);
      for (const [one, stroke] of strokes.entries())
        for (const i of order.filter((v) => classes[v] === one).slice(0, perClass)) data[i] = stroke;
      await teacher.learn(new Map([['first', { geometry: first.labels.geometry, data }]]), labels);
      const found = await teacher.segment('second');
      const scores = codes.map((code, k) => {
        const a = Uint8Array.from(found.labels.data, (value) => (value === k + 1 ? 1 : 0));
        const b = Uint8Array.from(second.labels.data, (value) => (value === code ? 1 : 0));
        let [both, all] = [0, 0];
        a.forEach((value, i) => {
          both += value & b[i];
          all += value + b[i];
        });
        return (2 * both) / all;
      });
      return scores.reduce((sum, value) => sum + value, 0) / scores.length;
    };
    const [few, many] = [await diceWith(5), await diceWith(100)];
    await teacher.close();
    expect(few).toBeGreaterThan(0.2);
    expect(many).toBeGreaterThan(few + 0.05);
  });

  it('is a model folder that `gvsl segment` runs, and still registers', async () => {
    const { model } = tinyModel(ALL_HEADS, {
      preprocessing: { modality: 'ct', spacingMm: [10, 10, 10], intensity: 'minmax', crop: 'none' },
      patch: [16, 16, 16],
    });
    const network = trainedNetwork('tiny', model.configuration, model.parameters);
    const tensors = multiLevelParameters(network.architecture, 2).map(({ name, shape }) => {
      const data = new Float32Array(elementCount(shape)).fill(0.01);
      if (shape.length === 1) data[1] = 0.5;
      return { name, shape, data };
    });
    const head = { classes: 2, parameters: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
    const taught = networkWithHead(
      network,
      head,
      [
        { code: 0, name: 'background' },
        { code: 7, name: 'heart' },
      ],
      { strokes: 3 },
    );
    expect(taught.configuration.architecture.heads).toMatchObject({ matching: true, segmentation: 2, multiLevel: true });
    expect(usualPart(taught.configuration)).toBe('segmenter');
    expect(headOfNetwork(networkOfFiles(filesOfNetwork(taught)))).toEqual(head);
    expect(() => headOfNetwork(network)).toThrow(/tiny: it was not taught by strokes/);
    const folder = await mkdtemp(join(tmpdir(), 'gvsl-teaching-'));
    try {
      const files = filesOfNetwork(taught);
      expect(networkOfFiles(files)).toEqual(taught);
      await writeFile(join(folder, 'config.json'), files.config);
      await writeFile(join(folder, 'model.safetensors'), new Uint8Array(files.weights));
      const { writeImage } = await import('../../images/node/write.ts');
      await writeImage(
        join(folder, 'heart.nii.gz'),
        renderSubject({ kind: 'heart-ct', seed: 3, subject: 1, spacingMm: 10 }).image,
      );
      const out = join(folder, 'out');
      const { images } = await segmentImages({ model: folder, inputs: [join(folder, 'heart.nii.gz')], out, threads: 1 });
      expect(images[0].structures).toMatchObject([{ code: 7, name: 'heart' }]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
