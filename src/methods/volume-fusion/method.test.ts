import { expect, it } from 'vitest';
import { memoryReader, subjectOf } from '../testing/subjects.ts';
import { volumeFusion } from './method.ts';

const SIZE = 512;
const subjects = ['a', 'b', 'c'].map((id) => subjectOf(id, [8, 8, 8]));
const configuration = volumeFusion.schema.parse({ data: { patch: 8, spatial: { enabled: false } }, fusion: { levels: 2 } });

it('fuses crops of two different subjects, to the degree that the truth says of each voxel', async () => {
  const make = volumeFusion.examples(configuration, subjects, memoryReader);
  const images = await Promise.all(subjects.map((subject) => memoryReader.readCrop(subject, [0, 0, 0], [8, 8, 8])));
  const pairs = new Set<string>();
  for (let sample = 0; sample < 20; sample++) {
    const { view, truth } = await make(0, sample);
    expect(truth).toHaveLength(3 * SIZE);
    const levels = Array.from({ length: SIZE }, (_, voxel) => [0, 1, 2].filter((k) => truth[k * SIZE + voxel] === 1));
    expect(levels.every((of) => of.length === 1)).toBe(true);
    const found = images.flatMap((a, i) =>
      images.flatMap((b, j) =>
        levels.every(([k], voxel) => Math.abs((k / 2) * a[voxel] + (1 - k / 2) * b[voxel] - view[voxel]) < 1e-6) ? [[i, j]] : [],
      ),
    );
    expect(found).toHaveLength(1);
    expect(found[0][0]).not.toBe(found[0][1]);
    pairs.add(found[0].join());
  }
  expect(pairs.size).toBeGreaterThan(3);
});

it('tells as many classes apart as it has degrees, and one more', () => {
  expect(volumeFusion.heads(configuration).segmentation).toBe(3);
  expect(volumeFusion.heads(volumeFusion.schema.parse({})).segmentation).toBe(5);
});
