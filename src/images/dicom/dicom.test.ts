import { describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { applyAffine, voxelToPhysical } from '../../geometry/affine.ts';
import type { LoadedImage } from '../loaded-image.ts';
import {
  bareSlice,
  type Changes,
  deflatedSlice,
  dicomFile,
  enhancedElements,
  fragmented,
  rle,
  type SliceFacts,
  slice,
  sliceElements,
  words,
} from '../testing/dicom-files.ts';
import { withoutCopies } from './copies.ts';
import { looksLikeDicom } from './data-set.ts';
import { type DicomFile, readDicomObject } from './frames.ts';
import { inMemory, type RandomAccess } from './random-access.ts';
import { type DicomStack, stacksOf } from './stacks.ts';
import { readStack } from './volume.ts';

const [COLUMNS, ROWS] = [6, 5];
const PIXELS = COLUMNS * ROWS;

/** Numbers that follow from a seed (a linear congruential generator). */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
const storedOf = (seed: number, most = 1000, least = 0): number[] => {
  const next = random(seed);
  return Array.from({ length: PIXELS }, () => Math.floor(least + next() * (most - least)));
};
const facts = (k: number, more: Partial<SliceFacts> = {}): SliceFacts => ({
  columns: COLUMNS,
  rows: ROWS,
  stored: storedOf(k + 1),
  positionMm: [-10, -20, 30 + 2 * k],
  instance: k + 1,
  ...more,
});

type Files = Readonly<Record<string, Uint8Array>>;
const opener =
  (files: Files) =>
  async (path: string): Promise<RandomAccess> =>
    inMemory(path, files[path]);

async function filesOf(files: Files): Promise<DicomFile[]> {
  const all: DicomFile[] = [];
  for (const [path, bytes] of Object.entries(files)) {
    const object = await readDicomObject(inMemory(path, bytes));
    if (object.kind === 'other') throw new Error(object.what);
    all.push(object.file);
  }
  return all;
}
const named = (slices: readonly Uint8Array[]): Files => Object.fromEntries(slices.map((bytes, k) => [`slice-${k}`, bytes]));

async function stacks(slices: readonly Uint8Array[]): Promise<DicomStack[]> {
  return stacksOf(await filesOf(named(slices)));
}
async function volumes(slices: readonly Uint8Array[]): Promise<LoadedImage[]> {
  const files = named(slices);
  const images: LoadedImage[] = [];
  for (const stack of await stacks(slices)) images.push(await readStack(stack, 'image', opener(files)));
  return images;
}
async function volume(slices: readonly Uint8Array[]): Promise<LoadedImage> {
  const images = await volumes(slices);
  expect(images).toHaveLength(1);
  return images[0];
}
const planeOf = ({ volume: { data } }: LoadedImage, z: number): number[] =>
  Array.from(data.subarray(z * PIXELS, (z + 1) * PIXELS));
const refusal = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RunError);
  return (error as Error).message;
};
const six = (changes: (k: number) => Partial<SliceFacts>): Uint8Array[] =>
  [0, 1, 2, 3, 4, 5].map((k) => slice(facts(k, changes(k))));

