import { describe, expect, it } from 'vitest';
import type { VoxelArray, Xyz } from '../geometry/volume.ts';
import { labelValues, smallestInteger } from './label-values.ts';

const size: Xyz = [4, 3, 2];
const voxels = <Data extends VoxelArray>(Type: new (length: number) => Data, set: Readonly<Record<number, number>>): Data => {
  const data = new Type(24);
  for (const [at, value] of Object.entries(set)) data[Number(at)] = value;
  return data;
};

describe('values of a label map', () => {
  it('are whole numbers, ascending, kept as they are', () => {
    const data = voxels(Int16Array, { 3: 850, 9: -3, 10: 850 });
    expect(labelValues(data, size)).toEqual({ codes: [-3, 0, 850], rounded: { voxels: 0, most: 0 }, data });
  });

  it('that are no codes are refused by value, number of voxels and place', () => {
    const refusal = (data: VoxelArray) => () => labelValues(data, size);
    expect(refusal(voxels(Float64Array, { 17: 2 ** 33, 18: 2 ** 33 }))).toThrow(
      'the label code 8589934592 (2 voxels, the first at (1, 1, 1), counting x, y, z from 0) cannot be stored',
    );
    expect(refusal(voxels(Float64Array, { 0: -(2 ** 31) - 1 }))).toThrow('-2147483649 (1 voxel at (0, 0, 0)');
    expect(refusal(voxels(Float64Array, { 0: -1, 5: 2 ** 31 }))).toThrow('-1 and 2147483648');
    expect(refusal(voxels(Float32Array, { 7: 0.9999 }))).toThrow('the value 0.9999 (1 voxel at (3, 1, 0)');
    expect(refusal(voxels(Float32Array, { 7: 0.5, 8: 1 }))).toThrow('0.5');
    expect(refusal(voxels(Float32Array, { 2: Number.NaN, 3: Number.NaN }))).toThrow(
      'the value NaN (2 voxels, the first at (2, 0, 0)',
    );
    expect(refusal(voxels(Float32Array, { 2: Number.POSITIVE_INFINITY }))).toThrow('Infinity');
  });

  it('that are whole up to rounding are rounded, and it is told', () => {
    const { codes, rounded, data } = labelValues(
      voxels(Float32Array, { 1: 1.0000001, 2: 1.9999999, 3: 850.0001, 4: -1e-7 }),
      size,
    );
    expect(codes).toEqual([0, 1, 2, 850]);
    expect(rounded.voxels).toBe(4);
    expect(rounded.most).toBeLessThan(1e-3);
    expect(Array.from(data.subarray(0, 6))).toEqual([0, 1, 2, 850, -0, 0]);
  });

  it('go into the smallest type that holds them, to its last code', () => {
    const typeOf = (...values: number[]): string => {
      const data = smallestInteger(Float64Array.from(values));
      expect(Array.from(data)).toEqual(values);
      return data.constructor.name;
    };
    expect([typeOf(0, 255), typeOf(256), typeOf(65535), typeOf(65536), typeOf(2 ** 32 - 1)]).toEqual([
      'Uint8Array',
      'Uint16Array',
      'Uint16Array',
      'Uint32Array',
      'Uint32Array',
    ]);
    expect([typeOf(-128, 127), typeOf(-129), typeOf(-1, 128), typeOf(-1, 32768), typeOf(-(2 ** 31), 2 ** 31 - 1)]).toEqual([
      'Int8Array',
      'Int16Array',
      'Int16Array',
      'Int32Array',
      'Int32Array',
    ]);
  });

  it('of more than 16 million different ones are refused, not crashed on', () => {
    const many = Float32Array.from({ length: 2 ** 24 + 10 }, (_, i) => i);
    expect(() => labelValues(many, [2 ** 24 + 10, 1, 1])).toThrow('different values');
  });
});
