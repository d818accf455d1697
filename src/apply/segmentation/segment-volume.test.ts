import { describe, expect, it } from 'vitest';
import { randomStream } from '../../common/random.ts';
import { applyAffine, physicalToVoxel, voxelToPhysical } from '../../geometry/affine.ts';
import { cropPad } from '../../geometry/crop.ts';
import { rasGeometry } from '../../geometry/orientation.ts';
import { gridWithSpacing } from '../../geometry/resample.ts';
import { type Geometry, IDENTITY_3, type Matrix3, type Volume, voxelCount, type Xyz, type Zyx } from '../../geometry/volume.ts';
import type { Predictor } from '../prediction.ts';
import { probabilityPlanes, segmentationWindows, segmentVolume } from './segment-volume.ts';
import { windowCount } from './sliding-window.ts';

const CODES = [0, 7, 300];
const WINDOW: Zyx = [6, 5, 4];
/** What a voxel of the image says of the three classes. */
const classesOf = (v: number): number[] => [(1 - v) ** 2, v * v, 2 * v * (1 - v)];

/** A network that judges each voxel by itself. */
const predictor = (onRun: () => void): Predictor => ({
  channels: 3,
  predict: async (image) => {
    onRun();
    const n = image.length;
    const probabilities = new Float32Array(3 * n);
    for (let i = 0; i < n; i++) for (const [c, p] of classesOf(image[i]).entries()) probabilities[c * n + i] = p;
    return probabilities;
  },
});

const GRIDS: [string, Matrix3][] = [
  ['LPS', IDENTITY_3],
  ['RAS', [-1, 0, 0, 0, -1, 0, 0, 0, 1]],
  ['feet first', [1, 0, 0, 0, 1, 0, 0, 0, -1]],
  ['sagittal', [0, 0, 1, 1, 0, 0, 0, -1, 0]],
  ['coronal', [1, 0, 0, 0, 0, 1, 0, -1, 0]],
  ['x to the head', [0, -1, 0, 0, 0, 1, 1, 0, 0]],
  ['oblique', [0.36, 0.48, -0.8, -0.8, 0.6, 0, 0.48, 0.64, 0.6]],
];

/** Trilinear; undefined more than half a voxel outside. */
function at({ geometry: { size }, data }: Volume, place: Xyz): number | undefined {
  if (place.some((p, k) => p < -0.5 || p > size[k] - 0.5)) return undefined;
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    let [weight, index, stride] = [1, 0, 1];
    for (let k = 0; k < 3; k++) {
      const p = Math.max(0, Math.min(size[k] - 1, place[k]));
      const low = Math.floor(p);
      const upper = (corner >> k) & 1;
      weight *= upper ? p - low : 1 - (p - low);
      index += Math.min(size[k] - 1, low + upper) * stride;
      stride *= size[k];
    }
    sum += weight * data[index];
  }
  return sum;
}

/**
 * Segments an image, of noise if not said, and tells what came of it.
 * @param box what is kept of the prepared image, which may reach beyond it
 * @param value of the prepared voxel x, y, z
 */
async function segmented(
  grid: Geometry,
  box: { start: Xyz; size: Xyz },
  codes: readonly number[] = CODES,
  value?: (at: Xyz) => number,
) {
  const stream = randomStream(3, 'segment-volume-test');
  const voxelOf = value ?? ((): number => stream.uniform());
  const prepared = gridWithSpacing(rasGeometry(grid), [2, 2, 2]);
  const [nx, ny] = prepared.size;
  const whole: Volume<Float32Array> = {
    geometry: prepared,
    data: Float32Array.from({ length: voxelCount(prepared.size) }, (_, i) =>
      voxelOf([i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))]),
    ),
  };
  const cropped = cropPad(whole, box.start, box.size, 0);
  const planes: Float32Array[] = [];
  let [runs, windows] = [0, 0];
  const image = { cropped, grid };
  const { labels } = await segmentVolume({
    predictor: predictor(() => runs++),
    image,
    codes,
    window: WINDOW,
    overlap: 0.5,
    onPlane: (plane) => void planes.push(plane),
    onWindow: () => windows++,
  });
  expect(windows).toBe(windowCount(segmentationWindows(image, WINDOW, 0.5)));
  const inPlane = box.size[0] * box.size[1];
  const fields = codes.map((_, c): Volume<Float32Array> => {
    const data = new Float32Array(voxelCount(box.size));
    for (const [z, plane] of planes.entries()) data.set(plane.subarray(c * inPlane, (c + 1) * inPlane), z * inPlane);
    return { geometry: cropped.geometry, data };
  });
  return { cropped, labels, fields, runs, windows };
}

