import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { voxelCount, type Zyx } from '../../geometry/volume.ts';
import { ncc } from './ncc.ts';

// Made with the PyTorch oracle in float64, 1 - ncc_loss(a, b, window), on a = image(size, 3, 5, 2) and b = image(size, 4, 4, 3).
const ORACLE: readonly [Zyx, number, number][] = [
  [[16, 12, 20], 9, 0.515070856937386],
  [[12, 12, 12], 3, 0.661946450667946],
  [[5, 7, 6], 9, 0.988492830907243],
  [[1, 9, 14], 9, 0.969985462032267],
  [[24, 10, 11], 5, 0.550713729443622],
];
/** The same, window 9, on 4000 a - 1000 and 4000 b - 1000 rounded to float32. */
const ORACLE_HOUNSFIELD: readonly [Zyx, number] = [[16, 12, 20], 0.290097497523902];

/** A ramp with wraps plus a hash: whole numbers until one division, so that Python makes the same bits. */
function image([depth, height, width]: Zyx, p: number, q: number, r: number): Float32Array {
  return Float32Array.from({ length: depth * height * width }, (_, i) => {
    const [z, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
    return (((z * p + y * q + x * r) % 64) / 64) * 0.75 + (((i * 37 + p) % 101) / 100) * 0.25;
  });
}
const scaled = (values: Float32Array): Float32Array => values.map((value) => value * 4000 - 1000);

describe('ncc', () => {
  it('equals the oracle in double precision', () => {
    for (const [size, window, want] of ORACLE) {
      expect(Math.abs(ncc(image(size, 3, 5, 2), image(size, 4, 4, 3), size, window) - want)).toBeLessThan(1e-13);
    }
    const [size, want] = ORACLE_HOUNSFIELD;
    expect(Math.abs(ncc(scaled(image(size, 3, 5, 2)), scaled(image(size, 4, 4, 3)), size) - want)).toBeLessThan(1e-12);
  });

  it('is 1 for an image and itself, or its negative, and symmetric', () => {
    const size: Zyx = [12, 13, 14];
    const a = image(size, 3, 5, 2);
    const b = image(size, 4, 4, 3);
    expect(ncc(a, a, size)).toBeCloseTo(1, 6);
    expect(
      ncc(
        a,
        a.map((value) => -value),
        size,
      ),
    ).toBeCloseTo(1, 6);
    expect(ncc(a, b, size)).toBeCloseTo(ncc(b, a, size), 14);
  });

  it('is small, but above 0, on two images of noise', () => {
    const size: Zyx = [24, 24, 24];
    const noise = (seed: number): Float32Array => {
      const stream = randomStream(seed);
      return Float32Array.from({ length: voxelCount(size) }, () => stream.normal());
    };
    const similarity = ncc(noise(1), noise(2), size);
    expect(similarity).toBeGreaterThan(0);
    expect(similarity).toBeLessThan(0.01);
  });

  it('is finite and in [0, 1] on constant, Hounsfield-sized, saturated and enormous input', () => {
    const size: Zyx = [11, 12, 13];
    const ramp = image(size, 3, 5, 2);
    const fill = (value: number): Float32Array => new Float32Array(voxelCount(size)).fill(value);
    const images = [
      fill(0),
      fill(1),
      fill(-1024),
      fill(3071.5),
      fill(3e38),
      ramp,
      scaled(ramp),
      ramp.map((value) => (value > 0.5 ? 1 : 0)),
      ramp.map((value) => (value > 0.5 ? 3e38 : -3e38)),
      ramp.map((value) => value * 1e-30),
      ramp.map((value) => 1e6 + value),
    ];
    for (const a of images) {
      for (const b of images) {
        const similarity = ncc(a, b, size);
        expect(similarity).toBeGreaterThanOrEqual(0);
        expect(similarity).toBeLessThanOrEqual(1);
      }
    }
  });

  it('finds nothing in common with an empty volume', () => {
    const size: Zyx = [30, 30, 30];
    const ramp = image(size, 3, 5, 2);
    const constant = new Float32Array(voxelCount(size)).fill(0);
    expect(ncc(ramp, constant, size)).toBe(0);
  });

  it('works on axes of one voxel and refuses what does not fit', () => {
    expect(ncc(Float32Array.of(3), Float32Array.of(5), [1, 1, 1])).toBeLessThanOrEqual(1);
    expect(() => ncc(new Float32Array(3), new Float32Array(4), [1, 1, 4])).toThrow(
      'expected 4 values for shape [1, 1, 4], got 3',
    );
    expect(() => ncc(new Float32Array(4), new Float32Array(4), [1, 1, 4], 4)).toThrow('odd window');
  });
});
