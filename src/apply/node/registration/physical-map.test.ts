import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../common/random.ts';
import { type Affine, applyAffine, determinant3, multiply3, physicalToVoxel, voxelToPhysical } from '../../../geometry/affine.ts';
import { resampleLinear, resampleNearest } from '../../../geometry/resample.ts';
import {
  type Geometry,
  IDENTITY_3,
  type Matrix3,
  type Volume,
  type VoxelArray,
  voxelCount,
  type Xyz,
} from '../../../geometry/volume.ts';
import { displacementPlanes, IDENTITY, jacobianPlanes, mapPoint, type PhysicalMap } from '../../registration/physical-map.ts';
import { commonAffine, planTiles, tileWeights } from '../../registration/tiles.ts';
import { itkAffineText } from '../../registration/transforms/itk-text.ts';
import { coveredShare, forEachRow, rowsWithin, sampleNearest, warpImage } from '../../registration/warp.ts';

/** A proper rotation far from the axes. */
const OBLIQUE: Matrix3 = [0.36, 0.48, -0.8, -0.8, 0.6, 0, 0.48, 0.64, 0.6];
const grid = (size: Xyz, direction: Matrix3, spacingMm: Xyz = [0.7, 1.25, 2.5]): Geometry => ({
  size,
  spacingMm,
  originMm: [-101.5, 33.25, 712],
  direction,
});
/** Axes that are neither the patient's nor perpendicular. */
const SHEARED: Matrix3 = [1, 0.2, 0, 0, Math.sqrt(0.96), 0.1, 0, 0, Math.sqrt(0.99)];
/** x to the head, y to the left, z to the front. */
const PERMUTED: Matrix3 = [0, 1, 0, 0, 0, -1, 1, 0, 0];

/** All planes, one after the other. */
function everyPlane<Data extends VoxelArray>({ size }: Geometry, plane: (k: number) => Data): number[] {
  return Array.from({ length: size[2] }, (_, k) => [...plane(k)]).flat();
}

function warpedLabels(labels: Volume<Int16Array>, map: PhysicalMap, target: Geometry): Int16Array {
  const out = new Int16Array(voxelCount(target.size));
  forEachRow(map, target, physicalToVoxel(labels.geometry), (row, at) => sampleNearest(labels, row, out, at));
  return out;
}

const AFFINE: Affine = { matrix: [1.1, 0.2, 0, -0.1, 0.9, 0.05, 0, 0.3, 1.2], offset: [3, -2, 40] };

const pointOf = (geometry: Geometry, voxel: number): Xyz => {
  const [nx, ny] = geometry.size;
  return applyAffine(voxelToPhysical(geometry), [voxel % nx, Math.floor(voxel / nx) % ny, Math.floor(voxel / (nx * ny))]);
};

