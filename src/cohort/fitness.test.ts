import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { type Statistics, statisticsOf } from '../geometry/statistics.ts';
import { IDENTITY_3, type VoxelArray, type Xyz } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import { findImages } from '../images/node/find.ts';
import { readImage } from '../images/node/read.ts';
import { firstRefusal, type Misfit, misfits } from './fitness.ts';
import { REASONS, type Reason } from './reasons.ts';

const SIDE = 40;
const size: Xyz = [SIDE, SIDE, SIDE];
const image = (data: VoxelArray, storedType = 'int16', modality?: string): LoadedImage => ({
  path: 'image.nii',
  format: 'NIfTI-1',
  storedType,
  ...(modality === undefined ? {} : { modality }),
  volume: { geometry: { size, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 }, data },
  volumesInFile: 1,
  warnings: [],
});

const random = randomStream(5, 'fitness');
const normal = (mean: number, sd: number): number =>
  mean + sd * Math.sqrt(-2 * Math.log(1 - random.uniform(0, 1))) * Math.cos(2 * Math.PI * random.uniform(0, 1));
/** Voxels drawn by their share: tissues with a mean and a standard deviation, in HU. */
function mixture(parts: readonly (readonly [share: number, mean: number, sd: number])[], whole = true): Float32Array {
  const total = parts.reduce((sum, [share]) => sum + share, 0);
  return Float32Array.from({ length: SIDE ** 3 }, () => {
    let left = random.uniform(0, total);
    const part = parts.find(([share]) => {
      left -= share;
      return left <= 0;
    });
    const [, mean, sd] = part ?? parts[0];
    const value = sd === 0 ? mean : normal(mean, sd);
    return whole ? Math.round(value) : value;
  });
}
const AIR = [0.4, -1000, 12] as const;
const BODY = [AIR, [0.15, -850, 60], [0.15, -100, 25], [0.25, 50, 20], [0.05, 500, 250]] as const;
const map = (data: Float32Array, change: (v: number) => number): Float32Array => Float32Array.from(data, change);
const misfitOf = (loaded: LoadedImage, statistics: Statistics, modality: 'ct' | 'mr', allowed: readonly Reason[] = []) =>
  firstRefusal(misfits(loaded, statistics, modality), allowed);
const verdict = (data: VoxelArray, modality: 'ct' | 'mr' = 'ct', storedType = 'int16'): Misfit | null =>
  misfitOf(image(data, storedType), statisticsOf(data), modality);

