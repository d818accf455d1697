import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { type Geometry, IDENTITY_3, voxelCount, type Xyz } from '../../geometry/volume.ts';
import { type FeatureMap, globalFeatureMap, localFeatureMap } from './feature-map.ts';

const grid = (size: Xyz): Geometry => ({ size, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 });
const noise = (length: number, name: string): Float32Array => {
  const stream = randomStream(7, 'feature-map', name);
  return Float32Array.from({ length }, () => stream.normal(0, 1));
};

const cosine = (a: readonly number[], b: readonly number[]): number => {
  const product = (u: readonly number[], v: readonly number[]): number => u.reduce((sum, value, k) => sum + value * v[k], 0);
  return product(a, b) / (Math.sqrt(product(a, a) * product(b, b)) || 1);
};

/** Every voxel against every voxel that is asked for, from features (channels, voxels). */
function expectCosines(map: FeatureMap, features: (c: number, voxel: number) => number, asked: readonly Xyz[]): void {
  const { size } = map.geometry;
  const vector = (voxel: number): number[] => Array.from({ length: map.channels }, (_, c) => features(c, voxel));
  for (const [x, y, z] of asked) {
    const found = map.similarities(map.featureOf([x, y, z]));
    const from = vector((z * size[1] + y) * size[0] + x);
    const expected = Array.from(found, (_, voxel) => cosine(from, vector(voxel)));
    expect(Math.max(...expected.map((value, i) => Math.abs(value - found[i])))).toBeLessThan(2e-6);
  }
}

describe('localFeatureMap', () => {
  it('gives what cosines of all channels give', () => {
    const size: Xyz = [5, 4, 3];
    const values = noise(6 * voxelCount(size), 'local');
    expectCosines(localFeatureMap(grid(size), 6, values), (c, v) => values[c * voxelCount(size) + v], [
      [0, 0, 0],
      [4, 2, 1],
    ]);
  });

  it('has similarity 0 with features that are nothing but zeros', () => {
    const map = localFeatureMap(grid([2, 1, 1]), 2, Float32Array.of(3, 0, 4, 0));
    expect([...map.featureOf([0, 0, 0])].map((value) => +value.toFixed(6))).toEqual([0.6, 0.8]);
    expect([...map.similarities(map.featureOf([0, 0, 0]))].map((value) => +value.toFixed(6))).toEqual([1, 0]);
    expect([...map.similarities(map.featureOf([1, 0, 0]))]).toEqual([0, 0]);
  });
});

describe('globalFeatureMap', () => {
  it('by hand: halfway between the centres of two boxes it is the mean', () => {
    // boxes of 2: centres at 0.5 and 2.5
    const map = globalFeatureMap(grid([4, 1, 1]), {
      data: Float32Array.of(1, 0, 0, 1),
      channels: 2,
      size: [2, 1, 1],
      side: 2,
      before: [0, 0, 0],
    });
    expect([...map.featureOf([0, 0, 0])]).toEqual([1, 0]);
    // a quarter of the way: (0.75, 0.25)
    expect([...map.featureOf([1, 0, 0])].map((value) => +value.toFixed(4))).toEqual([0.9487, 0.3162]);
    expect([...map.similarities(Float32Array.of(1, 0))].map((value) => +value.toFixed(4))).toEqual([1, 0.9487, 0.3162, 0]);
  });

  it('gives what cosines of all channels at full size give', () => {
    for (const [size, boxes, before] of [
      [
        [9, 7, 6],
        [3, 2, 2],
        [1, 0, 1],
      ],
      [
        [3, 4, 5],
        [1, 1, 2],
        [0, 0, 0],
      ],
    ] as const satisfies readonly (readonly [Xyz, Xyz, Xyz])[]) {
      const [channels, side] = [5, 4];
      const all = voxelCount(boxes);
      const data = noise(channels * all, 'global');
      const map = globalFeatureMap(grid(size), { data, channels, size: boxes, side, before });
      // trilinear, as one writes it down
      const full = (c: number, voxel: number): number => {
        const at = [voxel % size[0], Math.floor(voxel / size[0]) % size[1], Math.floor(voxel / (size[0] * size[1]))];
        const u = at.map((v, k) => Math.min(boxes[k] - 1, Math.max(0, (v + before[k] + 0.5) / side - 0.5)));
        let sum = 0;
        for (let z = 0; z < boxes[2]; z++)
          for (let y = 0; y < boxes[1]; y++)
            for (let x = 0; x < boxes[0]; x++) {
              const weight = [x, y, z].reduce((w, i, k) => w * Math.max(0, 1 - Math.abs(u[k] - i)), 1);
              sum += weight * data[c * all + (z * boxes[1] + y) * boxes[0] + x];
            }
        return sum;
      };
      expectCosines(map, full, [
        [0, 0, 0],
        [size[0] - 1, 2, 3],
      ]);
    }
  });
});