describe('segmentVolume', () => {
  it.each(GRIDS)("takes on the file's own grid the most probable class, and its probabilities: %s", async (_, direction) => {
    const grid: Geometry = { size: [17, 14, 12], spacingMm: [1.1, 1.3, 1.7], originMm: [-40, 22, 310], direction };
    const size = gridWithSpacing(rasGeometry(grid), [2, 2, 2]).size;
    // one voxel less at each side, and one beyond at the other
    const { cropped, labels, fields } = await segmented(grid, { start: [1, 1, 1], size });
    expect(labels.geometry).toEqual(grid);
    expect(labels.data).toBeInstanceOf(Uint16Array);
    const toCropped = physicalToVoxel(cropped.geometry);
    const toMm = voxelToPhysical(grid);
    const reads = fields.map((field, c) => probabilityPlanes(field, grid, c === 0 ? 1 : 0));
    let sure = 0;
    for (let z = 0, i = 0; z < grid.size[2]; z++) {
      const planes = reads.map((read) => read(z));
      for (let y = 0, v = 0; y < grid.size[1]; y++)
        for (let x = 0; x < grid.size[0]; x++, i++, v++) {
          const place = applyAffine(toCropped, applyAffine(toMm, [x, y, z]));
          if (place.some((p, k) => [-0.5, size[k] - 0.5].some((end) => Math.abs(p - end) < 1e-6))) continue;
          const wanted = fields.map((field, c) => at(field, place) ?? (c === 0 ? 1 : 0));
          for (const [c, p] of wanted.entries()) expect(planes[c][v]).toBeCloseTo(p, 5);
          const [best, second] = wanted.toSorted((a, b) => b - a);
          if (best - second < 1e-4) continue;
          sure++;
          expect(labels.data[i]).toBe(CODES[wanted.indexOf(best)]);
        }
    }
    expect(sure).toBeGreaterThan(0.9 * voxelCount(grid.size));
    expect(new Set(labels.data)).toEqual(new Set(CODES));
  });

  it.each(GRIDS)(
    'takes within regions, between them and at their corners exactly the first of the most probable: %s',
    async (_, direction) => {
      const grid: Geometry = { size: [41, 38, 33], spacingMm: [0.7, 0.8, 0.9], originMm: [-40, 22, 310], direction };
      const size = gridWithSpacing(rasGeometry(grid), [2, 2, 2]).size;
      // a ball in a box: planes and curves on which two classes are equal, and all three where they meet
      const regions = ([x, y, z]: Xyz): number => {
        if (Math.hypot(x - 7, y - 8, z - 7) < 4) return 0.5;
        return x < 8 ? 0.1 : y < 9 ? 0.9 : 1 / 3;
      };
      const { labels, fields } = await segmented(grid, { start: [0, 0, 0], size }, CODES, regions);
      const reads = fields.map((field, c) => probabilityPlanes(field, grid, c === 0 ? 1 : 0));
      for (let z = 0, i = 0; z < grid.size[2]; z++) {
        const planes = reads.map((read) => read(z));
        for (let v = 0; v < planes[0].length; v++, i++) {
          const probable = planes.map((plane) => plane[v]);
          if (labels.data[i] !== CODES[probable.indexOf(Math.max(...probable))])
            throw new Error(`plane ${z}, voxel ${v}: ${labels.data[i]} of ${probable.join(', ')}`);
        }
      }
      expect(new Set(labels.data)).toEqual(new Set(CODES));
    },
  );

  it('leaves no voxel of a fine image to the background because the coarse grid ends a little before it', async () => {
    // 28 voxels of 0.3 mm reach 0.2 mm beyond four of 2 mm at either side
    const grid: Geometry = { size: [28, 28, 28], spacingMm: [0.3, 0.3, 0.3], originMm: [9, 8, 7], direction: IDENTITY_3 };
    const { labels, fields } = await segmented(grid, { start: [0, 0, 0], size: [4, 4, 4] }, CODES, () => 0.9);
    expect(new Set(labels.data)).toEqual(new Set([7]));
    expect(Math.min(...probabilityPlanes(fields[1], grid, 0)(0))).toBeGreaterThan(0.5);
    // where the image was cropped it goes on, and is background half a voxel beyond
    const { labels: part } = await segmented(grid, { start: [1, 0, 0], size: [3, 4, 4] }, CODES, () => 0.9);
    const alongX = [...part.data.subarray(0, 28)];
    // x runs to the left in the file and to the right in RAS
    expect(alongX.lastIndexOf(7)).toBe(20);
    expect(alongX.indexOf(7)).toBe(0);
  });

  it('asks the network once about windows of nothing', async () => {
    const grid: Geometry = {
      size: [60, 16, 16],
      spacingMm: [1, 1, 1],
      originMm: [0, 0, 0],
      direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1],
    };
    const half = ([x]: Xyz): number => (x < 8 ? 0.9 : 0);
    const { labels, runs, windows } = await segmented(grid, { start: [0, 0, 0], size: [30, 8, 8] }, CODES, half);
    expect(windows).toBe(14 * 3 * 2);
    // those that begin before voxel 8, and one of nothing
    expect(runs).toBe(4 * 3 * 2 + 1);
    expect([...labels.data.subarray(0, 60)]).toEqual(Array.from({ length: 60 }, (_, x) => (x < 16 ? 7 : 0)));
  });

  it.each([
    ['8 bits', [0, 7, 255], Uint8Array],
    ['16 bits', [0, 7, 65_535], Uint16Array],
    ['16 bits with a sign', [-1, 0, 7], Int16Array],
    ['32 bits', [0, 7, 65_536], Int32Array],
    ['32 bits with a sign', [-1, 0, 2 ** 31 - 1], Int32Array],
    ['32 bits without', [0, 7, 2 ** 32 - 1], Uint32Array],
  ])('keeps codes that need %s', async (_, codes, type) => {
    const grid: Geometry = { size: [8, 8, 8], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 };
    const { labels } = await segmented(grid, { start: [0, 0, 0], size: [4, 4, 4] }, codes);
    expect(labels.data).toBeInstanceOf(type);
    expect(new Set(labels.data)).toEqual(new Set(codes));
  });

  it('runs no window that holds nothing of the image, and says as many', async () => {
    const grid: Geometry = { size: [16, 16, 16], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 };
    const own = await segmented(grid, { start: [0, 0, 0], size: [8, 8, 8] });
    // padded to the size of a cohort, the image in its middle
    const padded = await segmented(grid, { start: [-10, -10, -12], size: [28, 28, 32] });
    // the outermost voxels lie between the image's border and the padding
    const inner = (v: number): boolean => v > 0 && v < 15;
    padded.labels.data.forEach((code, i) => {
      if (inner(i % 16) && inner(Math.floor(i / 16) % 16) && inner(Math.floor(i / 256))) expect(code).toBe(own.labels.data[i]);
    });
    expect(padded.windows).toBeLessThan(windowCount({ size: [32, 28, 28], window: WINDOW, overlap: 0.5 }) / 4);
  });

  it('decides the classes of sheared axes on perpendicular ones, and brings the nearest back', async () => {
    const direction: Matrix3 = [1, 0, 0.3, 0, 1, 0, 0, 0, Math.sqrt(1 - 0.09)];
    const grid: Geometry = { size: [12, 11, 10], spacingMm: [2, 2, 2], originMm: [5, 5, 5], direction };
    const { cropped, labels, fields } = await segmented(grid, { start: [0, 0, 0], size: [12, 11, 10] });
    const probable = probabilityPlanes(fields[1], grid, 0);
    for (let z = 0, i = 0; z < 10; z++) {
      const plane = probable(z);
      for (let v = 0; v < 132; v++, i++) {
        const place = applyAffine(
          physicalToVoxel(cropped.geometry),
          applyAffine(voxelToPhysical(grid), [v % 12, Math.floor(v / 12), z]),
        );
        const outside = place.some((p, k) => p < -0.4 || p > cropped.geometry.size[k] - 0.6);
        const between = place.some((p) => Math.abs(p - Math.floor(p) - 0.5) < 1e-3);
        if (outside || between) continue;
        const [x, y, k] = place.map(Math.round) as [number, number, number];
        const nearest = (k * 11 + y) * 12 + x;
        expect(plane[v]).toBe(fields[1].data[nearest]);
        const all = fields.map(({ data }) => data[nearest]);
        expect(labels.data[i]).toBe(CODES[all.indexOf(Math.max(...all))]);
      }
    }
  });
});
