/** The codes of a label map: checked, counted, and stored in the smallest type that holds them. */
import { RunError } from '../common/errors.ts';
import type { Volume, VoxelArray, Xyz } from '../geometry/volume.ts';
import type { LabelArray } from './reader.ts';

/** Codes that can be stored: those of 32-bit numbers, with a sign if any of them is negative. */
const LOWEST = -(2 ** 31);
const HIGHEST = 2 ** 32 - 1;
const HIGHEST_SIGNED = 2 ** 31 - 1;
/** A value this near to a whole number, or within the rounding of single precision, is that number. */
const TOLERANCE = 1e-5;
const ROUNDING = 1e-6;
/** No segmentation, of instances neither, has more. */
const MAX_CODES = 2 ** 20;

export interface LabelValues {
  /** Ascending. */
  readonly codes: readonly number[];
  /** How many voxels were not whole numbers and were rounded, and by how much at most. */
  readonly rounded: { readonly voxels: number; readonly most: number };
  /** The voxels, rounded; the input itself where nothing was. */
  readonly data: VoxelArray;
}

/** The first voxel with a value, and how many have it: '12 voxels, the first at (3, 4, 5)'. */
function placesOf(data: VoxelArray, bad: (value: number) => boolean, size: Xyz): string {
  let first = -1;
  let count = 0;
  for (let i = 0; i < data.length; i++) {
    if (!bad(data[i])) continue;
    if (first < 0) first = i;
    count++;
  }
  const place = [first % size[0], Math.floor(first / size[0]) % size[1], Math.floor(first / (size[0] * size[1]))];
  return `${count} ${count === 1 ? 'voxel' : 'voxels, the first'} at (${place.join(', ')}), counting x, y, z from 0`;
}

/**
 * Checks the values of a label map.
 * @throws RunError, without the file's name, that says which value is no code, in how many voxels and where the first is
 */
export function labelValues(data: VoxelArray, size: Xyz): LabelValues {
  const values = new Set<number>();
  let last = Number.NaN;
  let isWhole = true;
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    // runs of one value are what label maps are made of
    if (value === last) continue;
    last = value;
    if (values.has(value)) continue;
    const near = Math.round(value);
    const most = Math.min(0.01, Math.max(TOLERANCE, ROUNDING * Math.abs(value)));
    if (!(Math.abs(value - near) <= most))
      throw new RunError(
        `not a label map: the value ${data instanceof Float32Array ? +value.toPrecision(7) : value} (${placesOf(data, (v) => Object.is(v, value), size)}); expected whole numbers (to ${TOLERANCE})`,
      );
    if (near < LOWEST || near > HIGHEST)
      throw new RunError(
        `the label code ${value} (${placesOf(data, (v) => v === value, size)}) cannot be stored; expected codes from ${LOWEST} to ${HIGHEST}`,
      );
    if (near !== value) isWhole = false;
    values.add(value);
    if (values.size > MAX_CODES) throw new RunError(`not a label map: more than ${MAX_CODES} different values, as images have`);
  }
  const codes = [...new Set([...values].map((value) => Math.round(value) + 0))].sort((a, b) => a - b);
  const [low = 0, high = 0] = [codes[0], codes.at(-1)];
  if (low < 0 && high > HIGHEST_SIGNED)
    throw new RunError(
      `the label codes ${low} and ${high} (${placesOf(data, (v) => v > HIGHEST_SIGNED, size)}) cannot be stored together; with negative codes, the maximum is ${HIGHEST_SIGNED}`,
    );
  if (isWhole) return { codes, rounded: { voxels: 0, most: 0 }, data };
  const whole = data.slice() as VoxelArray;
  const rounded = { voxels: 0, most: 0 };
  for (let i = 0; i < data.length; i++) {
    const off = Math.abs(data[i] - Math.round(data[i]));
    if (off === 0) continue;
    rounded.voxels++;
    rounded.most = Math.max(rounded.most, off);
    whole[i] = Math.round(data[i]);
  }
  return { codes, rounded, data: whole };
}

/** The values of the label map in a file. @throws RunError naming the file and the value that is no code */
export function labelValuesOf(path: string, { data, geometry }: Volume): LabelValues {
  try {
    return labelValues(data, geometry.size);
  } catch (error) {
    if (error instanceof RunError) throw new RunError(`${path}: ${error.message}`);
    throw error;
  }
}

/** Label codes in the smallest integer type that holds them all; the input itself if that is its type. */
export function smallestInteger(data: VoxelArray): LabelArray {
  let low = 0;
  let high = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] < low) low = data[i];
    if (data[i] > high) high = data[i];
  }
  const as = <Data extends LabelArray>(Type: new (data: VoxelArray) => Data): Data =>
    data instanceof Type ? data : new Type(data);
  if (low >= 0) {
    if (high < 2 ** 8) return as(Uint8Array);
    return high < 2 ** 16 ? as(Uint16Array) : as(Uint32Array);
  }
  if (low >= -(2 ** 7) && high < 2 ** 7) return as(Int8Array);
  return low >= -(2 ** 15) && high < 2 ** 15 ? as(Int16Array) : as(Int32Array);
}
