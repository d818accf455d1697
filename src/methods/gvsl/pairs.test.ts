import { describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { type CropPlace, type PairPlace, type PairRequest, samplePair } from './pairs.ts';

const many = (request: Omit<PairRequest, 'step' | 'sample'>, steps: number): PairPlace[] =>
  Array.from({ length: steps }, (_, i) => samplePair({ ...request, step: i >> 1, sample: i & 1 }));
const cube = (size: number): Zyx => [size, size, size];

describe('samplePair', () => {
  it('takes every ordered pair of different subjects equally often', () => {
    const counts = new Map<string, number>();
    for (const { moving, fixed } of many({ seed: 1, sizes: Array(4).fill(cube(9)), patch: cube(8) }, 12_000)) {
      const key = `${moving.subject}>${fixed.subject}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(12);
    for (const [pair, count] of counts) {
      expect(pair[0]).not.toBe(pair[2]);
      expect(Math.abs(count - 1000)).toBeLessThan(130);
    }
  });

  it('depends on seed, step and sample alone', () => {
    const request = { seed: 3, step: 17, sample: 1, sizes: [cube(50), cube(60), cube(70)], patch: cube(32), jitterVoxels: 3 };
    expect(samplePair(request)).toEqual(samplePair(request));
    for (const other of [{ seed: 4 }, { step: 18 }, { sample: 0 }]) {
      expect(samplePair({ ...request, ...other })).not.toEqual(samplePair(request));
    }
  });

  it('shows the same relative place of both volumes, inside both, and everywhere that both allow', () => {
    const sizes = [[100, 60, 40] as const, [200, 60, 48] as const];
    const patch = [50, 30, 32] as const;
    const centre = (place: CropPlace, axis: number): number => (place.start[axis] + patch[axis] / 2) / sizes[place.subject][axis];
    const starts: number[] = [];
    for (const { moving, fixed } of many({ seed: 5, sizes, patch }, 2000)) {
      for (let axis = 0; axis < 3; axis++) {
        const voxel = 1 / Math.min(sizes[0][axis], sizes[1][axis]);
        expect(Math.abs(centre(moving, axis) - centre(fixed, axis))).toBeLessThanOrEqual(voxel);
        for (const place of [moving, fixed]) {
          expect(place.start[axis]).toBeGreaterThanOrEqual(0);
          expect(place.start[axis] + patch[axis]).toBeLessThanOrEqual(sizes[place.subject][axis]);
        }
      }
      starts.push((moving.subject === 0 ? moving : fixed).start[0]);
    }
    expect([Math.min(...starts), Math.max(...starts)]).toEqual([0, 50]);
  });

  it('jitters the crops independently, by no more than asked for and never out of the volume', () => {
    const differences = new Set<number>();
    for (const { moving, fixed } of many({ seed: 6, sizes: [cube(64), cube(64)], patch: cube(32), jitterVoxels: 2 }, 2000)) {
      for (let axis = 0; axis < 3; axis++) {
        differences.add(moving.start[axis] - fixed.start[axis]);
        expect(Math.min(moving.start[axis], fixed.start[axis])).toBeGreaterThanOrEqual(0);
        expect(Math.max(moving.start[axis], fixed.start[axis])).toBeLessThanOrEqual(32);
      }
    }
    expect([...differences].toSorted((a, b) => a - b)).toEqual([-4, -3, -2, -1, 0, 1, 2, 3, 4]);
  });

  it('centres a volume that is smaller than the patch, and the partner with it', () => {
    for (const { moving, fixed } of many({ seed: 7, sizes: [cube(21), cube(64)], patch: cube(32) }, 20)) {
      const [small, large] = moving.subject === 0 ? [moving, fixed] : [fixed, moving];
      expect([...small.start]).toEqual([-5, -5, -5]);
      expect([...large.start]).toEqual([16, 16, 16]);
    }
  });

  it('refuses a cohort of one', () => {
    expect(() => samplePair({ seed: 1, step: 0, sample: 0, sizes: [cube(9)], patch: cube(8) })).toThrow(RunError);
  });
});
