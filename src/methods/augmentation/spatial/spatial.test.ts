import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { affineMatrix } from '../../../geometry/affine-matrix.ts';
import { voxelCount, type Zyx } from '../../../geometry/volume.ts';
import { elasticRows, type VectorRow } from './elastic-field.ts';
import { applySpatial, IDENTITY_SPATIAL, type SpatialPlan, sampleSpatial } from './spatial.ts';

const SIZE: Zyx = [5, 6, 7];
const noise = (size: Zyx, seed = 1): Float32Array => {
  const stream = randomStream(seed, 'test-image');
  return Float32Array.from({ length: voxelCount(size) }, () => stream.uniform());
};
const one = (image: Float32Array, size: Zyx, plan: SpatialPlan): Float32Array => applySpatial([image], size, plan).images[0];

// The PyTorch oracle in float64: affine_matrix on these parameters, then sample(image, apply_affine(matrix, voxel_grid)) with
// image[i] = ((37 i + 11) mod 101) / 100 on 5 x 6 x 7 voxels; voxels picked by hand, and the sum of all.
const ORACLE_PLAN: SpatialPlan = {
  rotationRadians: [0.1, -0.2, 0.3],
  scale: [0.8, 1.1, 1.25],
  shearRadians: [0.01, 0.02, -0.03, 0.04, 0.05, -0.06],
  translationVoxels: [0.3, -0.4, 0.5],
  elastic: null,
};
// biome-ignore format: three rows of a matrix
const ORACLE_MATRIX = [
  0.741607507797, -0.374740298719, -0.141016088369, 0.301870327642,
  0.238250343179, 1.0245258374, -0.243070446812, -0.459870455413,
  0.184394287126, 0.15164277719, 1.22045088673, 0.604886618628,
];
const ORACLE_VOXELS = [
  [0, 0.0382960358],
  [12, 0.5532371604],
  [50, 0.456880094],
  [101, 0.5816639684],
  [107, 0.4106785598],
  [130, 0.1642092703],
  [150, 0.7063581918],
  [190, 0.1136363017],
  [209, 0],
] as const;
const ORACLE_SUM = 72.95714905854786;

describe('affine matrix', () => {
  it('equals the oracle', () => {
    const matrix = affineMatrix(ORACLE_PLAN);
    for (let i = 0; i < 12; i++) expect(matrix[i]).toBeCloseTo(ORACLE_MATRIX[i], 11);
  });

  it('is a quarter turn about z where it should be: x goes to y', () => {
    const matrix = affineMatrix({ ...IDENTITY_SPATIAL, rotationRadians: [0, 0, Math.PI / 2] });
    expect([matrix[0], matrix[4], matrix[8]].map((v) => Math.round(v * 1e9) / 1e9)).toEqual([0, 1, 0]);
  });
});

describe('applySpatial', () => {
  it('returns images bit by bit for the identity, on any size', () => {
    for (const size of [SIZE, [1, 1, 1], [1, 8, 4], [16, 1, 3]] as Zyx[]) {
      expect(one(noise(size), size, IDENTITY_SPATIAL)).toEqual(noise(size));
    }
  });

  it('equals the oracle on an affine', () => {
    const image = Float32Array.from({ length: voxelCount(SIZE) }, (_, i) => ((i * 37 + 11) % 101) / 100);
    const moved = one(image, SIZE, ORACLE_PLAN);
    for (const [voxel, value] of ORACLE_VOXELS) expect(Math.abs(moved[voxel] - value)).toBeLessThan(1e-6);
    expect(Math.abs(moved.reduce((a, b) => a + b) - ORACLE_SUM)).toBeLessThan(1e-4);
  });

  it('reads exactly the next voxel for a translation by one, and zero beyond the end', () => {
    const image = noise(SIZE);
    const along = (x: number, y: number, z: number): Float32Array =>
      one(image, SIZE, { ...IDENTITY_SPATIAL, translationVoxels: [x, y, z] });
    const at = (z: number, y: number, x: number): number => (z > 4 || y > 5 || x > 6 ? 0 : image[(z * 6 + y) * 7 + x]);
    const expected = (dz: number, dy: number, dx: number): Float32Array =>
      image.map((_, i) => at(Math.floor(i / 42) + dz, (Math.floor(i / 7) % 6) + dy, (i % 7) + dx));
    expect(along(1, 0, 0)).toEqual(expected(0, 0, 1));
    expect(along(0, 1, 0)).toEqual(expected(0, 1, 0));
    expect(along(0, 0, 1)).toEqual(expected(1, 0, 0));
  });

  it('turns a cube by half a turn about z exactly', () => {
    const size: Zyx = [2, 5, 7];
    const image = noise(size);
    const turned = one(image, size, { ...IDENTITY_SPATIAL, rotationRadians: [0, 0, Math.PI] });
    for (let z = 0; z < 2; z++) {
      for (let i = 0; i < 35; i++) expect(turned[z * 35 + i]).toBeCloseTo(image[z * 35 + 34 - i], 5);
    }
  });

  it('moves all images alike and takes labels from the nearest voxel', () => {
    const size: Zyx = [20, 24, 28];
    const plan = sampleSpatial(randomStream(3), size);
    const inside = new Float32Array(voxelCount(size)).fill(1);
    const map = Uint8Array.from(inside, (_, i) => (Math.floor(i / 672) < 10 ? 205 : 7));
    const half = Float32Array.from(map, (label) => (label === 205 ? 1 : 0));
    const together = applySpatial([inside, half, inside], size, plan, { labels: [map] });
    expect(together.images[0]).toEqual(together.images[2]);
    expect(together.images[1]).toEqual(one(half, size, plan));
    expect(together.labels[0]).toBeInstanceOf(Uint8Array);
    expect([...new Set(together.labels[0])].toSorted((a, b) => a - b)).toEqual([0, 7, 205]);
    // Nearest and trilinear agree wherever the trilinear value is clear, but at the border.
    const clear = together.images[1].filter((value, i) => value > 0.9 && together.labels[0][i] !== 205).length;
    expect(clear).toBe(0);
  });

  it('is the same again from the plan after JSON, and leaves its input alone', () => {
    const size: Zyx = [12, 13, 14];
    const image = noise(size);
    const plan = sampleSpatial(randomStream(4), size);
    const moved = one(image, size, plan);
    expect(image).toEqual(noise(size));
    expect(one(image, size, JSON.parse(JSON.stringify(plan)))).toEqual(moved);
    expect(sampleSpatial(randomStream(4), size)).toEqual(plan);
    expect(sampleSpatial(randomStream(5), size)).not.toEqual(plan);
  });

  it('says what it expected of an image of another size', () => {
    expect(() => one(new Float32Array(5), SIZE, IDENTITY_SPATIAL)).toThrow('expected 210 values for shape [5, 6, 7], got 5');
  });
});