describe('random stacks', () => {
  // every stack has its own order, orientation, tilt, spacing, signedness and rescaling; a third lacks slices, a third is interleaved with a second acquisition
  it.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'seed %i: every voxel lies where its header says, with its own value',
    async (seed) => {
      const next = random(1000 + seed);
      const n = 4 + Math.floor(next() * 6);
      const spacing = 0.5 + 3 * next();
      const [tiltX, tiltY] = next() < 0.4 ? [next() - 0.5, next() - 0.5] : [0, 0];
      const angle = next() < 0.5 ? 0 : next();
      const row = [Math.cos(angle), Math.sin(angle), 0];
      const column = [-Math.sin(angle), Math.cos(angle), 0];
      const normal = [0, 0, 1];
      const signed = next() < 0.5;
      const kind = seed % 3;
      const missing = kind === 1 ? 1 + Math.floor(next() * (n - 2)) : -1;
      const fractional = next() < 0.3;
      const made: { slice: Uint8Array; position: number[]; values: number[]; acquisition: number }[] = [];
      for (let acquisition = 1; acquisition <= (kind === 2 ? 2 : 1); acquisition++) {
        for (let k = 0; k < n; k++) {
          if (k === missing) continue;
          const along = (k + (acquisition - 1) / 2) * spacing;
          const position = [0, 1, 2].map((i) => +(5 * i + along * (normal[i] + tiltX * row[i] + tiltY * column[i])).toFixed(6));
          const slope = fractional ? +(0.01 + next()).toFixed(4) : 1 + Math.floor(next() * 2);
          const intercept = Math.floor(next() * 4000) - 3000;
          const stored = storedOf(seed * 100 + k + 50 * acquisition, signed ? 32000 : 65000, signed ? -32000 : 0);
          made.push({
            slice: slice({
              ...facts(k, { stored, positionMm: position, slope, intercept, signed, instance: 100 * acquisition + k }),
              changes: {
                '00200037': ['DS', [...row, ...column]],
                '00200012': ['IS', String(acquisition)],
                '00180050': ['DS', spacing],
              },
            }),
            position,
            values: stored.map((value) => value * slope + intercept),
            acquisition,
          });
        }
      }
      const order = made.toSorted(() => next() - 0.5);
      const images = await volumes(order.map(({ slice: bytes }) => bytes));
      expect(images).toHaveLength(kind === 2 ? 2 : 1);
      let found = 0;
      for (const image of images) {
        const { geometry } = image.volume;
        expect(geometry.size[2]).toBe(n);
        expect(image.warnings.some((note) => /1 missing/.test(note))).toBe(missing >= 0);
        const toPhysical = voxelToPhysical(geometry);
        for (let z = 0; z < n; z++) {
          const at = applyAffine(toPhysical, [0, 0, z]);
          const own = made.find(({ position }) => Math.hypot(...position.map((p, i) => p - at[i])) < 1e-3);
          if (!own) continue;
          found++;
          const worst = Math.max(...planeOf(image, z).map((value, i) => Math.abs(value - own.values[i])));
          expect(worst).toBeLessThanOrEqual(fractional || missing >= 0 ? 0.01 : 0);
        }
      }
      expect(found).toBe(made.length);
    },
  );
});