describe('a map in physical space', () => {
  const field = grid([4, 3, 2], OBLIQUE);
  const data = Float32Array.from({ length: 72 }, (_, i) => Math.sin(i));
  const map: PhysicalMap = { affine: AFFINE, residual: { geometry: field, data } };

  it("adds its residual to the affine: on the residual's voxels exactly, between them halfway, outside the border's", () => {
    const at = (voxel: Xyz): Xyz => applyAffine(voxelToPhysical(field), voxel);
    const added = (voxel: Xyz): number[] => mapPoint(map, at(voxel)).map((value, k) => value - applyAffine(AFFINE, at(voxel))[k]);
    const vector = (voxel: number): number[] => [...data.subarray(3 * voxel, 3 * voxel + 3)];
    const expectClose = (got: number[], want: number[]): void => {
      for (const [k, value] of want.entries()) expect(got[k]).toBeCloseTo(value, 6);
    };
    expectClose(added([2, 1, 1]), vector(2 + 4 * (1 + 3)));
    expectClose(
      added([1.5, 0, 0]),
      vector(1).map((v, k) => (v + vector(2)[k]) / 2),
    );
    expectClose(added([-7, 0, 0]), vector(0));
    expectClose(added([9, 9, 9]), vector(23));
  });

  it('gives on any grid the displacement of its points', () => {
    const target = grid([5, 4, 3], [0, -1, 0, 0, 0, 1, -1, 0, 0], [1, 0.5, 2]);
    const displacement = everyPlane(target, displacementPlanes(map, target));
    for (const voxel of [0, 7, 33, 59]) {
      const from = pointOf(target, voxel);
      const to = mapPoint(map, from);
      for (let k = 0; k < 3; k++) expect(displacement[voxel * 3 + k]).toBeCloseTo(to[k] - from[k], 3);
    }
  });

  it('has a Jacobian determinant that is the affine’s on any grid, and negative where it folds', () => {
    for (const direction of [IDENTITY_3, OBLIQUE, [0, -1, 0, 0, 0, 1, -1, 0, 0] as const]) {
      const target = grid([5, 4, 3], direction);
      const determinantsOf = (affine: Affine): number[] =>
        everyPlane(target, jacobianPlanes(target, displacementPlanes({ affine, residual: null }, target)));
      const determinants = determinantsOf(AFFINE);
      for (const value of determinants) expect(value).toBeCloseTo(determinant3(AFFINE.matrix), 4);
      const mirrored: Affine = { matrix: [-1, 0, 0, 0, 1, 0, 0, 0, 1], offset: [0, 0, 0] };
      for (const value of determinantsOf(mirrored)) expect(value).toBeCloseTo(-1, 4);
    }
  });

  it('is written as ITK reads it: matrix by rows, translation of the centre, centre', () => {
    const centre: Xyz = [10, 20, 30];
    const lines = itkAffineText(AFFINE, centre).split('\n');
    expect(lines.slice(0, 3)).toEqual(['#Insight Transform File V1.0', '#Transform 0', 'Transform: AffineTransform_double_3_3']);
    const numbers = (line: string): number[] => line.split(' ').slice(1).map(Number);
    const [parameters, fixed] = [numbers(lines[3]), numbers(lines[4])];
    expect(fixed).toEqual(centre);
    // ITK: T(x) = M (x - c) + t + c
    const point: Xyz = [-3, 5, 7];
    const shifted = point.map((p, k) => p - fixed[k]) as unknown as Xyz;
    const got = applyAffine({ matrix: parameters.slice(0, 9) as unknown as Matrix3, offset: [0, 0, 0] }, shifted).map(
      (value, k) => value + parameters[9 + k] + fixed[k],
    );
    for (const [k, value] of applyAffine(AFFINE, point).entries()) expect(got[k]).toBeCloseTo(value, 10);
  });
});

describe('warping', () => {
  const stream = randomStream(3, 'warp-test');
  const source = grid([9, 8, 7], OBLIQUE);
  const image: Volume<Float32Array> = {
    geometry: source,
    data: Float32Array.from({ length: voxelCount(source.size) }, () => stream.uniform(-5, 5)),
  };
  const identity: PhysicalMap = { affine: IDENTITY, residual: null };

  it('with the identity is resampling, finer, coarser and turned', () => {
    for (const target of [source, grid([18, 9, 7], OBLIQUE, [0.35, 1, 2.5]), grid([4, 3, 3], IDENTITY_3, [2, 3, 5])]) {
      const [got, want] = [warpImage(image, identity, target, -9).data, resampleLinear(image, target, -9).data];
      for (let i = 0; i < want.length; i++) expect(got[i]).toBeCloseTo(want[i], 3);
      const labels: Volume<Int16Array> = { geometry: source, data: Int16Array.from(image.data, (v) => Math.round(v) * 100) };
      expect([...warpedLabels(labels, identity, target)]).toEqual([...resampleNearest(labels, target, 0).data]);
    }
  });

  it('reads where the map points, rounds whole numbers, and fills what lies more than half a voxel outside', () => {
    const geometry = grid([4, 1, 1], IDENTITY_3, [2, 1, 1]);
    const shift: PhysicalMap = { affine: { matrix: IDENTITY_3, offset: [3, 0, 0] }, residual: null };
    const of = (data: Int16Array | Float32Array): number[] => [...warpImage({ geometry, data }, shift, geometry, -1).data];
    expect(of(Float32Array.of(0, 10, 25, 40))).toEqual([17.5, 32.5, 40, -1]);
    expect(of(Int16Array.of(0, 10, 26, 41))).toEqual([18, 34, 41, -1]);
    expect(coveredShare(geometry, shift, geometry)).toBe(0.75);
  });
});