describe('sampleSpatial', () => {
  it('fills the ranges of the specification and stays in them', () => {
    const plans = Array.from({ length: 1000 }, (_, i) => sampleSpatial(randomStream(i), [40, 60, 100]));
    const range = (of: (plan: SpatialPlan) => readonly number[]): [number, number] => {
      const values = plans.flatMap(of);
      return [Math.min(...values), Math.max(...values)];
    };
    const expectRange = ([low, high]: [number, number], wantLow: number, wantHigh: number): void => {
      expect(low).toBeGreaterThanOrEqual(wantLow);
      expect(high).toBeLessThanOrEqual(wantHigh);
      expect(high - low).toBeGreaterThan(0.98 * (wantHigh - wantLow));
    };
    expectRange(
      range((plan) => plan.rotationRadians),
      -Math.PI / 9,
      Math.PI / 9,
    );
    expectRange(
      range((plan) => plan.scale),
      0.75,
      1.25,
    );
    expectRange(
      range((plan) => plan.shearRadians),
      -Math.PI / 18,
      Math.PI / 18,
    );
    [10, 6, 4].forEach((limit, axis) => {
      expectRange(
        range((plan) => [plan.translationVoxels[axis]]),
        -limit,
        limit,
      );
    });
    expectRange(
      range((plan) => [plan.elastic!.alphaVoxels]),
      0,
      512,
    );
    expectRange(
      range((plan) => [plan.elastic!.sigmaVoxels]),
      10,
      13,
    );
  });

  it('can be switched off part by part', () => {
    const off = {
      rotationRadians: 0,
      scale: [1, 1],
      shearRadians: 0,
      translationShare: 0,
      elasticAlphaVoxels: [0, 0],
    } as const;
    const plan = sampleSpatial(randomStream(1), SIZE, off);
    expect(plan.elastic).toBeNull();
    expect(one(noise(SIZE), SIZE, plan)).toEqual(noise(SIZE));
  });
});

describe('elastic field', () => {
  const rowOf = (size: Zyx, plan: { alphaVoxels: number; sigmaVoxels: number; seed: number }, z = 0, y = 0): VectorRow => {
    const row: VectorRow = [new Float64Array(size[2]), new Float64Array(size[2]), new Float64Array(size[2])];
    elasticRows(size, plan)(z, y, row);
    return row;
  };

  it('has the covariance of smoothed uniform noise: variance (1 / 2 sqrt(pi) sigma)^3 / 3, correlation exp(-d^2 / 4 sigma^2)', () => {
    const sigmaVoxels = 10;
    const size: Zyx = [1, 1, 31];
    const rows = Array.from({ length: 1200 }, (_, seed) => rowOf(size, { alphaVoxels: 1, sigmaVoxels, seed })).flat();
    const covariance = (lag: number): number => rows.reduce((sum, row) => sum + row[3] * row[3 + lag], 0) / rows.length;
    const variance = (1 / (2 * Math.sqrt(Math.PI) * sigmaVoxels)) ** 3 / 3;
    expect(Math.abs(rows.reduce((sum, row) => sum + row[3], 0) / rows.length)).toBeLessThan(0.1 * Math.sqrt(variance));
    expect(Math.abs(covariance(0) / variance - 1)).toBeLessThan(0.08);
    for (const lag of [7, 14, 27]) {
      expect(Math.abs(covariance(lag) / variance - Math.exp(-(lag ** 2) / (4 * sigmaVoxels ** 2)))).toBeLessThan(0.06);
    }
  });

  it('is smooth, with independent components, and rows do not depend on the order they are asked for in', () => {
    const size: Zyx = [30, 30, 30];
    const plan = { alphaVoxels: 400, sigmaVoxels: 10, seed: 3 };
    const rows = elasticRows(size, plan);
    const row: VectorRow = [new Float64Array(30), new Float64Array(30), new Float64Array(30)];
    rows(29, 4, row);
    rows(3, 5, row);
    const again = rowOf(size, plan, 3, 5);
    expect(row).toEqual(again);
    expect(row[0]).not.toEqual(row[1]);
    for (const component of row) {
      for (let x = 1; x < 30; x++) expect(Math.abs(component[x] - component[x - 1])).toBeLessThan(0.5);
    }
  });
});