describe('values', () => {
  it('are stored x the slope + the intercept of each slice, in a number type that holds them', async () => {
    const slopes = [1, 1, 1, 1.5, 1, 1];
    const image = await volume(six((k) => ({ slope: slopes[k], intercept: -k })));
    for (const k of [0, 3, 5]) expect(planeOf(image, k)).toEqual(storedOf(k + 1).map((v) => v * slopes[k] - k));
    expect(image.volume.data).toBeInstanceOf(Float32Array);
    const wide = await volume(six((k) => ({ signed: false, stored: storedOf(k, 65535), intercept: k < 3 ? 0 : -32768 })));
    expect(planeOf(wide, 4)).toEqual(storedOf(4, 65535).map((v) => v - 32768));
    expect(wide.volume.data).toBeInstanceOf(Int32Array);
    const plain = await volume(six(() => ({ intercept: -1024 })));
    expect(plain.volume.data).toBeInstanceOf(Int16Array);
    // 32-bit values times a fraction would merge in single precision
    const bits: Changes = { '00280100': ['US', 32], '00280101': ['US', 32], '00280102': ['US', 31] };
    const large = Int32Array.from({ length: PIXELS }, (_, i) => 2_000_000_000 + i);
    const long = await volume([
      slice(facts(0, { slope: 0.5, changes: { ...bits, '7fe00010': ['OW', new Uint8Array(large.buffer)] } })),
    ]);
    expect(planeOf(long, 0)).toEqual(Array.from(large, (v) => v / 2));
  });

  it('come from the bits stored alone: shifted, sign extended, without overlays', async () => {
    const stored = storedOf(1, 2048, -2048);
    const cells = stored.map((value, i) => ((value & 0xfff) << 2) | (i % 2 ? 0x8000 : 0) | 1);
    const changes: Changes = { '00280101': ['US', 12], '00280102': ['US', 13] };
    const image = await volume([slice(facts(0, { stored: cells, changes }))]);
    expect(planeOf(image, 0)).toEqual(stored);
    expect(image.warnings.join()).toMatch(/bits set outside the 12 bits stored/);
  });

  it('of a CT in MONOCHROME1 are not inverted, and that is said; those that rise towards air are refused', async () => {
    const changes: Changes = { '00280004': ['CS', 'MONOCHROME1'] };
    const image = await volume(six(() => ({ intercept: -1024, changes })));
    expect(planeOf(image, 0)).toEqual(storedOf(1).map((v) => v - 1024));
    expect(image.warnings.join()).toMatch(/MONOCHROME1/);
    const inverted = Array.from({ length: PIXELS }, (_, i) =>
      i % COLUMNS > 1 && i % COLUMNS < 5 && i > 11 && i < 24 ? 1000 : 3000,
    );
    expect(await refusal(volumes(six(() => ({ stored: inverted, intercept: -1024, changes }))))).toMatch(/not Hounsfield units/);
  });

  it('that are padding are counted, those of a modality table looked up, colours refused', async () => {
    const stored = storedOf(1).fill(-2000, 0, 10);
    const padded = await volume([slice(facts(0, { stored, intercept: -1024, changes: { '00280120': ['SS', -2000] } }))]);
    expect(padded.warnings.join()).toMatch(/33 % of its voxels hold the pixel padding value \(-2000 stored, -3024 rescaled\)/);
    const table = Uint16Array.from({ length: 1000 }, (_, k) => 3 * k);
    const lut: Changes = {
      '00281052': null,
      '00281053': null,
      '00283000': [
        'SQ',
        [
          [
            ['00283002', 'US', [1000, 0, 12]],
            ['00283004', 'LO', 'OD'],
            ['00283006', 'OW', new Uint8Array(table.buffer)],
          ],
        ],
      ],
    };
    const looked = await volume([slice(facts(0, { signed: false, changes: lut }))]);
    expect(planeOf(looked, 0)).toEqual(storedOf(1).map((v) => 3 * v));
    expect(looked.rescaleType).toBe('OD');
    const mapped: Changes = {
      '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.30'],
      '00281052': null,
      '00281053': null,
      '00409096': ['SQ', [[['00409212', 'FD', [0, 3]]]]],
    };
    expect(await refusal(volumes([slice(facts(0, { changes: mapped }))]))).toMatch(/real world values are given by a table/);
    const palette = [slice(facts(0, { changes: { '00280004': ['CS', 'PALETTE COLOR'] } }))];
    expect(await refusal(volumes(palette))).toMatch(/colours \(PALETTE COLOR/);
  });
});

