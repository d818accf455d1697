/** What is drawn of a registration, on small grids that can be counted, with voxels that are no cubes and axes at an angle. */
import { describe, expect, it } from 'vitest';
import type { Geometry, Matrix3, Xyz } from '../../geometry/volume.ts';
import { checkerboard, deformationGrid, differenceColours, displacementMm, foldsOf, greyWindow } from './views.ts';

const [c, s] = [Math.cos(0.4), Math.sin(0.4)];
const TURNED: Matrix3 = [c, -s, 0, s, c, 0, 0, 0, 1];
const grid = (size: Xyz, spacingMm: Xyz): Geometry => ({ size, spacingMm, originMm: [7, -3, 11], direction: TURNED });
const windows = { fixed: { low: 0, high: 100 }, moving: { low: 0, high: 100 } };

describe('checkerboard', () => {
  it('has cubes of so many mm, whatever the voxels, the fixed image first', () => {
    const geometry = grid([8, 4, 4], [1, 2, 4]);
    const fixed = new Float32Array(128);
    const moving = new Float32Array(128).fill(100);
    const { data } = checkerboard({ geometry, fixed, moving, windows }, 4);
    const at = (i: number, j: number, k: number): number => data[(k * 4 + j) * 8 + i];
    expect(Array.from({ length: 8 }, (_, i) => at(i, 0, 0))).toEqual([1, 1, 1, 1, 255, 255, 255, 255]);
    expect(Array.from({ length: 4 }, (_, j) => at(0, j, 0))).toEqual([1, 1, 255, 255]);
    expect(Array.from({ length: 4 }, (_, k) => at(0, 0, k))).toEqual([1, 255, 1, 255]);
    expect(at(4, 2, 0)).toBe(1);
    // cells are never thinner than a slice
    const thin = checkerboard({ geometry, fixed, moving, windows }, 1).data;
    expect(Array.from({ length: 4 }, (_, k) => thin[k * 32])).toEqual([1, 255, 1, 255]);
  });
});

describe('difference', () => {
  it('is orange where the moving image is brighter, blue where it is darker, the dimmed image where they agree', () => {
    const rgb = differenceColours({ fixed: Float32Array.of(100, 0, 100, 0), moving: Float32Array.of(0, 100, 100, 0), windows });
    expect([...rgb]).toEqual([70, 160, 255, 255, 160, 40, 115, 115, 115, 1, 1, 1]);
  });

  it('has its greys between hundredths of the values', () => {
    const data = Float32Array.from({ length: 1000 }, (_, i) => i);
    data[999] = 1e6;
    const { low, high } = greyWindow({ geometry: grid([10, 10, 10], [1, 1, 1]), data });
    expect(low).toBeGreaterThan(5);
    expect(high).toBeLessThan(1000);
  });
});

describe('deformation grid', () => {
  const geometry = grid([24, 12, 3], [1, 2, 5]);
  const voxels = 24 * 12 * 3;
  const field = (vector: (i: number, j: number) => Xyz): Float32Array => {
    const data = new Float32Array(3 * voxels);
    for (let at = 0; at < voxels; at++) data.set(vector(at % 24, Math.floor(at / 24) % 12), 3 * at);
    return data;
  };
  /** A displacement of so many mm along the grid's first axis, LPS. */
  const along = (mm: number): Xyz => [c * mm, s * mm, 0];
  const row = (data: Uint8Array, j = 1): number[] =>
    Array.from({ length: 24 }, (_, i) => i).filter((i) => data[(1 * 12 + j) * 24 + i] > 200);

  it('has straight lines so many mm apart where nothing is deformed', () => {
    const { data } = deformationGrid({ geometry, data: field(() => [0, 0, 0]) }, 2, 8);
    expect(row(data)).toEqual([0, 8, 16]);
    // every 8 mm are every fourth voxel of 2 mm
    expect(Array.from({ length: 12 }, (_, j) => data[(12 + j) * 24 + 3] > 200)).toEqual(
      Array.from({ length: 12 }, (_, j) => j % 4 === 0),
    );
  });

  it('shows a translation in mm along the axes of an oblique grid, and a stretch', () => {
    const moved = deformationGrid({ geometry, data: field(() => along(3)) }, 2, 8);
    expect(row(moved.data)).toEqual([5, 13, 21]);
    // twice as far with every voxel: lines lie 4 voxels apart
    const stretched = deformationGrid({ geometry, data: field((i) => along(i)) }, 2, 8);
    expect(row(stretched.data)).toEqual([0, 4, 8, 12, 16, 20]);
    // in slices along the first axis nothing of it is seen
    const across = deformationGrid({ geometry, data: field((i) => along(i)) }, 0, 8);
    expect(row(across.data)).toEqual([]);
    expect(displacementMm({ geometry, data: field(() => along(3)) })).toEqual({
      mean: expect.closeTo(3, 5),
      greatest: expect.closeTo(3, 5),
    });
  });
});

describe('deformation grid on a sheared grid', () => {
  it('moves lines along the axis that a translation is along, and no others', () => {
    // its second axis leans over the first
    const lean = Math.PI / 6;
    const sheared: Geometry = {
      size: [24, 12, 1],
      spacingMm: [1, 1, 1],
      originMm: [0, 0, 0],
      direction: [1, Math.sin(lean), 0, 0, Math.cos(lean), 0, 0, 0, 1],
    };
    const u = [Math.sin(lean) * 4, Math.cos(lean) * 4, 0];
    const data = Float32Array.from({ length: 3 * 24 * 12 }, (_, at) => u[at % 3]);
    const grey = deformationGrid({ geometry: sheared, data }, 2, 8).data;
    const lines = (count: number, step: number, from: number) =>
      Array.from({ length: count }, (_, i) => i).filter((i) => grey[from + i * step] > 200);
    expect(lines(24, 1, 24)).toEqual([0, 8, 16]);
    expect(lines(12, 24, 1)).toEqual([4]);
  });
});

describe('folds', () => {
  it('are voxels whose determinant is 0 or less', () => {
    const geometry = grid([2, 2, 1], [1, 1, 1]);
    const { mask, voxels, share, range } = foldsOf({ geometry, data: Float32Array.of(1, 0, -0.5, 2) });
    expect([...mask.data]).toEqual([0, 1, 1, 0]);
    expect([voxels, share, ...range]).toEqual([2, 0.5, -0.5, 2]);
  });
});
