import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { principalComponents, project } from '../../metrics/clustering/principal-components.ts';
import { tsne } from './tsne.ts';

describe('principalComponents', () => {
  it('finds the directions that data was made along, greatest variance first', () => {
    const random = randomStream(1, 'pca');
    const voxels = 4000;
    const features = new Float32Array(3 * voxels);
    for (let v = 0; v < voxels; v++) {
      const [a, b] = [random.normal(0, 3), random.normal(0, 1)];
      features[v] = 5 + 0.6 * a - 0.8 * b;
      features[voxels + v] = 0.8 * a + 0.6 * b;
      features[2 * voxels + v] = 2;
    }
    const found = principalComponents(features, 3, 3);
    expect(found.mean[2]).toBeCloseTo(2, 9);
    expect([...found.directions[0]].map((x) => Math.abs(Math.round(x * 10) / 10))).toEqual([0.6, 0.8, 0]);
    expect(found.explained[0]).toBeCloseTo(0.9, 1);
    expect(found.explained[2]).toBeCloseTo(0, 9);
    const along = project(features, found, 0);
    expect(along.reduce((sum, x) => sum + x * x, 0) / voxels).toBeCloseTo(9, 0);
  });
});

describe('tsne', () => {
  it('keeps clusters apart, and gives the same layout for a seed', () => {
    const random = randomStream(2, 'tsne');
    const points = Array.from({ length: 60 }, (_, i) =>
      Array.from({ length: 10 }, (__, k) => random.normal(k === i % 3 ? 8 : 0, 0.5)),
    );
    const layout = tsne(points, { iterations: 350 });
    expect(tsne(points, { iterations: 350 })).toEqual(layout);
    // every point's nearest neighbour is of its own cluster
    layout.forEach(([x, y], i) => {
      let [best, nearest] = [Number.POSITIVE_INFINITY, -1];
      layout.forEach(([u, v], j) => {
        const d = (x - u) ** 2 + (y - v) ** 2;
        if (j !== i && d < best) [best, nearest] = [d, j];
      });
      expect(nearest % 3).toBe(i % 3);
    });
    expect(() => tsne([[1], [2]])).toThrow(RangeError);
  });
});