describe('stacks', () => {
  const distinctions = async (slices: readonly Uint8Array[]): Promise<[string, number][]> =>
    (await stacks(slices)).map(({ distinction, frames }) => [distinction, frames.length]);
  const tagged = (tag: string, vr: string, value: string | number, more: Partial<SliceFacts> = {}): Partial<SliceFacts> => ({
    changes: { [tag]: [vr, value] },
    ...more,
  });

  it('at the same positions are told apart by what the headers state', async () => {
    for (const [tag, vr, values, name] of [
      ['00200012', 'IS', ['1', '2'], 'acquisition number'],
      ['00200100', 'IS', ['1', '2'], 'temporal position'],
      ['00180081', 'DS', [10.5, 30], 'echo time'],
      ['00189087', 'FD', [0, 800], 'b-value'],
      ['00281054', 'LO', ['HU', 'MGML'], 'rescale type'],
      ['00080008', 'CS', ['DERIVED\\PRIMARY\\M', 'DERIVED\\PRIMARY\\P'], 'image type'],
    ] as const) {
      const slices = values.flatMap((value, v) =>
        [0, 1, 2].map((k) => slice(facts(k, tagged(tag, vr, value, { instance: 10 * v + k })))),
      );
      const found = await distinctions(slices);
      expect(found.map(([, count]) => count)).toEqual([3, 3]);
      expect(found[0][0]).toBe(`${name} ${values[0]}`);
    }
    // private elements of vendors, also where they have lost their VR
    const fl = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer);
    const vendors: ((b: number) => Changes)[] = [
      (b) => ({ '00190010': ['LO', 'SIEMENS MR HEADER'], '0019100c': ['IS', String(b)] }),
      (b) => ({ '00430011': ['LO', 'GEMS_PARM_01'], '00431139': ['IS', `${1e9 + b}\\8\\0\\0`] }),
      (b) => ({ '20010010': ['LO', 'Philips Imaging DD 001'], '20011003': ['UN', fl(b)] }),
    ];
    for (const changesOf of vendors) {
      const slices = [0, 800].flatMap((b, v) =>
        [0, 1, 2].map((k) => slice(facts(k, { changes: changesOf(b), instance: 10 * v + k }))),
      );
      expect(await distinctions(slices)).toEqual([
        ['b-value 0', 3],
        ['b-value 800', 3],
      ]);
    }
    // each slice its own trigger times: by their order
    const cine = [0, 1, 2].flatMap((phase) =>
      [0, 1, 2, 3].map((k) => slice(facts(k, tagged('00181060', 'DS', 25 * phase + 0.1 * k, { instance: 10 * phase + k })))),
    );
    expect(await distinctions(cine)).toEqual([1, 2, 3].map((phase) => [`trigger time ${phase} of 3 in order`, 4]));
  });

  it('that interleave are told apart; slices that each have their own acquisition are one stack', async () => {
    const offset = [0, 1].flatMap((phase) =>
      [0, 1, 2, 3].map((k) =>
        slice(
          facts(k, tagged('00200012', 'IS', String(phase + 1), { instance: 10 * phase + k, positionMm: [0, 0, 2 * k + phase] })),
        ),
      ),
    );
    expect(await distinctions(offset)).toEqual([
      ['acquisition number 1', 4],
      ['acquisition number 2', 4],
    ]);
    expect(await distinctions(six((k) => tagged('00200012', 'IS', String(k))))).toEqual([['', 6]]);
    // blocks one after the other, as step-and-shoot CT has them
    expect(await distinctions(six((k) => tagged('00200012', 'IS', String(k >> 1))))).toEqual([['', 6]]);
    // an MR in two passes, odd slices after even ones
    const mr = six((k) => ({ changes: { '00080060': ['CS', 'MR'], '00200012': ['IS', String(k % 2)], '00180050': ['DS', 2] } }));
    expect(await distinctions(mr)).toEqual([['', 6]]);
  });

  it('that lie one behind the other are told apart where a gap is wide, or their stack IDs differ', async () => {
    const parted = (gap: number, acquisitions: readonly [string, string]): Uint8Array[] =>
      six((k) => ({
        positionMm: [-10, -20, 30 + 2 * k + (k < 3 ? 0 : gap)],
        changes: { '00200012': ['IS', acquisitions[k < 3 ? 0 : 1]] },
      }));
    expect(await distinctions(parted(40, ['1', '2']))).toEqual([
      ['acquisition number 1', 3],
      ['acquisition number 2', 3],
    ]);
    expect(await refusal(volumes(parted(40, ['1', '1'])))).toMatch(/one gap is 42\.0 mm/);
    // a few slices are missing between two acquisitions of one volume
    expect(await distinctions(parted(4, ['1', '2']))).toEqual([['', 6]]);
    for (const gap of [4, 40]) {
      const frames = [0, 1, 2, 3, 4, 5].map((k) => ({
        positionMm: [-10, -20, 30 + 2 * k + (k < 3 ? 0 : gap)],
        stored: storedOf(k),
        stackId: k < 3 ? 'A' : 'B',
      }));
      const found = await stacks([dicomFile(enhancedElements(COLUMNS, ROWS, frames))]);
      expect(found.map(({ distinction, frames: own }) => [distinction, own.length])).toEqual([
        ['stack ID A', 3],
        ['stack ID B', 3],
      ]);
    }
  });

  it('leave a localizer aside, by its pixel spacing, orientation or type', async () => {
    const localizers: Changes[] = [
      { '00280030': ['DS', [3, 3]] },
      { '00200037': ['DS', [1, 0, 0, 0, 0, -1]] },
      { '00080008': ['CS', 'ORIGINAL\\PRIMARY\\LOCALIZER'] },
    ];
    for (const changes of localizers) {
      const found = await stacks([...six(() => ({})), slice(facts(9, { positionMm: [-12, -20, 55], changes }))]);
      expect(found.map(({ frames }) => frames.length)).toEqual([6, 1]);
      expect(found[1].distinction).toMatch(/3 x 3 mm|coronal|localizer/);
    }
  });

  it('are not parted by the rounding of headers', async () => {
    const wobble = six((k) => ({
      positionMm: [-10 + 0.001 * (k % 2), -20, 30 + 2 * k + 0.01 * (k % 3)],
      changes: {
        '00200037': ['DS', [0.9995 + 0.0000004 * k, 0.0316, 0, -0.0316, 0.9995 - 0.0000004 * k, 0]],
        '00280030': ['DS', [0.70049 + 0.00001 * (k % 2), 0.7005]],
      },
    }));
    expect(await distinctions(wobble)).toEqual([['', 6]]);
    expect((await volume(wobble)).warnings).toEqual([]);
  });

  it('with a slice shifted in plane, a wide gap, or copies that nothing tells apart are refused by name', async () => {
    const shifted = six((k) => ({ positionMm: [k === 3 ? -5 : -10, -20, 30 + 2 * k] }));
    expect(await refusal(volumes(shifted))).toMatch(
      /one of its 6 slices lies up to 5\.00 mm off the others in plane \(slice-3\)/,
    );
    const far = six((k) => ({ positionMm: [-10, -20, k === 5 ? 300 : 30 + 2 * k] }));
    expect(await refusal(volumes(far))).toMatch(/one gap is 262\.0 mm/);
    const inTurns = six((k) => ({ positionMm: [-10, -20, 30 + 2 * k + (k % 2 ? -0.8 : 0)] }));
    expect(await refusal(volumes(inTurns))).toMatch(/1\.20 and 2\.80 mm apart alternately: two interleaved volumes/);
    const twice = [...six(() => ({})), ...six((k) => ({ instance: k + 21, stored: storedOf(k + 50) }))];
    expect(await refusal(volumes(twice))).toMatch(/same position.*about 2 volumes that the headers do not distinguish/);
    const sameUid = [...six(() => ({})), slice(facts(2, { stored: storedOf(99) }))];
    expect(await refusal(volumes(sameUid))).toMatch(/same SOP Instance UID/);
  });

  it('with slices missing or unevenly spaced are interpolated, and that is said', async () => {
    const gap = await volume(six(() => ({})).filter((_, k) => k !== 2));
    expect(gap.warnings.join()).toMatch(/2\.00 to 4\.00 mm apart \(1 missing\): interpolated to 2\.00 mm/);
    expect(gap.volume.geometry.size).toEqual([COLUMNS, ROWS, 6]);
    expect(planeOf(gap, 2)).toEqual(storedOf(2).map((v, i) => (v + storedOf(4)[i]) / 2));
    const uneven = await volume(six((k) => ({ positionMm: [0, 0, k * k + 2 * k] })));
    expect(uneven.warnings.join()).toMatch(/uneven spacing/);
  });

  it('count identical copies once, whatever their transfer syntax', async () => {
    const files = {
      ...named(six(() => ({}))),
      copy: slice(facts(2)),
      compressed: fragmented(sliceElements(facts(3)), '1.2.840.10008.1.2.5', [], [rle(storedOf(4))]),
      other: slice(facts(4, { stored: storedOf(77) })),
    };
    const { files: kept, copies } = await withoutCopies(await filesOf(files), opener(files));
    expect(kept).toHaveLength(7);
    expect([...copies].map(([file, paths]) => [file.path, paths])).toEqual([
      ['slice-2', ['copy']],
      ['slice-3', ['compressed']],
    ]);
  });
});