describe('values of CT', () => {
  const genuine: Record<string, Float32Array> = {
    body: mixture(BODY),
    'body in fractions, resampled': mixture(BODY, false),
    'a thin limb in much air': mixture([
      [0.97, -1000, 8],
      [0.02, 40, 20],
      [0.01, 700, 200],
    ]),
    'soft tissue without air': mixture([
      [0.2, -90, 20],
      [0.8, 60, 20],
    ]),
    'one organ': mixture([[1, 55, 12]]),
    'one organ with contrast, none below 0': map(mixture([[1, 130, 15]]), (v) => Math.max(60, v)),
    vessels: mixture([
      [0.5, 350, 40],
      [0.5, 50, 20],
    ]),
    'bone alone': map(
      mixture([
        [0.6, 350, 120],
        [0.4, 1200, 250],
      ]),
      (v) => Math.max(110, v),
    ),
    'lung alone': mixture([
      [0.95, -860, 70],
      [0.05, 20, 60],
    ]),
    metal: mixture([...BODY, [0.005, 3071, 0], [0.003, 20000, 3000]]),
    'clipped at -1024 and 3071': map(mixture(BODY), (v) => Math.min(3071, Math.max(-1024, v))),
    'undershooting beside metal': mixture([...BODY, [0.02, -1800, 500]]),
    'with a body mask at -1024': mixture([
      [0.7, -1024, 0],
      [0.1, -100, 25],
      [0.2, 50, 20],
    ]),
    ...Object.fromEntries(
      [-1024, -1500, -2000, -2048, -3024, -10000, -32768].map((value) => [
        `padding ${value}`,
        mixture([...BODY, [0.5, value, 0]]),
      ]),
    ),
  };
  it.each(Object.keys(genuine))('%s is Hounsfield', (name) => {
    expect(verdict(genuine[name])).toBeNull();
  });

  const body = mixture(BODY, false);
  const sd = 520;
  const wrong: Record<string, readonly [data: VoxelArray, why: RegExp, storedType?: string]> = {
    'z-scores': [map(body, (v) => (v + 500) / sd), /normalised/],
    'z-scores of what was clipped': [map(body, (v) => (Math.min(300, Math.max(-200, v)) - 40) / 120), /normalised/],
    'z-scores and metal': [map(mixture([...BODY, [0.0005, 30000, 0]], false), (v) => (v + 500) / sd), /normalised/],
    '0 to 1': [map(body, (v) => Math.min(1, Math.max(0, (v + 1024) / 2048))), /normalised/],
    '-1 to 1': [map(body, (v) => Math.min(1, Math.max(-1, v / 1024))), /normalised/],
    '8 bits': [Uint8Array.from(body, (v) => Math.min(255, Math.max(0, (v + 160) / 1.6))), /8 bits/, 'uint8'],
    '8 bits in a float': [map(body, (v) => Math.round(Math.min(255, Math.max(0, (v + 160) / 1.6)))), /8 bits/, 'float32'],
    'shifted by 1024': [map(body, (v) => Math.max(0, v + 1024)), /shifted by 1024/, 'uint16'],
    'shifted by 1000': [map(body, (v) => Math.max(0, v + 1000)), /shifted by 1024/, 'uint16'],
    'one organ, shifted': [map(genuine['one organ'], (v) => v + 1024), /shifted by 1024/, 'uint16'],
    'shifted by -1024 once more': [map(body, (v) => v - 1024), /below -1100|shifted down/],
    'shifted by -1024, air without noise': [
      map(
        mixture([
          [0.5, -1000, 0],
          [0.2, -100, 25],
          [0.3, 50, 20],
        ]),
        (v) => v - 1024,
      ),
      /below -1100|shifted down/,
    ],
    'ten times as large': [map(body, (v) => 10 * v), /below -1100|above/],
    'MR with background': [
      map(
        mixture([
          [0.5, 5, 4],
          [0.5, 400, 120],
        ]),
        Math.abs,
      ),
      /background near 0/,
    ],
    'MR without background': [
      map(
        mixture([
          [0.05, 60, 20],
          [0.95, 500, 180],
        ]),
        (v) => Math.max(0, v),
      ),
      /no value below 0/,
    ],
    'PET in Bq/ml': [
      map(
        mixture([
          [0.9, 200, 150],
          [0.1, 9000, 6000],
        ]),
        (v) => Math.max(0, v),
      ),
      /no value below 0|above/,
    ],
    'a phase image': [map(body, () => Math.round(random.uniform(-4096, 4096))), /below -1100/],
  };
  it.each(Object.keys(wrong))('%s: is not', (name) => {
    const [data, why, storedType] = wrong[name];
    const found = verdict(data, 'ct', storedType);
    expect(found?.reason).toBe('not-hounsfield');
    expect(found?.message).toMatch(why);
  });
});

it('a DICOM CT states its unit: what is merely unlikely is a warning, what contradicts it is not', () => {
  const even = Float64Array.from({ length: SIDE ** 3 }, () => Math.round(random.uniform(0, 999)));
  const stated = (data: VoxelArray): ReturnType<typeof misfitOf> =>
    misfitOf(image(data, 'int16', 'CT'), statisticsOf(data), 'ct');
  expect(verdict(even)?.reason).toBe('not-hounsfield');
  expect(stated(even)).toBeNull();
  expect(stated(map(mixture(BODY), (v) => Math.max(0, v + 1024)))?.message).toMatch(/shifted by 1024/);
  expect(stated(map(mixture(BODY), (v) => v / 1000))?.message).toMatch(/normalised/);
});

describe('values of MR', () => {
  it('may be small below 0, but not many of them large', () => {
    const brain = mixture(
      [
        [0.6, 3, 2],
        [0.4, 300, 60],
      ],
      false,
    );
    expect(verdict(brain, 'mr')).toBeNull();
    // ringing of an interpolation: the background about 0, and a little more beside bright edges
    expect(
      verdict(
        map(brain, (v) => (v < 10 ? normal(0, 2) : v)),
        'mr',
      ),
    ).toBeNull();
    expect(
      verdict(
        map(brain, (v) => (v - 120) / 140),
        'mr',
      )?.reason,
    ).toBe('negative-values');
    expect(
      verdict(
        map(brain, (v) => (v < 10 ? 0 : (v - 300) / 60)),
        'mr',
      )?.message,
    ).toMatch(/% of the values not near 0/);
    expect(verdict(mixture(BODY), 'mr')?.message).toMatch(/CT in Hounsfield units/);
  });
});