describe('planes', () => {
  const stream = randomStream(5, 'planes-test');
  const field = grid([6, 5, 4], OBLIQUE, [4, 5, 6]);
  const map: PhysicalMap = {
    // about the place where the grids lie: the point (-100, 30, 710) is moved by (1, -2, 3)
    affine: { matrix: [1.02, 0.05, 0, -0.03, 0.97, 0.02, 0.01, 0, 1.05], offset: [1.5, -18.3, -31.5] },
    residual: { geometry: field, data: Float32Array.from({ length: 3 * 120 }, () => stream.uniform(-4, 4)) },
  };
  /** Axes of the field in another order and sense. */
  const OBLIQUE_PERMUTED = [0, 1, 2].flatMap((row) => [
    -OBLIQUE[row * 3 + 2],
    OBLIQUE[row * 3],
    OBLIQUE[row * 3 + 1],
  ]) as unknown as Matrix3;
  const grids: [string, Matrix3, Xyz][] = [
    ["the field's axes in another order", OBLIQUE_PERMUTED, [7, 9, 6]],
    ['axes as stored', IDENTITY_3, [7, 6, 5]],
    ['permuted and flipped', PERMUTED, [5, 7, 6]],
    ['oblique', OBLIQUE, [7, 5, 6]],
    ['sheared', SHEARED, [6, 7, 5]],
    ['one plane', OBLIQUE, [6, 7, 1]],
    ['one column', SHEARED, [1, 1, 6]],
  ];

  it.each(grids)('are what every voxel alone gives, in any order: %s', (_, direction, size) => {
    const target: Geometry = { ...grid(size, direction, [3, 2, 4]), originMm: [-99, 30, 710] };
    // coarser, so that nothing is smoothed
    const source = grid([5, 4, 3], SHEARED, [4.5, 5, 6]);
    const moving: Volume<Int16Array> = {
      geometry: { ...source, originMm: [-105, 25, 705] },
      data: Int16Array.from({ length: voxelCount(source.size) }, () => Math.round(stream.uniform(-1000, 1000))),
    };
    const displacement = displacementPlanes(map, target);
    const determinants = jacobianPlanes(target, displacementPlanes(map, target));
    const warped = warpImage(moving, map, target, -1024).data;
    const labels = warpedLabels(moving, map, target);
    const [nx, ny, nz] = size;
    const toMm = voxelToPhysical(target);
    const moved = (at: Xyz): Xyz => {
      const p = applyAffine(toMm, at);
      return mapPoint(map, p).map((value, k) => value - p[k]) as unknown as Xyz;
    };
    const clamped = (at: number, n: number): number => Math.max(0, Math.min(n - 1, at));
    let inside = 0;
    for (const k of [...Array(nz).keys()].reverse()) {
      const planes = {
        displacement: displacement(k),
        determinants: determinants(k),
        warped: warped.subarray(k * nx * ny),
        labels: labels.subarray(k * nx * ny),
      };
      for (let voxel = 0; voxel < nx * ny; voxel++) {
        const at: Xyz = [voxel % nx, Math.floor(voxel / nx), k];
        const shift = moved(at);
        for (let c = 0; c < 3; c++) expect(planes.displacement[3 * voxel + c]).toBeCloseTo(shift[c], 4);
        // columns: how the place moves with one voxel along each axis
        const columns = [0, 1, 2].map((axis) => {
          const step = (by: number): Xyz => at.map((v, a) => (a === axis ? clamped(v + by, size[a]) : v)) as unknown as Xyz;
          const [from, to] = [step(-1), step(1)];
          const [a, b] = [moved(from), moved(to)];
          return [0, 1, 2].map((row) => toMm.matrix[row * 3 + axis] + (b[row] - a[row]) / Math.max(1, to[axis] - from[axis]));
        });
        const matrix = [0, 1, 2].flatMap((row) => columns.map((column) => column[row])) as unknown as Matrix3;
        expect(planes.determinants[voxel]).toBeCloseTo(determinant3(matrix) / determinant3(toMm.matrix), 4);
        const place = applyAffine(physicalToVoxel(moving.geometry), mapPoint(map, applyAffine(toMm, at)));
        const isInside = place.every((p, a) => p >= -0.5001 && p <= moving.geometry.size[a] - 0.4999);
        if (isInside) inside++;
        expect(Math.abs(planes.warped[voxel] - (isInside ? linearAt(moving, place) : -1024))).toBeLessThan(0.51);
        const nearest = place.map((p, a) => clamped(Math.round(p), moving.geometry.size[a]));
        const [mx, my] = moving.geometry.size;
        expect(planes.labels[voxel]).toBe(isInside ? moving.data[(nearest[2] * my + nearest[1]) * mx + nearest[0]] : 0);
      }
    }
    expect(inside).toBeGreaterThan(0);
    expect(coveredShare(moving.geometry, map, target)).toBeCloseTo(inside / voxelCount(size), 12);
  });
});

