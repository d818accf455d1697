import { describe, expect, it } from 'vitest';
import { HALF_VALUES, toHalf, toHalves } from './float16.ts';

describe('half-precision floats', () => {
  it('every half survives the way to float and back', () => {
    const wrong: number[] = [];
    for (let h = 0; h < 65536; h++) if (!Number.isNaN(HALF_VALUES[h]) && toHalf(HALF_VALUES[h]) !== h) wrong.push(h);
    expect(wrong).toEqual([]);
  });

  it('keeps every Hounsfield unit of the CT window: k / 2048 is exact', () => {
    const values = Float32Array.from({ length: 2049 }, (_, k) => k / 2048);
    expect(Float32Array.from(toHalves(values), (h) => HALF_VALUES[h])).toEqual(values);
  });

  it('rounds to the nearest, ties to even', () => {
    // between two neighbouring halves: nearest by distance, over normals and subnormals
    for (const h of [0x0000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x3c01, 0x7bfe]) {
      const [low, high] = [HALF_VALUES[h], HALF_VALUES[h + 1]];
      expect(toHalf(low + (high - low) * 0.49)).toBe(h);
      expect(toHalf(low + (high - low) * 0.51)).toBe(h + 1);
      expect(toHalf((low + high) / 2)).toBe(h % 2 === 0 ? h : h + 1);
    }
    expect(toHalf(65520)).toBe(0x7c00);
    expect(toHalf(-1e9)).toBe(0xfc00);
    expect(toHalf(Number.NaN) & 0x7e00).toBe(0x7e00);
  });
});
