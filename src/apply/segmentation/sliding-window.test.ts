import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import type { TensorView } from '../../engine/backend.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { slideWindows, windowCount, windowStarts, windowsOf, windowWeights } from './sliding-window.ts';

const collect = async (planes: AsyncGenerator<Float32Array>): Promise<number[]> => {
  const all: number[] = [];
  for await (const plane of planes) all.push(...plane);
  return all;
};

describe('windowStarts', () => {
  it('covers every voxel of every size, with the overlap asked for', () => {
    for (const side of [8, 16, 24])
      for (const overlap of [0, 0.25, 0.5, 0.75])
        for (let size = 1; size < 80; size++) {
          const starts = windowStarts(size, side, overlap);
          const covered = new Set(starts.flatMap((start) => Array.from({ length: side }, (_, i) => start + i)));
          for (let v = 0; v < size; v++) expect(covered.has(v)).toBe(true);
          expect(new Set(starts).size).toBe(starts.length);
          if (size >= side) expect([starts[0], starts.at(-1)! + side]).toEqual([0, size]);
          // starts are rounded to voxels, so an overlap may miss its share by one
          for (let i = 1; i < starts.length; i++)
            expect(side - (starts[i] - starts[i - 1])).toBeGreaterThanOrEqual(Math.floor(overlap * side) - 1);
        }
  });
});

describe('slideWindows', () => {
  it('gives back what every window agrees on, for any size', async () => {
    const random = randomStream(1, 'sliding');
    for (let trial = 0; trial < 40; trial++) {
      const size: Zyx = [random.integer(1, 20), random.integer(1, 20), random.integer(1, 20)];
      const window: Zyx = [random.integer(2, 12), random.integer(2, 12), random.integer(2, 12)];
      const value = (c: number, z: number, y: number, x: number): number => c + z / 7 + y / 11 - x / 13;
      const predict = async (start: Zyx): Promise<Float32Array> => {
        const out = new Float32Array(2 * window[0] * window[1] * window[2]);
        let i = 0;
        for (let c = 0; c < 2; c++)
          for (let z = 0; z < window[0]; z++)
            for (let y = 0; y < window[1]; y++)
              for (let x = 0; x < window[2]; x++) out[i++] = value(c, start[0] + z, start[1] + y, start[2] + x);
        return out;
      };
      const overlap = random.uniform(0, 0.8);
      const got = await collect(slideWindows({ size, window, overlap, channels: 2, predict }));
      expect(got.length).toBe(2 * size[0] * size[1] * size[2]);
      let i = 0;
      for (let z = 0; z < size[0]; z++)
        for (let c = 0; c < 2; c++)
          for (let y = 0; y < size[1]; y++) for (let x = 0; x < size[2]; x++) expect(got[i++]).toBeCloseTo(value(c, z, y, x), 4);
    }
  });

  it('weights a window most in its middle', async () => {
    // two windows of 4 on 6 voxels; the first says 0, the second 1
    const predict = async (start: Zyx): Promise<Float32Array> => new Float32Array(4).fill(start[2] > 0 ? 1 : 0);
    const got = await collect(slideWindows({ size: [1, 1, 6], window: [1, 1, 4], overlap: 0.5, channels: 1, predict }));
    expect(got.slice(0, 2)).toEqual([0, 0]);
    expect(got.slice(4)).toEqual([1, 1]);
    expect(got[2] + got[3]).toBeCloseTo(1, 6);
    expect(got[2]).toBeLessThan(0.5);
    const weights = windowWeights(9);
    expect(weights[4]).toBe(1);
    expect(Math.min(...weights)).toBeGreaterThan(0);
  });

  it('counts the windows that it asks for', async () => {
    let asked = 0;
    const predict = async (): Promise<Float32Array> => {
      asked++;
      return new Float32Array(8 * 8 * 8);
    };
    await collect(slideWindows({ size: [9, 20, 8], window: [8, 8, 8], overlap: 0.5, channels: 1, predict }));
    expect(asked).toBe(windowCount({ size: [9, 20, 8], window: [8, 8, 8], overlap: 0.5 }));
  });

  it('runs the windows of a box alone, in which the values are the same', async () => {
    const random = randomStream(2, 'needed');
    for (let trial = 0; trial < 30; trial++) {
      const size: Zyx = [random.integer(1, 24), random.integer(1, 16), random.integer(1, 16)];
      const window: Zyx = [random.integer(2, 8), random.integer(2, 8), random.integer(2, 8)];
      const from = size.map((n) => random.integer(0, n - 1)) as unknown as Zyx;
      const to = size.map((n, k) => random.integer(from[k], n - 1)) as unknown as Zyx;
      const asked: string[] = [];
      const predict = async (start: Zyx): Promise<Float32Array> => {
        asked.push(start.join());
        const one = randomStream(4, 'window', ...start.map((s) => s + 100));
        return Float32Array.from({ length: window[0] * window[1] * window[2] }, () => one.uniform());
      };
      const plan = { size, window, overlap: random.uniform(0, 0.8) };
      const whole = await collect(slideWindows({ ...plan, channels: 1, predict }));
      asked.length = 0;
      const part = await collect(slideWindows({ ...plan, channels: 1, predict, needed: { from, to } }));
      expect(asked.length).toBe(windowCount({ ...plan, needed: { from, to } }));
      expect(asked).toEqual([...windowsOf({ ...plan, needed: { from, to } })].map(String));
      expect(part.length).toBe(whole.length);
      for (let z = from[0]; z <= to[0]; z++)
        for (let y = from[1]; y <= to[1]; y++)
          for (let x = from[2]; x <= to[2]; x++) {
            const i = (z * size[1] + y) * size[2] + x;
            expect(part[i]).toBe(whole[i]);
          }
    }
  });

  it('takes values where a session has them: the same bits, however the channels lie', async () => {
    const random = randomStream(3, 'views');
    for (const channels of [1, 3, 8, 9, 17])
      for (const together of [1, 3, 8]) {
        const size: Zyx = [random.integer(1, 12), random.integer(1, 12), random.integer(1, 12)];
        const window: Zyx = [random.integer(2, 6), random.integer(2, 6), random.integer(2, 6)];
        const [depth, height, width] = window;
        const denseOf = (start: Zyx): Float32Array => {
          const one = randomStream(5, 'window', ...start.map((s) => s + 100));
          return Float32Array.from({ length: channels * depth * height * width }, () => one.uniform());
        };
        // with room around each block, as the CPU's engine has it
        const row = (width + 2) * together;
        const plane = (height + 2) * row;
        const block = (depth + 2) * plane;
        const start = 5 + plane + row + together;
        const viewOf = (at: Zyx): TensorView => {
          const data = new Float32Array(5 + Math.ceil(channels / together) * block).fill(Number.NaN);
          denseOf(at).forEach((value, i) => {
            const [x, y, z] = [i % width, Math.floor(i / width) % height, Math.floor(i / (width * height)) % depth];
            const c = Math.floor(i / (width * height * depth));
            data[start + Math.floor(c / together) * block + z * plane + y * row + x * together + (c % together)] = value;
          });
          return { data, together, start, block, plane, row };
        };
        const plan = { size, window, overlap: 0.5, channels };
        const dense = await collect(slideWindows({ ...plan, predict: async (at) => denseOf(at) }));
        expect(await collect(slideWindows({ ...plan, predict: async (at) => viewOf(at) }))).toEqual(dense);
      }
  });
});
