import { describe, expect, it } from 'vitest';
import { UsageError } from '../../common/errors.ts';
import { applyRotation, inverseRotation, ROTATIONS } from '../augmentation/rotation.ts';
import { noiseImage } from '../augmentation/testing/images.ts';
import { memoryReader, subjectOf } from '../testing/subjects.ts';
import { keepMiddleCube, rotation } from './method.ts';

const configuration = rotation.schema.parse({
  data: { patch: 8, spatial: { enabled: false } },
});

describe('rotation', () => {
  it('shows a crop turned, and the class in which it was', async () => {
    const subjects = [subjectOf('a', [8, 8, 8])];
    const make = rotation.examples(configuration, subjects, memoryReader);
    const upright = await memoryReader.readCrop(subjects[0], [0, 0, 0], [8, 8, 8]);
    const seen = new Set<number>();
    for (let sample = 0; sample < 60; sample++) {
      const { view, class: truth } = await make(0, sample);
      const index = truth.indexOf(1);
      expect([...truth].filter((value) => value !== 0)).toEqual([1]);
      expect(applyRotation(upright, [8, 8, 8], { class: index })).toEqual(view);
      seen.add(index);
    }
    expect(seen.size).toBe(ROTATIONS.length);
  });

  it('turns every class back', () => {
    const image = noiseImage([5, 5, 5]);
    for (const index of ROTATIONS.keys()) {
      const turned = applyRotation(image, [5, 5, 5], { class: index });
      expect(applyRotation(turned, [5, 5, 5], { class: inverseRotation(index) })).toEqual(image);
    }
  });

  it('refuses patches and voxels that are no cubes: their shape gives the turn away', () => {
    expect(() => rotation.schema.parse({ data: { patch: [16, 16, 24] } })).toThrow(
      /the shape of another box gives the turn away: choose one side length/,
    );
    const flat = { ...subjectOf('flat', [8, 8, 8]) };
    const geometry = { ...flat.geometry, spacingMm: [1, 1, 3] as const };
    expect(() => rotation.check!(configuration, [subjectOf('a', [8, 8, 8]), { ...flat, geometry }], [])).toThrow(UsageError);
    expect(() => rotation.check!(configuration, [{ ...flat, geometry }], [])).toThrow(
      /flat has a spacing of 1 x 1 x 3 mm: prepare the cohort with one spacing for all axes/,
    );
  });

  it('keeps only a cube in the very middle of a patch that a volume does not fill', () => {
    const shown = (volume: readonly [number, number, number]): number => {
      const image = new Float32Array(6 ** 3).fill(1);
      keepMiddleCube(image, 6, volume);
      // a cube in the middle looks the same from all sides
      for (const index of ROTATIONS.keys()) expect(applyRotation(image, [6, 6, 6], { class: index })).toEqual(image);
      return image.reduce((sum, value) => sum + value, 0);
    };
    expect(shown([9, 8, 6])).toBe(216);
    expect(shown([9, 4, 8])).toBe(64);
    // of a side of five, four lie in the middle
    expect(shown([5, 9, 9])).toBe(64);
    expect(shown([3, 4, 9])).toBe(8);
  });
});