describe('rows of a grid within a box', () => {
  it('are what every voxel alone says, for any affine, also where a coordinate does not change along the row', () => {
    const stream = randomStream(7, 'rows-test');
    let [some, none] = [0, 0];
    for (let round = 0; round < 200; round++) {
      const target = grid([9, 3, 2], IDENTITY_3);
      const number = (): number => (stream.uniform(0, 1) < 0.3 ? 0 : stream.uniform(-1.5, 1.5));
      const matrix = Array.from({ length: 9 }, number) as unknown as Matrix3;
      const affine: Affine = { matrix, offset: [2 * number(), 1, 4 * number()] };
      const size: Xyz = [5, 3, 4];
      const within = rowsWithin(affine, size, 0.5, target);
      for (let k = 0; k < 2; k++)
        for (let j = 0; j < 3; j++) {
          const inside = [...Array(9).keys()].filter((i) =>
            applyAffine(affine, [i, j, k]).every((place, axis) => place >= -0.5 && place <= size[axis] - 0.5),
          );
          const { from, to } = within(j, k);
          expect(Array.from({ length: to - from }, (_, i) => from + i)).toEqual(inside);
          if (inside.length > 0) some++;
          else none++;
        }
    }
    expect(Math.min(some, none)).toBeGreaterThan(100);
  });
});

/** Trilinear, border values beyond the border. */
function linearAt({ geometry: { size }, data }: Volume, place: Xyz): number {
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    let [weight, index, stride] = [1, 0, 1];
    for (let a = 0; a < 3; a++) {
      const p = Math.max(0, Math.min(size[a] - 1, place[a]));
      const low = Math.floor(p);
      const upper = (corner >> a) & 1;
      weight *= upper ? p - low : 1 - (p - low);
      index += Math.min(size[a] - 1, low + upper) * stride;
      stride *= size[a];
    }
    sum += weight * data[index];
  }
  return sum;
}

describe('tiles', () => {
  it('are one box if everything fits, both volumes centred in it', () => {
    expect(planTiles([30, 20, 10], [20, 24, 10], [96, 96, 96])).toEqual({
      size: [30, 24, 10],
      tiles: [{ fixedStart: [0, -2, 0], movingStart: [-5, 0, 0] }],
    });
  });

  it('cover the fixed volume, overlap by a third, and stand at the same relative place of both', () => {
    const { size, tiles } = planTiles([100, 40, 30], [120, 40, 20], [40, 40, 40]);
    expect(size).toEqual([40, 40, 30]);
    expect(tiles.map(({ fixedStart }) => fixedStart[0])).toEqual([0, 20, 40, 60]);
    expect(tiles.map(({ movingStart }) => movingStart[0])).toEqual([4, 28, 52, 76]);
    expect(new Set(tiles.map(({ movingStart }) => movingStart[2]))).toEqual(new Set([-5]));
    const sum = new Float64Array(100);
    for (const { fixedStart } of tiles) {
      for (const [i, weight] of tileWeights(40).entries()) sum[fixedStart[0] + i] += weight;
    }
    expect(Math.min(...sum)).toBeGreaterThan(0);
  });

  it("have one affine in common: a tile's own if there is one, theirs if they agree, the best compromise else", () => {
    const near = (a: Affine, b: Affine): void => {
      a.matrix.forEach((value, i) => void expect(value).toBeCloseTo(b.matrix[i], 10));
      a.offset.forEach((value, i) => void expect(value).toBeCloseTo(b.offset[i], 8));
    };
    near(commonAffine([{ start: [5, -2, 0], affine: AFFINE }], [8, 6, 1]), AFFINE);
    const starts: Xyz[] = [
      [0, 0, 0],
      [10, 0, 0],
      [0, 10, 20],
    ];
    near(
      commonAffine(
        starts.map((start) => ({ start, affine: AFFINE })),
        [16, 16, 16],
      ),
      AFFINE,
    );
    // two boxes at one place that disagree: the mean
    const turned: Affine = { matrix: multiply3(AFFINE.matrix, [1, 0.2, 0, 0, 1, 0, 0, 0, 1]), offset: [5, 0, 40] };
    const meanOf = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => (value + b[i]) / 2);
    near(
      commonAffine(
        [
          { start: [0, 0, 0], affine: AFFINE },
          { start: [0, 0, 0], affine: turned },
        ],
        [8, 8, 8],
      ),
      {
        matrix: meanOf(AFFINE.matrix, turned.matrix) as unknown as Matrix3,
        offset: meanOf(AFFINE.offset, turned.offset) as unknown as Xyz,
      },
    );
  });
});
