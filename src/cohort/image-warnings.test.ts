import { expect, it } from 'vitest';
import { IDENTITY_3, type Volume } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { imageWarnings } from './image-warnings.ts';

it('what has no finite voxel is not said to be constant', () => {
  const volume: Volume = {
    geometry: { size: [2, 2, 2], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 },
    data: new Float32Array(8),
  };
  const warningsOf = (nonFinite: number): string[] =>
    imageWarnings({ volume, warnings: [] } as unknown as LoadedImage, {
      min: 0,
      max: 0,
      mean: 0,
      nonFinite,
      counts: null,
      percentile: () => 0,
    });
  expect(warningsOf(8)).toEqual(['NaN or infinite voxels: 8']);
  expect(warningsOf(7)).toEqual(['NaN or infinite voxels: 7', 'constant: every voxel is 0']);
  expect(warningsOf(0)).toEqual(['constant: every voxel is 0']);
});
