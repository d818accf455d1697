import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import type { Geometry, Xyz } from '../geometry/volume.ts';
import { HEART_PROTOCOL } from './heart-ct.ts';
import { voxelAt, voxelPosition } from './paint.ts';
import { blur, distanceToBorderMm, drawGrid, grainyNoise } from './scan.ts';
import { cross, length } from './vectors.ts';

const POINTS: readonly Xyz[] = [
  [-40, -80, 10],
  [60, 20, -30],
  [0, 70, 60],
];
const scans = Array.from({ length: 60 }, (_, i) => drawGrid(randomStream(5, 'test', i), HEART_PROTOCOL, POINTS));

describe('the grid of a scan', () => {
  it('holds every point of interest with its margin', () => {
    for (const { geometry } of scans) {
      for (const p of POINTS) expect(distanceToBorderMm(geometry, p)).toBeGreaterThan(HEART_PROTOCOL.marginMm - 1e-6);
    }
  });

  it('comes in many orientations, some oblique, left- and right-handed, with perpendicular unit axes', () => {
    expect(new Set(scans.map(({ orientation }) => orientation)).size).toBeGreaterThan(7);
    expect(scans.some(({ obliqueDegrees }) => length(obliqueDegrees) > 1)).toBe(true);
    expect(scans.some(({ obliqueDegrees }) => length(obliqueDegrees) === 0)).toBe(true);
    const hands = scans.map(({ geometry: { direction: d } }) => {
      const [x, y, z] = [[d[0], d[3], d[6]] as const, [d[1], d[4], d[7]] as const, [d[2], d[5], d[8]] as const];
      for (const axis of [x, y, z]) expect(length(axis)).toBeCloseTo(1, 12);
      const across = cross(x, y);
      return across[0] * z[0] + across[1] * z[1] + across[2] * z[2];
    });
    for (const hand of hands) expect(Math.abs(hand)).toBeCloseTo(1, 12);
    expect(Math.min(...hands)).toBeCloseTo(-1, 12);
  });

  it('has its own spacing for each subject, or the one that is asked for', () => {
    expect(new Set(scans.map(({ geometry }) => geometry.spacingMm.join())).size).toBe(scans.length);
    for (const { geometry } of scans) expect(new Set(geometry.spacingMm).size).toBe(2);
    expect(drawGrid(randomStream(5, 'test'), HEART_PROTOCOL, POINTS, 2.5).geometry.spacingMm).toEqual([2.5, 2.5, 2.5]);
  });

  it('tells voxel and position apart consistently', () => {
    const { geometry } = scans[3];
    const there = voxelAt(geometry, voxelPosition(geometry, [7, 11, 3]));
    for (const [k, v] of [7, 11, 3].entries()) expect(there[k as 0 | 1 | 2]).toBeCloseTo(v, 9);
  });
});

describe('blur and noise', () => {
  it('blur keeps a constant, also at the border, and the sum of a point', () => {
    const size: Xyz = [9, 8, 7];
    const flat = new Float32Array(9 * 8 * 7).fill(3);
    blur(flat, size, [1, 0.5, 1.2]);
    for (const value of flat) expect(value).toBeCloseTo(3, 5);
    const point = new Float32Array(17 ** 3);
    point[(8 * 17 + 8) * 17 + 8] = 1;
    blur(point, [17, 17, 17], [1, 1, 1]);
    expect(point.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    expect(point[(8 * 17 + 8) * 17 + 7]).toBeCloseTo(point[(7 * 17 + 8) * 17 + 8], 7);
  });

  it('noise has mean 0, deviation 1, and neighbours that belong together', () => {
    const geometry: Geometry = {
      size: [30, 30, 30],
      spacingMm: [1, 1, 1],
      originMm: [0, 0, 0],
      direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
    };
    const noise = grainyNoise(randomStream(1, 'test'), geometry, 0.9);
    const mean = noise.reduce((a, b) => a + b, 0) / noise.length;
    let [squares, neighbours] = [0, 0];
    for (let i = 1; i < noise.length; i++) {
      squares += noise[i] ** 2;
      neighbours += noise[i] * noise[i - 1];
    }
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(squares / noise.length).toBeCloseTo(1, 2);
    expect(neighbours / squares).toBeGreaterThan(0.3);
  });
});