describe('multi-frame files', () => {
  const frames = [3, 0, 5, 1, 4, 2].map((k) => ({
    positionMm: [-10, -20, 30 + 2 * k],
    stored: storedOf(k),
    slope: 1 + k / 4,
    intercept: -k,
  }));

  it('have their frames put in order, each with its own values', async () => {
    const image = await volume([dicomFile(enhancedElements(COLUMNS, ROWS, frames))]);
    expect(image.volume.geometry.spacingMm).toEqual([1, 1, 2]);
    expect(image.volume.geometry.originMm).toEqual([-10, -20, 30]);
    for (let k = 0; k < 6; k++) {
      const expected = storedOf(k).map((v) => v * (1 + k / 4) - k);
      expect(Math.max(...planeOf(image, k).map((v, i) => Math.abs(v - expected[i])))).toBeLessThan(1e-3);
    }
  });

  it('of several time points are several volumes', async () => {
    const times = [1, 2].flatMap((temporalIndex) =>
      [0, 1, 2].map((k) => ({ positionMm: [0, 0, 2 * k], stored: storedOf(10 * temporalIndex + k), temporalIndex })),
    );
    const images = await stacks([dicomFile(enhancedElements(COLUMNS, ROWS, times))]);
    expect(images.map(({ distinction }) => distinction)).toEqual(['temporal position 1', 'temporal position 2']);
  });

  it('without positions, and with another number of frames than they describe, are refused', async () => {
    const cine = dicomFile(enhancedElements(COLUMNS, ROWS, frames, { '52009229': null, '52009230': null }));
    expect(await refusal(volumes([cine]))).toMatch(/6 frames without positions/);
    const short = enhancedElements(COLUMNS, ROWS, frames.slice(1), {
      '00280008': ['IS', '6'],
      '7fe00010': ['OW', new Uint8Array(PIXELS * 12)],
    });
    expect(await refusal(volumes([dicomFile(short)]))).toMatch(/states 6 frames but describes 5/);
  });

  it('of nuclear medicine: slices along the normal of the first, windows apart, projections refused', async () => {
    const stored = Array.from({ length: 4 }, (_, k) => storedOf(k)).flat();
    const changes = (imageType: string): Changes => ({
      '00080008': ['CS', imageType],
      '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.20'],
      '00080060': ['CS', 'NM'],
      '00180088': ['DS', -3],
      '00200032': null,
      '00200037': null,
      '00280008': ['IS', '4'],
      '00540010': ['US', [1, 1, 2, 2]],
      '00540080': ['US', [1, 2, 1, 2]],
      '00540022': [
        'SQ',
        [
          [
            ['00200032', 'DS', [0, 0, 50]],
            ['00200037', 'DS', [1, 0, 0, 0, 1, 0]],
          ],
        ],
      ],
    });
    const images = await volumes([slice(facts(0, { stored, changes: changes('ORIGINAL\\PRIMARY\\RECON TOMO\\EMISSION') }))]);
    expect(images).toHaveLength(2);
    expect(images[0].volume.geometry.originMm).toEqual([0, 0, 47]);
    expect(planeOf(images[0], 0)).toEqual(storedOf(1));
    expect(await refusal(volumes([slice(facts(0, { stored, changes: changes('ORIGINAL\\PRIMARY\\TOMO\\EMISSION') }))]))).toMatch(
      /projections/,
    );
  });
});

