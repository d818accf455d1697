import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { Graph } from '../../engine/graph.ts';
import { conv3d } from '../../engine/ops/conv3d/conv3d.ts';
import { IDENTITY_3, type Volume, type Zyx } from '../../geometry/volume.ts';
import { ALL_HEADS } from '../../model/architecture.ts';
import { tinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { openModel } from '../model.ts';
import { filesOfNetwork, networkOfFiles, type TrainedNetwork, trainedNetwork } from '../network.ts';
import { segmentImages } from '../node/segment.ts';
import { fitSegmentationHead, voxelsOfStrokes } from './fit-head.ts';
import { networkWithHead } from './network-with-head.ts';

const EXAMPLE = new URL('../../page/public/example-model/', import.meta.url);
const example = async (): Promise<TrainedNetwork> => {
  const [config, weights] = await Promise.all([
    readFile(new URL('config.json', EXAMPLE), 'utf8'),
    readFile(new URL('model.safetensors', EXAMPLE)),
  ]);
  return networkOfFiles({ name: 'example', config, weights: new Uint8Array(weights).buffer });
};
const scan = (values: readonly number[], spacing: number): Volume => ({
  geometry: { size: [values.length, 1, 1], spacingMm: [spacing, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 },
  data: Uint8Array.from(values),
});

describe('fitSegmentationHead', () => {
  it('is the convolution: its logits separate what a voxel and its neighbours tell apart', async () => {
    const size: Zyx = [4, 5, 6];
    const stream = randomStream(4, 'teaching');
    const features = Float32Array.from({ length: 2 * 120 }, () => stream.normal(3, 2));
    // class 1 where the right neighbour's second channel is above its mean; 0 beyond the image
    const classes = Array.from({ length: 120 }, (_, v) => (v % 6 < 5 && features[120 + v + 1] > 3 ? 1 : 0));
    const voxels = classes.map((_, v) => v);
    const head = fitSegmentationHead([{ features, size, voxels, classes }], 2, { l2: 0.01 });
    const graph = new Graph();
    const x = graph.input('x', [1, 2, ...size]);
    graph.output('y', conv3d(graph, x, graph.input('w', [2, 2, 3, 3, 3]), graph.input('b', [2])));
    const backend = await createBackend('cpu', 1);
    const session = await backend.open({ states: new Map(), graphs: new Map([['g', graph]]) });
    const { y } = await session.run('g', { x: features, w: head.weight, b: head.bias });
    await session.close();
    const wrong = classes.filter((one, v) => (y[120 + v] > y[v] ? 1 : 0) !== one).length;
    expect(wrong).toBeLessThanOrEqual(2);
    // of the voxel alone nothing can be told, and its head reads nothing else
    const alone = fitSegmentationHead([{ features, size, voxels, classes }], 2, { neighbourhood: 1 });
    expect([...alone.weight].filter((w, i) => i % 27 !== 13 && w !== 0)).toEqual([]);
  });

  it('refuses what cannot be learnt from', () => {
    const image = { features: new Float32Array(8), size: [2, 2, 2] as Zyx };
    expect(() => fitSegmentationHead([{ ...image, voxels: [0], classes: [1] }], 2)).toThrow(/got none of class 0/);
    expect(() => fitSegmentationHead([{ ...image, voxels: [8], classes: [0] }], 2)).toThrow(/voxel 8 of class 0/);
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
    const model = openModel(network, await createBackend('cpu', 1));
    const subject = (number: number) => renderSubject({ kind: 'heart-ct', seed: 2, subject: number, spacingMm: 6, pose: 0.3 });
    const [first, second] = [subject(0), subject(1)];
    const { local, geometry } = await model.embed(first.image);
    await model.close();
    // left ventricle, its wall, right ventricle
    const codes = [0, 500, 205, 600];
    const drawn: Volume = { geometry: first.labels.geometry, data: Int16Array.from(first.labels.data, (code) => code + 1) };
    const { voxels, classes } = voxelsOfStrokes(
      drawn,
      geometry,
      codes.map((code) => code + 1),
    );
    const [, ...size] = local!.shape;
    const labels = codes.map((code) => ({ code, name: `structure ${code}` }));
    const diceWith = async (perClass: number): Promise<number> => {
      const stream = randomStream(1, 'strokes', perClass);
      const order = voxels.map((_, i) => i).sort(() => stream.uniform(-1, 1));
      const chosen = codes.flatMap((_, one) => order.filter((i) => classes[i] === one).slice(0, perClass));
      const of = { features: local!.data, size, voxels: chosen.map((i) => voxels[i]), classes: chosen.map((i) => classes[i]) };
      const taught = networkWithHead(network, fitSegmentationHead([of], codes.length), labels);
      const opened = openModel(taught, await createBackend('cpu', 1));
      const found = await opened.segment(second.image);
      await opened.close();
      const scores = codes.slice(1).map((code) => {
        const [a, b] = [found.labels.data, second.labels.data].map((data) =>
          Uint8Array.from(data, (value) => (value === code ? 1 : 0)),
        );
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
    expect(few).toBeGreaterThan(0.2);
    expect(many).toBeGreaterThan(few + 0.05);
  });

  it('is a model folder that `gvsl segment` runs, and still registers', async () => {
    const { model } = tinyModel(ALL_HEADS, {
      preprocessing: { modality: 'ct', spacingMm: [10, 10, 10], intensity: 'minmax', crop: 'none' },
      patch: [16, 16, 16],
    });
    const network = trainedNetwork('tiny', model.configuration, model.parameters);
    const head = { channels: 8, classes: 2, weight: new Float32Array(2 * 8 * 27).fill(0.01), bias: Float32Array.of(0, 0.5) };
    const taught = networkWithHead(
      network,
      head,
      [
        { code: 0, name: 'background' },
        { code: 7, name: 'heart' },
      ],
      { strokes: 3 },
    );
    expect(taught.configuration.architecture.heads).toMatchObject({ matching: true, segmentation: 2 });
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