describe('other reasons', () => {
  it('are label maps by their content, and never images of few values', () => {
    const blocks = Uint8Array.from({ length: SIDE ** 3 }, (_, i) => (i % SIDE < 15 ? 0 : i % SIDE < 28 ? 2 : 7));
    expect(verdict(blocks, 'mr', 'uint8')?.what).toBe('label map');
    const points = new Int16Array(SIDE ** 3);
    points.set([1, 2, 3], 900);
    expect(verdict(points, 'mr')?.reason).toBe('label-maps');
    const two = Int16Array.from({ length: SIDE ** 3 }, (_, i) => (i % SIDE < 15 ? -1000 : 40));
    expect(verdict(two)).toBeNull();
    expect(verdict(Uint8Array.from(mixture([[1, 60, 15]])), 'mr', 'uint8')).toBeNull();
  });

  it('are what a header says, and each may be allowed by itself', () => {
    const data = mixture(BODY);
    const of = (modality: string, allowed: readonly Reason[] = []) =>
      misfitOf(image(data, 'int16', modality), statisticsOf(data), 'ct', allowed);
    for (const modality of ['PT', 'NM', 'US', 'MR', 'RTDOSE', 'CR', 'DX', 'MG', 'XA', 'SEG'])
      expect(of(modality)).toMatchObject({ reason: 'other-modalities', what: modality });
    for (const modality of ['CT', 'OT', 'SC', '']) expect(of(modality)).toBeNull();
    expect(of('PT', ['other-modalities'])).toBeNull();
    const bad = map(data, (v) => v / 1000);
    expect(misfitOf(image(bad, 'float32', 'PT'), statisticsOf(bad), 'ct', ['other-modalities'])?.reason).toBe('not-hounsfield');
    expect(misfits(image(bad, 'float32', 'PT'), statisticsOf(bad), 'ct').map(({ reason }) => reason)).toEqual([
      'other-modalities',
      'not-hounsfield',
    ]);
    expect(misfitOf(image(bad, 'float32', 'PT'), statisticsOf(bad), 'ct', Object.keys(REASONS) as Reason[])).toBeNull();
  });

  it('a CT whose header says that its values are something else', () => {
    const data = mixture(BODY);
    const of = (rescaleType: string, modality = 'CT'): string | undefined =>
      misfitOf({ ...image(data, 'int16', modality), rescaleType }, statisticsOf(data), 'ct', [])?.message;
    for (const units of ['MGML', 'Z_EFF', 'HU, ED']) expect(of(units)).toContain(`not Hounsfield units (rescale type ${units})`);
    for (const units of ['HU', 'HU_MOD', 'US', '']) expect(of(units)).toBeUndefined();
    expect(of('OD', 'OT')).toBeUndefined();
  });
});

const DATA = process.env.GVSL_DATA ?? resolve(import.meta.dirname, '../../../shared/data');

describe.skipIf(!existsSync(join(DATA, 'ct')))('real scans (needs GVSL_DATA)', () => {
  const readAll = async (folder: string): Promise<LoadedImage[]> => {
    const { images } = await findImages(join(DATA, folder));
    return Promise.all(images.map((source) => readImage(source)));
  };
  const isLabel = (path: string): boolean => /_(organs|vertebrae|labels|lumina|lungs|regions|mask|pulmonary-artery)\./.test(path);

  it('CT is CT, and no MR', async () => {
    for (const loaded of await readAll('ct')) {
      if (isLabel(loaded.path)) continue;
      const statistics = statisticsOf(loaded.volume.data);
      expect([loaded.path, misfitOf(loaded, statistics, 'ct')]).toEqual([loaded.path, null]);
      expect([loaded.path, misfitOf(loaded, statistics, 'mr')?.reason]).toEqual([
        loaded.path,
        expect.stringMatching(/negative|other/),
      ]);
    }
  });
});