describe('files', () => {
  it('are read without preamble, deflated, and in fragments with or without an offset table', async () => {
    const plain = await volume([slice(facts(0))]);
    expect(looksLikeDicom(bareSlice(facts(0)))).toBe(true);
    expect((await volume([bareSlice(facts(0))])).volume).toEqual(plain.volume);
    expect((await volume([deflatedSlice(facts(0))])).volume).toEqual(plain.volume);
    const frames = [0, 1, 2].map((k) => ({ positionMm: [0, 0, 2 * k], stored: storedOf(k) }));
    const elements = enhancedElements(COLUMNS, ROWS, frames);
    const whole = frames.map(({ stored }) => rle(stored));
    const offsets = [0, 1, 2].map((k) => whole.slice(0, k).reduce((sum, piece) => sum + 8 + piece.length, 0));
    const expected = (await volume([dicomFile(elements)])).volume;
    expect((await volume([fragmented(elements, '1.2.840.10008.1.2.5', [], whole)])).volume).toEqual(expected);
    expect((await volume([fragmented(elements, '1.2.840.10008.1.2.5', offsets, whole)])).volume).toEqual(expected);
    // two fragments a frame
    const halves = whole.flatMap((piece) => [piece.subarray(0, 66), piece.subarray(66)]);
    const parted = offsets.map((offset, k) => offset + 8 * k);
    expect((await volume([fragmented(elements, '1.2.840.10008.1.2.5', parted, halves)])).volume).toEqual(expected);
    expect(await refusal(volumes([fragmented(elements, '1.2.840.10008.1.2.5', [], halves)]))).toMatch(/3 frames in 6 fragments/);
  });

  it('that are cut or no images are refused with the reason', async () => {
    const bytes = slice(facts(0));
    expect(await refusal(volumes([bytes.subarray(0, -10)]))).toMatch(/states 60 bytes of pixels, but 50 are present: truncated/);
    expect(await refusal(volumes([bytes.subarray(0, 400)]))).toMatch(/damaged|truncated/);
    const implicit = Buffer.from(
      '\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100\x08\x00\x16\x00\x00\x00\x00\x801.2.840.10008',
      'latin1',
    );
    expect(await refusal(volumes([implicit]))).toMatch(
      /damaged \(the element \(0008,0016\) extends beyond the end of the file\)/,
    );
    expect(await refusal(volumes([Uint8Array.from({ length: 500 }, () => 65)]))).toMatch(/not DICOM/);
    const cut = fragmented(sliceElements(facts(0)), '1.2.840.10008.1.2.5', [], [rle(storedOf(1))]);
    expect(await refusal(volumes([cut.subarray(0, -40)]))).toMatch(/truncated/);
    const unknown = fragmented(sliceElements(facts(0)), '1.2.840.10008.1.2.4.102', [], [words([1])]);
    expect(await refusal(volumes([unknown]))).toMatch(/video/);
    for (const [sopClass, modality, what] of [
      ['66.4', 'SEG', /DICOM SEG/],
      ['481.2', 'RTDOSE', /dose, not an image/],
      ['88.22', 'SR', /structured report/],
      ['11.1', 'PR', /presentation state/],
    ] as const) {
      const changes: Changes = { '00080016': ['UI', `1.2.840.10008.5.1.4.1.1.${sopClass}`], '00080060': ['CS', modality] };
      const object = await readDicomObject(inMemory('x', slice(facts(0, { changes }))));
      expect(object).toMatchObject({ kind: 'other', what: expect.stringMatching(what) });
    }
  });

  it('whose numbers are none (a decimal comma) are refused, not read with a default', async () => {
    for (const [tag, value] of [
      ['00281053', '0,5'],
      ['00281052', '-1024 HU'],
      ['00280030', '0,7\\0,7'],
      ['00200032', '1,5\\2\\3'],
      ['00200037', 'axial'],
      ['00280008', 'one'],
    ] as const) {
      const message = await refusal(volumes([slice(facts(0, { changes: { [tag]: ['DS', value] } }))]));
      expect(message).toContain(`(${tag.slice(0, 4)},${tag.slice(4)}) is "${value}", expected numbers`);
    }
    for (const [tag, value] of [
      ['00280030', '0.7'],
      ['00200032', '1\\2'],
      ['00200037', '1\\0\\0\\0\\1'],
    ] as const)
      expect(await refusal(volumes([slice(facts(0, { changes: { [tag]: ['DS', value] } }))]))).toMatch(
        / is [\d., ]+, expected \d numbers/,
      );
    const parallel: Changes = { '00200037': ['DS', [1, 0, 0, 1, 0, 0]] };
    expect(await refusal(volumes([slice(facts(0, { changes: parallel }))]))).toMatch(/expected perpendicular rows and columns/);
    const bare = await volume([slice(facts(0, { changes: { '00200032': null } }))]);
    expect(bare.warnings.join()).toMatch(/no slice position/);
  });

  it('that hold more pixels than their header states say so, or are refused', async () => {
    const twice = Int16Array.from([...storedOf(1), ...storedOf(2)]);
    const long = await volume([slice(facts(0, { changes: { '7fe00010': ['OW', new Uint8Array(twice.buffer)] } }))]);
    expect(planeOf(long, 0)).toEqual(planeOf(await volume([slice(facts(0))]), 0));
    expect(long.warnings.join()).toMatch(new RegExp(`${2 * PIXELS} more bytes of pixels than the ${COLUMNS} x ${ROWS} x 1`));
    const streams = [0, 1].map(() => Uint8Array.of(0xff, 0xd8, 0xff, 0xd9));
    const single = fragmented(sliceElements(facts(0)), '1.2.840.10008.1.2.4.70', [], streams);
    expect(await refusal(volumes([single]))).toMatch(/states 1 frame, but its pixels are 2 streams/);
  });

  it('of one bit a pixel are counted in bits', async () => {
    const bits = new Uint8Array(4).fill(0b10100101);
    const changes: Changes = { '00280100': ['US', 1], '00280101': ['US', 1], '00280102': ['US', 0], '7fe00010': ['OB', bits] };
    const image = await volume([slice(facts(0, { signed: false, changes }))]);
    expect(planeOf(image, 0).slice(0, 8)).toEqual([1, 0, 1, 0, 0, 1, 0, 1]);
  });

  it('flipped at random give an image or an error in words, never anything else', async () => {
    const originals = [
      slice(facts(0)),
      dicomFile(enhancedElements(COLUMNS, ROWS, [{ positionMm: [0, 0, 0], stored: storedOf(1) }])),
      deflatedSlice(facts(0)),
    ];
    originals.push(fragmented(sliceElements(facts(0)), '1.2.840.10008.1.2.5', [], [rle(storedOf(1))]));
    const next = random(7);
    for (let n = 0; n < 600; n++) {
      const bytes = originals[n % originals.length].slice();
      for (let k = 0; k < 4; k++) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
      const mutated = next() < 0.3 ? bytes.subarray(0, Math.floor(next() * bytes.length)) : bytes;
      try {
        await volumes([mutated]);
      } catch (error) {
        if (error instanceof Error && !(error instanceof RunError) && /^DICOM/.test(error.message)) continue;
        expect(error, `seed 7, file ${n}`).toBeInstanceOf(RunError);
      }
    }
  });
});
