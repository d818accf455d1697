import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { resampleNearest } from '../../geometry/resample.ts';
import { type Matrix3, type Volume, type VoxelArray, voxelCount } from '../../geometry/volume.ts';
import { tinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { openModel } from '../model.ts';
import { filesOfNetwork, networkOfFiles, type TrainedNetwork, trainedNetwork } from '../network.ts';
import { BACKGROUND_STROKE, openTeacher } from './teacher.ts';

const EXAMPLE = new URL('../../page/public/example-model/', import.meta.url);
async function example(): Promise<TrainedNetwork> {
  const [config, weights] = await Promise.all([
    readFile(new URL('config.json', EXAMPLE), 'utf8'),
    readFile(new URL('model.safetensors', EXAMPLE)),
  ]);
  return networkOfFiles({ name: 'example', config, weights: new Uint8Array(weights).buffer });
}
const LABELS = [
  { code: 0, name: 'background' },
  { code: 4, name: 'left ventricle' },
  { code: 9, name: 'never drawn' },
  { code: 7, name: 'wall' },
];
const patient = (subject: number) => renderSubject({ kind: 'heart-ct', seed: 2, subject, spacingMm: 7, pose: 0.3 });

/** Some voxels of a patient's ventricle, its wall and of all else, as a user draws them. */
function strokesOf({ labels }: ReturnType<typeof patient>, per = 60): Volume {
  const data = new Uint8Array(labels.data.length);
  const stream = randomStream(5, 'strokes');
  for (const [code, stroke] of [
    [500, 4],
    [205, 7],
    [0, BACKGROUND_STROKE],
  ]) {
    const voxels = [...labels.data.keys()].filter((v) => labels.data[v] === code);
    for (let k = 0; k < per; k++) data[voxels[stream.integer(0, voxels.length)]] = stroke;
  }
  return { geometry: labels.geometry, data };
}

/** What `toEqual` would compare one by one. */
const bytesOf = ({ buffer, byteOffset, byteLength }: VoxelArray): Buffer => Buffer.from(buffer, byteOffset, byteLength);

describe('Teacher', () => {
  it('finds voxel for voxel what the network that it gives finds, whether features are kept or not', async () => {
    const network = await example();
    const [first, second] = [patient(0), patient(1)];
    const strokes = new Map([['first', strokesOf(first)]]);
    // several windows, which overlap
    const options = { window: [16, 24, 24] as const, overlap: 0.3 };
    const found = [];
    for (const featureBytes of [2 ** 30, 0]) {
      const teacher = openTeacher(network, await createBackend('cpu', 1), { ...options, featureBytes });
      const { windows, keptWindows } = await teacher.add('first', first.image);
      expect(keptWindows).toBe(featureBytes > 0 ? windows : 0);
      await teacher.add('second', second.image);
      const { network: taught, labels, voxels } = await teacher.learn(strokes, LABELS);
      expect(labels.map(({ code }) => code)).toEqual([0, 4, 7]);
      expect(Math.min(...voxels)).toBeGreaterThan(15);
      found.push({ taught, maps: [await teacher.segment('first'), await teacher.segment('second')] });
      await teacher.close();
    }
    const [{ taught, maps }, without] = found;
    expect(bytesOf(without.taught.parameters).equals(bytesOf(taught.parameters))).toBe(true);
    for (const k of [0, 1]) expect(bytesOf(without.maps[k].labels.data).equals(bytesOf(maps[k].labels.data))).toBe(true);
    // through its files, as the command line has it
    const model = openModel(networkOfFiles(filesOfNetwork(taught)), await createBackend('cpu', 1));
    for (const [k, { image }] of [first, second].entries()) {
      const { labels, structures } = await model.segment(image, options);
      expect(labels.geometry).toEqual(maps[k].labels.geometry);
      expect(bytesOf(labels.data).equals(bytesOf(maps[k].labels.data))).toBe(true);
      expect(structures).toEqual(maps[k].structures);
      expect(structures.every(({ voxels }) => voxels > 50)).toBe(true);
    }
    await model.close();
  }, 120_000);

  it('goes on with what was learnt before, forgets images, and says what is missing', async () => {
    const network = await example();
    const { image, labels } = patient(0);
    const teacher = openTeacher(network, await createBackend('cpu', 1));
    await teacher.add('one', image);
    expect(teacher.learnt).toBe(null);
    await expect(teacher.segment('one')).rejects.toThrow(/nothing was learnt/);
    const drawn = strokesOf(patient(0));
    const only = (stroke: number): Volume => ({ ...drawn, data: drawn.data.map((value) => (value === stroke ? value : 0)) });
    await expect(teacher.learn(new Map([['one', only(4)]]), LABELS)).rejects.toThrow(/nothing of the background/);
    await expect(teacher.learn(new Map([['one', only(BACKGROUND_STROKE)]]), LABELS)).rejects.toThrow(/no structure is drawn/);
    const { network: taught } = await teacher.learn(new Map([['one', drawn]]), LABELS);
    const before = await teacher.segment('one');
    const again = openTeacher(network, await createBackend('cpu', 1));
    again.use(networkOfFiles(filesOfNetwork(taught)));
    await again.add('one', image);
    const { labels: after } = await again.segment('one');
    expect(bytesOf(after.data).equals(bytesOf(before.labels.data))).toBe(true);
    expect(before.labels.data).toHaveLength(voxelCount(labels.geometry.size));
    await again.remove('one');
    await expect(again.segment('one')).rejects.toThrow(/no image 'one'/);
    const stopped = new AbortController();
    stopped.abort(new Error('stopped'));
    await expect(again.add('one', image, { signal: stopped.signal })).rejects.toThrow('stopped');
    await Promise.all([teacher.close(), again.close()]);
    const classifier = tinyModel({ classification: 2 }, { preprocessing: network.configuration.preprocessing }).model;
    const encoder = trainedNetwork('classifier', classifier.configuration, classifier.parameters);
    const backend = await createBackend('cpu', 1);
    expect(() => openTeacher(encoder, backend)).toThrow(/classifier: this network has no decoder/);
  });

  it('takes strokes on an oblique grid with thick slices where they lie in the patient', async () => {
    const network = await example();
    const { image, labels } = patient(0);
    const teacher = openTeacher(network, await createBackend('cpu', 1));
    await teacher.add('one', image);
    const straight = strokesOf(patient(0), 400);
    // turned about z, and the voxels 15 mm thick
    const [c, s] = [Math.cos(0.4), Math.sin(0.4)];
    const direction: Matrix3 = [c, -s, 0, s, c, 0, 0, 0, 1];
    const geometry = { ...labels.geometry, direction, spacingMm: [2, 2, 15] as const, size: [120, 120, 12] as const };
    const turned: Volume = { geometry, data: new Uint8Array(voxelCount(geometry.size)) };
    turned.data.set(resampleNearest(straight, geometry, 0).data);
    const { voxels } = await teacher.learn(new Map([['one', turned]]), LABELS);
    expect(Math.min(...voxels)).toBeGreaterThan(3);
    const { structures } = await teacher.segment('one');
    expect(structures[0].volumeMl).toBeGreaterThan(10);
    await teacher.close();
  });
});
