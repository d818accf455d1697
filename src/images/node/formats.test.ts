/** What files of every format mean: their grid, their values, and what is said of those that are damaged or odd. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { cornerDistanceMm } from '../../geometry/affine.ts';
import type { Geometry, Matrix3, VoxelArray } from '../../geometry/volume.ts';
import type { LoadedImage, ReadOptions } from '../loaded-image.ts';
import { findImages, imageStem } from './find.ts';
import { openImage, readImage } from './read.ts';
import { writeImage, writePlanes, writeVectorImage, writingPlanes } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'gvsl-formats-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const put = (name: string, ...content: readonly (string | Uint8Array)[]): string => {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.concat(content.map((part) => Buffer.from(part as string))));
  return path;
};
const refusal = async (path: string, options?: ReadOptions): Promise<string> => {
  try {
    await readImage(path, options);
  } catch (error) {
    expect(error).toBeInstanceOf(RunError);
    expect((error as Error).message).toContain(path);
    return (error as Error).message;
  }
  throw new Error(`${path} was read`);
};

const values = Int16Array.from({ length: 24 }, (_, i) => i * 311 - 3000);
const raw = new Uint8Array(values.buffer);
const swapped = Buffer.from(raw).swap16();

const IDENTITY: Matrix3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const geometryOf = ({ volume }: LoadedImage): Geometry => volume.geometry;
function expectGrid(
  image: LoadedImage,
  spacing: readonly number[],
  origin: readonly number[],
  direction: readonly number[],
): void {
  const { spacingMm, originMm, direction: found } = geometryOf(image);
  for (const [k, value] of [...spacing, ...origin, ...direction].entries())
    expect([...spacingMm, ...originMm, ...found][k]).toBeCloseTo(value, 5);
}

describe('NRRD', () => {
  const BASE: Readonly<Record<string, string>> = {
    type: 'short',
    dimension: '3',
    space: 'left-posterior-superior',
    sizes: '4 3 2',
    'space directions': '(1,0,0) (0,2,0) (0,0,3)',
    endian: 'little',
    encoding: 'raw',
    'space origin': '(5,-6,7)',
  };
  const header = (changes: Readonly<Record<string, string | null>> = {}): string =>
    `NRRD0004\n# made for a test\n${Object.entries({ ...BASE, ...changes })
      .filter(([, value]) => value !== null)
      .map(([field, value]) => `${field}: ${value}\n`)
      .join('')}a key:=a value\n`;
  const nrrd = (changes: Readonly<Record<string, string | null>>, body: string | Uint8Array = raw): string =>
    put('x.nrrd', header(changes), '\n', body);

  const spaces: [string, number, number][] = [
    ['left-posterior-superior', 1, 1],
    ['LPS', 1, 1],
    ['right-anterior-superior', -1, -1],
    ['RAS', -1, -1],
    ['left-anterior-superior', 1, -1],
    ['Las', 1, -1],
  ];
  it.each(spaces)('space %s', async (space, x, y) => {
    const image = await readImage(nrrd({ space }));
    expectGrid(image, [1, 2, 3], [5 * x, -6 * y, 7], [x, 0, 0, 0, y, 0, 0, 0, 1]);
    expect(image.volume.data).toEqual(values);
    expect(image.warnings).toEqual([]);
  });

  it('spaces that name no axes of the patient, and axes without directions in one, are said', async () => {
    for (const changes of [
      { space: 'scanner-xyz' },
      { space: null, 'space dimension': '3' },
      { space: null, 'space directions': null },
      { space: 'right-anterior-superior', 'space directions': null, 'space origin': null, spacings: '1 2 3' },
    ])
      expect((await readImage(nrrd(changes))).warnings.join()).toMatch(/LPS.*; left and right|LPS as ITK does/);
    expect(await refusal(nrrd({ space: 'upside-down' }))).toMatch(/space is "upside-down"/);
  });

  const units: [string, number][] = [
    ['"um" "um" "um"', 1e-3],
    ['"µm" "µm" "µm"', 1e-3],
    ['"micrometer" "micrometer" "micrometer"', 1e-3],
    ['"mm" "mm" "mm"', 1],
    ['"" "" ""', 1],
    ['"cm" "cm" "cm"', 10],
    ['"m" "m" "m"', 1000],
  ];
  it.each(units)('space units %s', async (text, mm) => {
    const image = await readImage(put('x.nrrd', Buffer.from(header({ 'space units': text }), 'latin1'), '\n', raw));
    expectGrid(image, [mm, 2 * mm, 3 * mm], [5 * mm, -6 * mm, 7 * mm], IDENTITY);
  });
  it('an origin counts without directions too, a field that is stated twice is refused', async () => {
    const spaced = { 'space directions': null, spacings: '1 2 3' };
    expectGrid(await readImage(nrrd(spaced)), [1, 2, 3], [5, -6, 7], IDENTITY);
    expectGrid(await readImage(nrrd({ ...spaced, space: 'right-anterior-superior' })), [1, 2, 3], [-5, 6, 7], IDENTITY);
    expect(await refusal(nrrd({ 'a:b\nspace origin': '(0,0,0)' }))).toMatch(
      /"space origin" twice, as \(5,-6,7\) and as \(0,0,0\)/,
    );
    expect((await readImage(nrrd({ '#\nendian': 'little' }))).volume.data).toEqual(values);
  });

  it('an axis whose spacing is nan is none of space', async () => {
    const bare = { space: null, 'space directions': null, 'space origin': null };
    const first = { ...bare, dimension: '4', sizes: '2 2 3 2', spacings: 'nan 1 2 3' };
    const image = await readImage(nrrd(first), { channel: 1 });
    expectGrid(image, [1, 2, 3], [0, 0, 0], IDENTITY);
    expect(image.volume.data).toEqual(values.filter((_, i) => i % 2 === 1));
    const last = await readImage(nrrd({ ...first, sizes: '2 3 2 2', spacings: '1 2 3 nan' }), { channel: 1 });
    expect(last.volume.data).toEqual(values.slice(12));
    // none has a distance: nothing is known
    expectGrid(await readImage(nrrd({ ...bare, spacings: 'nan nan nan' })), [1, 1, 1], [0, 0, 0], IDENTITY);
  });

  it('an unknown unit is said', async () => {
    expect((await readImage(nrrd({ 'space units': '"ell" "ell" "ell"' }))).warnings.join()).toMatch(/"ell"/);
  });

  it('spacings, axis minima and centres give the grid where there are no directions', async () => {
    const none = { space: null, 'space directions': null, 'space origin': null, spacings: '1 2 3' };
    expectGrid(await readImage(nrrd(none)), [1, 2, 3], [0, 0, 0], IDENTITY);
    const mins = { ...none, 'axis mins': '10 20 30' };
    expectGrid(await readImage(nrrd(mins)), [1, 2, 3], [10.5, 21, 31.5], IDENTITY);
    expectGrid(await readImage(nrrd({ ...mins, centers: 'node node node' })), [1, 2, 3], [10, 20, 30], IDENTITY);
    expectGrid(await readImage(nrrd({ ...none, units: '"um" "um" "um"' })), [1e-3, 2e-3, 3e-3], [0, 0, 0], IDENTITY);
  });

  it('encodings: gzip, zlib, ascii, hex; others are refused by name', async () => {
    const bodies: [string, Uint8Array | string][] = [
      ['gzip', gzipSync(raw)],
      ['gz', deflateSync(raw)],
      ['ascii', `${values.join(' ')}\n`],
      ['txt', values.join(',\n')],
      [
        'hex',
        Buffer.from(raw)
          .toString('hex')
          .replaceAll(/(.{10})/g, '$1\n'),
      ],
    ];
    for (const [encoding, body] of bodies) {
      const image = await readImage(nrrd({ encoding }, body));
      expect(image.volume.data).toEqual(values);
      expect(image.warnings).toEqual([]);
    }
    for (const encoding of ['bzip2', 'zrl', 'zstd'])
      expect(await refusal(nrrd({ encoding }))).toContain(`encoding is ${encoding}`);
    expect(await refusal(nrrd({ encoding: 'ascii' }, '1 2 three'))).toMatch(/"three"/);
    expect(await refusal(nrrd({ encoding: 'ascii' }, '1 2 40000 '))).toMatch(/"40000", expected int16/);
    expect(await refusal(nrrd({ encoding: 'hex' }, '00xy'))).toMatch(/hexadecimal/);
  });

  it('byte order, lines and bytes to skip', async () => {
    expect((await readImage(nrrd({ endian: 'big' }, swapped))).volume.data).toEqual(values);
    const skipped = { 'line skip': '2', 'byte skip': '3' };
    expect((await readImage(nrrd(skipped, Buffer.concat([Buffer.from('one\ntwo\nabc'), raw])))).volume.data).toEqual(values);
    const zipped = { 'byte skip': '3', encoding: 'gzip' };
    expect((await readImage(nrrd(zipped, gzipSync(Buffer.concat([Buffer.from('abc'), raw]))))).volume.data).toEqual(values);
    expect((await readImage(nrrd({ 'byte skip': '-1' }, Buffer.concat([Buffer.from('whatever'), raw])))).volume.data).toEqual(
      values,
    );
    expect((await readImage(nrrd({ endian: null }))).warnings.join()).toMatch(/byte order/);
  });

  it('too few bytes are refused, more are said, damage is named', async () => {
    expect(await refusal(nrrd({}, raw.subarray(1)))).toMatch(/48 bytes\), but 47 are present/);
    expect((await readImage(nrrd({}, Buffer.concat([raw, raw])))).warnings.join()).toMatch(/extra 48 were ignored/);
    const zipped = gzipSync(raw);
    expect(await refusal(nrrd({ encoding: 'gzip' }, zipped.subarray(0, -9)))).toMatch(/truncated/);
    const damaged = Buffer.from(zipped);
    damaged[damaged.length - 6] ^= 1;
    expect(await refusal(nrrd({ encoding: 'gzip' }, damaged))).toMatch(/checksum/);
    expect(await refusal(nrrd({ encoding: 'gzip' }, gzipSync(raw.subarray(2))))).toMatch(/46 are present/);
    expect(await refusal(nrrd({ sizes: '4 3' }))).toMatch(/dimension is 3, but it states 2 sizes/);
    expect(await refusal(nrrd({ type: 'block' }))).toMatch(/voxel type is block/);
  });

  it('data in other files: beside, above, absolute, linked, with spaces and letters beyond ASCII; a missing one is named', async () => {
    put('data/Ärztin Nr. 1.raw', raw);
    const names = ['../data/Ärztin Nr. 1.raw', join(folder, 'data', 'Ärztin Nr. 1.raw'), './../data/./Ärztin Nr. 1.raw'];
    for (const name of names) {
      const path = put('scan der Woche/x v1.2.nhdr', header({ 'data file': name }));
      expect((await readImage(path)).volume.data).toEqual(values);
      const link = join(folder, `link-${names.indexOf(name)}.nhdr`);
      symlinkSync(path, link);
      expect((await readImage(link)).volume.data).toEqual(values);
    }
    const path = put('scan der Woche/y.nhdr', header({ 'data file': names[0] }));
    expect((await readImage(relative(process.cwd(), path))).volume.data).toEqual(values);
    expect(await refusal(put('y.nhdr', header({ 'data file': 'sub/gone.raw' })))).toContain(join(folder, 'sub', 'gone.raw'));
    put('short.raw', raw.subarray(4));
    expect(await refusal(put('y.nhdr', header({ 'data file': 'short.raw' })))).toMatch(/44 are present in .*short\.raw/);
  });

  it('slices in files of their own: a pattern, a list, compressed or not; each is counted', async () => {
    for (let z = 0; z < 2; z++) {
      put(`slices/s ${z + 1}.raw`, raw.subarray(24 * z, 24 * z + 24));
      put(`slices/z00${z + 1}.gz`, gzipSync(raw.subarray(24 * z, 24 * z + 24)));
    }
    const list = header({ 'data file': 'LIST' }).replace('a key:=a value\n', '').replace('data file: LIST\n', '');
    const read = async (text: string): Promise<VoxelArray> => (await readImage(put('slices/x.nhdr', text))).volume.data;
    expect(await read(`${list}data file: LIST\ns 1.raw\ns 2.raw\n`)).toEqual(values);
    expect(await read(header({ 'data file': 's %d.raw 1 2 1' }))).toEqual(values);
    expect(await read(header({ 'data file': 'z%03d.gz 1 2 1 2', encoding: 'gzip' }))).toEqual(values);
    expect(await refusal(put('slices/x.nhdr', header({ 'data file': 'z%03d.gz 1 3 1', encoding: 'gzip' })))).toMatch(/z003\.gz/);
    put('slices/s 2.raw', raw.subarray(0, 20));
    expect(await refusal(put('slices/x.nhdr', header({ 'data file': 's %d.raw 1 2 1' })))).toMatch(
      /s 2\.raw holds 20 bytes.*expected 24/,
    );
    expect(await refusal(put('slices/x.nhdr', header({ 'data file': 's %d.raw 1 5 1' })))).toMatch(/5 files of equal length/);
  });

  it('axes of values: first or last are channels to choose from, in between they are refused if they hold several', async () => {
    const last = {
      dimension: '4',
      sizes: '2 3 2 2',
      kinds: 'domain domain domain list',
      'space directions': '(1,0,0) (0,2,0) (0,0,3) none',
    };
    const first = {
      dimension: '4',
      sizes: '2 2 3 2',
      kinds: 'vector domain domain domain',
      'space directions': 'none (1,0,0) (0,2,0) (0,0,3)',
    };
    expect(await refusal(nrrd(last))).toMatch(/2 volumes .* choose one with `channel` N \(0 to 1\)/);
    expect(await refusal(nrrd(first))).toMatch(/2 values per voxel .* `channel`/);
    expect((await readImage(nrrd(last), { channel: 1 })).volume.data).toEqual(values.slice(12));
    expect((await readImage(nrrd(first), { channel: 1 })).volume.data).toEqual(values.filter((_, i) => i % 2 === 1));
    expect(await refusal(nrrd(last), { channel: 2 })).toMatch(/channel 2 does not exist: expected 0 to 1/);
    const middle = {
      dimension: '4',
      sizes: '2 2 3 2',
      kinds: 'domain list domain domain',
      'space directions': '(1,0,0) none (0,2,0) (0,0,3)',
    };
    expect(await refusal(nrrd(middle))).toMatch(/between the spatial ones/);
    const one = await readImage(nrrd({ ...middle, sizes: '2 1 3 4' }));
    expectGrid(one, [1, 2, 3], [5, -6, 7], IDENTITY);
    expect([one.volume.geometry.size, one.volume.data]).toEqual([[2, 3, 4], values]);
    const withNan = { ...first, 'space directions': '(nan,nan,nan) (1,0,0) (0,2,0) (0,0,3)' };
    expect((await readImage(nrrd(withNan), { channel: 1 })).volume.data).toEqual(values.filter((_, i) => i % 2 === 1));
  });
});

describe('MetaImage', () => {
  const BASE: Readonly<Record<string, string>> = {
    ObjectType: 'Image',
    NDims: '3',
    BinaryData: 'True',
    BinaryDataByteOrderMSB: 'False',
    CompressedData: 'False',
    TransformMatrix: '0 1 0 -1 0 0 0 0 1',
    Offset: '5 -6 7',
    ElementSpacing: '1 2 3',
    DimSize: '4 3 2',
    ElementType: 'MET_SHORT',
  };
  const header = (changes: Readonly<Record<string, string | null>>, file = 'LOCAL'): string =>
    `${Object.entries({ ...BASE, ...changes })
      .filter(([, value]) => value !== null)
      .map(([tag, value]) => `${tag} = ${value}\n`)
      .join('')}ElementDataFile = ${file}\n`;
  const mha = (changes: Readonly<Record<string, string | null>>, body: string | Uint8Array = raw): string =>
    put('x.mha', header(changes), body);
  const direction: Matrix3 = [0, -1, 0, 1, 0, 0, 0, 0, 1];

  it('grid, under each of its names', async () => {
    for (const offset of ['Offset', 'Position', 'Origin'])
      for (const matrix of ['TransformMatrix', 'Rotation', 'Orientation'])
        for (const spacing of ['ElementSpacing', 'ElementSize']) {
          const tags = { Offset: null, TransformMatrix: null, ElementSpacing: null };
          const image = await readImage(
            mha({ ...tags, [offset]: BASE.Offset, [matrix]: BASE.TransformMatrix, [spacing]: BASE.ElementSpacing }),
          );
          expectGrid(image, [1, 2, 3], [5, -6, 7], direction);
          expect(image.warnings).toEqual([]);
          expect(image.volume.data).toEqual(values);
        }
    expectGrid(await readImage(mha({ ElementSize: '9 9 9' })), [1, 2, 3], [5, -6, 7], direction);
    const um = await readImage(mha({ DistanceUnits: 'um' }));
    expectGrid(um, [1e-3, 2e-3, 3e-3], [5e-3, -6e-3, 7e-3], direction);
    expect(um.warnings.join()).toMatch(/um: converted/);
    expect((await readImage(mha({ TransformMatrix: null }))).warnings.join()).toMatch(/no orientation/);
    const long = await readImage(mha({ TransformMatrix: '0 2 0 -1 0 0 0 0 1' }));
    expectGrid(long, [2, 2, 3], [5, -6, 7], direction);
    expect(long.warnings.join()).toMatch(/of length other than 1/);
    expect(await refusal(mha({ TransformMatrix: '1 0 0 1' }))).toMatch(/expected 9 numbers/);
    expect(await refusal(mha({ TransformMatrix: '1 0 0 1 0 0 0 0 1' }))).toMatch(/one plane/);
    expect(await refusal(mha({ ElementSpacing: '1 -2 3' }))).toMatch(/1 x -2 x 3 mm/);
  });

  it('byte order, text, channels, volumes, modality, values as stored', async () => {
    for (const tag of ['BinaryDataByteOrderMSB', 'ElementByteOrderMSB'])
      expect((await readImage(mha({ BinaryDataByteOrderMSB: null, [tag]: 'True' }, swapped))).volume.data).toEqual(values);
    // MetaIO takes T, t and 1 for true, and all else for false
    for (const yes of ['T', 'true', '1'])
      expect((await readImage(mha({ BinaryData: yes, CompressedData: yes }, deflateSync(raw)))).volume.data).toEqual(values);
    for (const no of ['F', 'No', '0'])
      expect((await readImage(mha({ CompressedData: no, BinaryDataByteOrderMSB: no }))).volume.data).toEqual(values);
    expect((await readImage(mha({ Offset: null }))).warnings).toEqual(['no position in its header ("Offset"): assuming 0']);
    expect((await readImage(mha({ BinaryData: 'False' }, values.join('\n')))).volume.data).toEqual(values);
    const channels = mha({ DimSize: '2 3 2', ElementNumberOfChannels: '2' });
    expect(await refusal(channels)).toMatch(/2 values per voxel.*`channel`/);
    expect((await readImage(channels, { channel: 1 })).volume.data).toEqual(values.filter((_, i) => i % 2 === 1));
    const four = { NDims: '4', DimSize: '2 3 2 2', ElementSpacing: '1 2 3 1', Offset: '5 -6 7 0' };
    const volumes = mha({ ...four, TransformMatrix: '0 1 0 0 -1 0 0 0 0 0 1 0 0 0 0 1' });
    const second = await readImage(volumes, { channel: 1 });
    expect(second.volume.data).toEqual(values.slice(12));
    expectGrid(second, [1, 2, 3], [5, -6, 7], direction);
    const facts = await readImage(mha({ Modality: 'MET_MOD_CT', ElementToIntensityFunctionSlope: '2' }));
    expect(facts.modality).toBe('CT');
    expect(facts.volume.data).toEqual(values);
    expect(facts.warnings.join()).toMatch(/Slope 2 .*not applied/);
  });

  it('compressed: with its size, without it, with a wrong one; damage is refused, in other files too', async () => {
    const zipped = deflateSync(raw);
    const compressed = { CompressedData: 'True' };
    const sized = { ...compressed, CompressedDataSize: String(zipped.length) };
    for (const changes of [compressed, sized]) {
      const image = await readImage(mha(changes, zipped));
      expect(image.volume.data).toEqual(values);
      expect(image.warnings).toEqual([]);
    }
    expect((await readImage(mha({ ...compressed, CompressedDataSize: '7' }, zipped))).warnings.join()).toMatch(/states 7 bytes/);
    expect((await readImage(mha(compressed, gzipSync(raw)))).volume.data).toEqual(values);
    expect(await refusal(mha(sized, zipped.subarray(0, -4)))).toMatch(/truncated/);
    const long = Buffer.from(deflateSync(Buffer.from(Array.from({ length: 48 }, (_, i) => (i * i * 37) % 251))));
    for (const at of [long.length >> 1, long.length - 1]) {
      const damaged = Buffer.from(long);
      damaged[at] ^= 0x5a;
      put('x.zraw', damaged);
      expect(await refusal(put('x.mhd', header(sized, 'x.zraw')))).toMatch(/damaged|truncated/);
      expect(await refusal(mha(sized, damaged))).toMatch(/damaged|truncated/);
    }
  });

  it('data in other files: above, in a pattern, in a list, at the end; what is missing or short is named', async () => {
    put('meta/x.raw', raw);
    expect((await readImage(put('meta/sub/x.mhd', header({}, '../x.raw')))).volume.data).toEqual(values);
    expect((await readImage(put('meta/sub/x.mhd', header({}, '..\\x.raw')))).volume.data).toEqual(values);
    for (let z = 0; z < 2; z++) put(`meta/s00${z + 1}.raw`, raw.subarray(24 * z, 24 * z + 24));
    expect((await readImage(put('meta/y.mhd', header({}, 's%03d.raw 1 2 1')))).volume.data).toEqual(values);
    expect((await readImage(put('meta/y.mhd', header({}, 'LIST'), 's001.raw\ns002.raw\n'))).volume.data).toEqual(values);
    put('meta/long.raw', 'something else', raw);
    expect((await readImage(put('meta/z.mhd', header({ HeaderSize: '-1' }, 'long.raw')))).volume.data).toEqual(values);
    expect((await readImage(put('meta/z.mhd', header({ HeaderSize: '14' }, 'long.raw')))).volume.data).toEqual(values);
    expect((await readImage(put('meta/z.mhd', header({}, 'long.raw')))).warnings.join()).toMatch(/extra 14 were ignored/);
    expect(await refusal(put('meta/z.mhd', header({}, 'gone.raw')))).toContain(join(folder, 'meta', 'gone.raw'));
    put('meta/short.raw', raw.subarray(8));
    expect(await refusal(put('meta/z.mhd', header({}, 'short.raw')))).toMatch(/40 are present in .*short\.raw/);
    expect(await refusal(put('meta/z.mha', header({ HeaderSize: '4' }), raw))).toMatch(/HeaderSize is 4/);
  });
});

describe('MGH', () => {
  const mgh = (type: number, body: Uint8Array, change: (view: DataView) => void = () => {}): Uint8Array => {
    const header = new Uint8Array(284);
    const view = new DataView(header.buffer);
    for (const [k, value] of [1, 4, 3, 2, 1, type, 0].entries()) view.setInt32(4 * k, value);
    view.setInt16(28, 1);
    // voxel size, the axes in RAS, the centre
    for (const [k, value] of [1, 2, 3, -1, 0, 0, 0, 0, -1, 0, 1, 0, 10, 20, 30].entries()) view.setFloat32(30 + 4 * k, value);
    change(view);
    return Buffer.concat([header, body]);
  };

  it('grid and values, compressed or not, with tags behind the voxels', async () => {
    const tags = new Uint8Array(40);
    for (const path of [
      put('x.mgh', mgh(4, swapped)),
      put('x.mgz', gzipSync(mgh(4, swapped))),
      put('y.mgh', mgh(4, swapped), tags),
    ]) {
      const image = await readImage(path);
      expect(image.volume.data).toEqual(values);
      // origin: 10, 20, 30 less half of 4 x -1, 2 x 3 and 3 x -2, in RAS
      expectGrid(image, [1, 2, 3], [-12, -17, 33], [1, 0, 0, 0, 0, -1, 0, -1, 0]);
      expect(image.warnings).toEqual([]);
    }
  });

  it('without orientation: FreeSurfer’s coronal slices of 1 mm around 0', async () => {
    const image = await readImage(
      put(
        'x.mgh',
        mgh(4, swapped, (view) => view.setInt16(28, 0)),
      ),
    );
    expectGrid(image, [1, 1, 1], [-2, 1, 1.5], [1, 0, 0, 0, 0, -1, 0, -1, 0]);
    expect(image.warnings.join()).toMatch(/no orientation/);
  });

  it('types, frames and damage', async () => {
    expect((await readImage(put('x.mgh', mgh(10, swapped)))).volume.data).toEqual(new Uint16Array(values.buffer));
    expect(await refusal(put('x.mgh', mgh(5, swapped)))).toMatch(/MRI_BITMAP/);
    expect(await refusal(put('x.mgh', mgh(4, swapped.subarray(1))))).toMatch(/47 are present/);
    const frames = put(
      'x.mgh',
      mgh(4, Buffer.concat([swapped, swapped]), (view) => view.setInt32(16, 2)),
    );
    expect(await refusal(frames)).toMatch(/2 volumes/);
    expect((await readImage(frames, { channel: 1 })).volume.data).toEqual(values);
  });
});

describe('NIfTI', () => {
  const CODES: readonly [number, string, number][] = [
    [2, 'Uint8', 1],
    [256, 'Int8', 1],
    [4, 'Int16', 2],
    [512, 'Uint16', 2],
    [8, 'Int32', 4],
    [768, 'Uint32', 4],
    [16, 'Float32', 4],
    [64, 'Float64', 8],
    [1024, 'BigInt64', 8],
    [1280, 'BigUint64', 8],
  ];
  interface Made {
    readonly code?: number;
    readonly little?: boolean;
    readonly slope?: number;
    readonly intercept?: number;
    readonly dims?: readonly number[];
    readonly two?: boolean;
    readonly offset?: number;
  }
  /** A header that nothing of ours wrote. */
  function made({
    code = 4,
    little = true,
    slope = 0,
    intercept = 0,
    dims = [3, 4, 3, 2],
    two = false,
    offset,
  }: Made): Uint8Array {
    const length = two ? 544 : 352;
    const header = new Uint8Array(length);
    const view = new DataView(header.buffer);
    const bits = 8 * CODES.find(([known]) => known === code)![2];
    view.setInt32(0, length - 4, little);
    const all = [...dims, 1, 1, 1, 1, 1, 1, 1].slice(0, 8);
    if (two) {
      header.set(Buffer.from('n+2\0\r\n\x1a\n', 'latin1'), 4);
      view.setInt16(12, code, little);
      view.setInt16(14, bits, little);
      for (const [k, n] of all.entries()) view.setBigInt64(16 + 8 * k, BigInt(n), little);
      for (let k = 0; k < 8; k++) view.setFloat64(104 + 8 * k, k < 4 ? Math.max(1, k) : 1, little);
      view.setBigInt64(168, BigInt(offset ?? 544), little);
      view.setFloat64(176, slope, little);
      view.setFloat64(184, intercept, little);
    } else {
      for (const [k, n] of all.entries()) view.setInt16(40 + 2 * k, n, little);
      view.setInt16(70, code, little);
      view.setInt16(72, bits, little);
      for (let k = 0; k < 8; k++) view.setFloat32(76 + 4 * k, k < 4 ? Math.max(1, k) : 1, little);
      view.setFloat32(108, offset ?? 352, little);
      view.setFloat32(112, slope, little);
      view.setFloat32(116, intercept, little);
      header.set(Buffer.from('n+1\0', 'latin1'), 344);
    }
    return header;
  }
  function stored(code: number, little: boolean, numbers: readonly number[]): Uint8Array {
    const [, name, width] = CODES.find(([known]) => known === code)!;
    const view = new DataView(new ArrayBuffer(width * numbers.length));
    const set = `set${name}` as 'setFloat64';
    for (const [i, value] of numbers.entries())
      view[set](i * width, (name.startsWith('Big') ? BigInt(value) : value) as number, little);
    return new Uint8Array(view.buffer);
  }
  const numbers = Array.from({ length: 24 }, (_, i) => i * 5);

  it('every type in both byte orders, in NIfTI-1 and -2', async () => {
    for (const [code, name] of CODES)
      for (const little of [true, false])
        for (const two of [true, false]) {
          const { volume, storedType } = await readImage(
            put('x.nii', made({ code, little, two }), stored(code, little, numbers)),
          );
          expect([...volume.data]).toEqual(numbers);
          expect(volume.data.constructor.name).toBe(name.startsWith('Big') ? 'Float64Array' : `${name}Array`);
          expect(storedType.includes('big-endian')).toBe(!little && !/8/.test(storedType.slice(-5)));
        }
  });

  const scaled: [number, number, number, string][] = [
    [4, 1, 0, 'Int16Array'],
    [4, 0, 5, 'Int16Array'],
    [2, 2, 0, 'Int16Array'],
    [2, 1, -1024, 'Int16Array'],
    [512, 1, -1024, 'Int32Array'],
    [4, -1, 0, 'Int32Array'],
    [4, 0.5, 3, 'Float32Array'],
    [4, 0.1, 0, 'Float32Array'],
    [4, 1e-6, 1000, 'Float64Array'],
    [8, 0.5, 0, 'Float64Array'],
    [768, 1, 1, 'Float64Array'],
    [16, 2, 0, 'Float32Array'],
    [16, 2, 1, 'Float64Array'],
    [64, 2, 1, 'Float64Array'],
  ];
  it.each(scaled)('type %i with slope %d and intercept %d is %s', async (code, slope, intercept, type) => {
    const { volume } = await readImage(put('x.nii', made({ code, slope, intercept }), stored(code, true, numbers)));
    expect(volume.data.constructor.name).toBe(type);
    const [m, b] = slope === 0 ? [1, 0] : [Math.fround(slope), Math.fround(intercept)];
    for (const [i, value] of numbers.entries()) {
      const exact = value * m + b;
      expect(volume.data[i]).toBe(type === 'Float32Array' ? Math.fround(exact) : exact);
    }
  });

  it('a slope that is no number means none; an infinite one, or such an intercept, is damage', async () => {
    expect((await readImage(put('x.nii', made({ slope: Number.NaN, intercept: Number.NaN }), raw))).volume.data).toEqual(values);
    for (const [slope, intercept] of [
      [Number.POSITIVE_INFINITY, 0],
      [1, Number.NaN],
    ])
      expect(await refusal(put('x.nii', made({ slope, intercept }), raw))).toMatch(/scl_slope/);
  });

  it('an orientation that is no matrix is ignored, and that is said', async () => {
    const header = Buffer.from(made({}));
    header.writeInt16LE(1, 252);
    header.writeInt16LE(1, 254);
    header.writeFloatLE(Number.NaN, 256);
    const image = await readImage(put('x.nii', header, raw));
    expect(image.warnings.join()).toMatch(
      /sform is not invertible.*qform holds values that are not numbers.*no usable orientation/,
    );
  });

  it('an axis of one voxel needs no size; a quaternion that is no rotation, and other units than mm, are said', async () => {
    const flat = (dims: readonly number[], code: number, size: number): string => {
      const header = Buffer.from(made({ dims, code: 4 }));
      header.writeInt16LE(code, 252);
      header.writeFloatLE(size, 88);
      return put('x.nii', header, raw.subarray(0, 24));
    };
    for (const dims of [
      [2, 4, 3],
      [3, 4, 3, 1],
    ])
      for (const code of [0, 1])
        for (const size of [0, Number.NaN]) {
          const image = await readImage(flat(dims, code, size));
          expect(image.volume.geometry.spacingMm).toEqual([1, 2, 1]);
          expect(image.warnings.join()).toMatch(/no voxel size along an axis of one voxel/);
        }
    const thick = Buffer.from(made({}));
    thick.writeFloatLE(0, 88);
    expect(await refusal(put('x.nii', thick, raw))).toMatch(/voxel size is 1 x 2 x 0 mm/);

    const turned = Buffer.from(made({}));
    turned.writeInt16LE(1, 252);
    for (const at of [256, 260, 264]) turned.writeFloatLE(0.9, at);
    const image = await readImage(put('x.nii', turned, raw));
    expect(image.warnings.join()).toMatch(/quaternion is no rotation \(b, c and d have length 1\.56/);
    for (const at of [256, 260, 264]) turned.writeFloatLE(Math.sqrt(1 / 3), at);
    expect((await readImage(put('x.nii', turned, raw))).warnings).toEqual([]);

    for (const [unit, mm, said] of [
      [1, 1000, ['its lengths are in metres: converted to mm, as in ITK (nibabel does not convert them)']],
      [2, 1, []],
      [3, 1e-3, ['its lengths are in micrometres: converted to mm, as in ITK (nibabel does not convert them)']],
      [0, 1, []],
    ] as const) {
      turned[123] = unit;
      const { volume, warnings } = await readImage(put('x.nii', turned, raw));
      volume.geometry.spacingMm.forEach((side, k) => {
        expect(side).toBeCloseTo((k + 1) * mm, 6);
      });
      expect(warnings).toEqual(said);
    }
  });

  it('keeps NaN and infinities, and says which 64-bit numbers are rounded', async () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, ...numbers.slice(3)];
    for (const code of [16, 64])
      expect([...(await readImage(put('x.nii', made({ code }), stored(code, true, odd)))).volume.data]).toEqual(odd);
    const large = new BigInt64Array([2n ** 53n + 1n, 2n ** 60n, -(2n ** 62n) - 1n, ...numbers.slice(3).map(BigInt)]);
    const image = await readImage(put('x.nii', made({ code: 1024 }), new Uint8Array(large.buffer)));
    expect([...image.volume.data.subarray(0, 3)]).toEqual([2 ** 53, 2 ** 60, -(2 ** 62)]);
    expect(image.warnings.join()).toMatch(/2 of its int64 values exceed 2\^53/);
  });

  it('sizes of 0 beyond the third are 1; elsewhere they are damage', async () => {
    for (const dims of [
      [4, 4, 3, 2, 0],
      [7, 4, 3, 2, 0, 0, 0, 0],
      [5, 4, 3, 2, 1, 0],
    ])
      for (const two of [false, true])
        expect((await readImage(put('x.nii', made({ dims, two }), raw))).volume.data).toEqual(values);
    expect(await refusal(put('x.nii', made({ dims: [3, 4, 0, 2] }), raw))).toMatch(/4 x 0 x 2: damaged/);
    expect(await refusal(put('x.nii', made({ dims: [4, 4, 3, 2, -1] }), raw))).toMatch(/damaged/);
  });

  it('one of several volumes is chosen by number', async () => {
    const path = put('x.nii.gz', gzipSync(Buffer.concat([made({ dims: [4, 2, 3, 2, 2] }), raw])));
    expect(await refusal(path)).toMatch(/2 volumes \(2 x 3 x 2 x 2\), expected one; choose one with `channel` N \(0 to 1\)/);
    for (const channel of [0, 1]) {
      const image = await readImage(path, { channel });
      expect(image.volume.data).toEqual(values.slice(12 * channel, 12 * channel + 12));
      expect([image.volumesInFile, image.warnings.join()]).toEqual([
        2,
        expect.stringMatching(/^no orientation[^;]*; left and right may be swapped$/),
      ]);
    }
    expect(await refusal(path, { channel: 2 })).toMatch(/expected 0 to 1/);
    expect(await refusal(put('x.nii', made({}), raw), { channel: 1 })).toMatch(/holds one volume/);
  });

  it('where voxels begin: behind the header whatever it says, further if it says so; nonsense is refused', async () => {
    for (const two of [false, true])
      for (const offset of [0, 8])
        expect((await readImage(put('x.nii', made({ offset, two }), raw))).volume.data).toEqual(values);
    expect((await readImage(put('x.nii', made({ offset: 400 }), new Uint8Array(48), raw))).volume.data).toEqual(values);
    for (const offset of [Number.NaN, -8, 352.5])
      expect(await refusal(put('x.nii', made({ offset }), raw))).toMatch(/vox_offset/);
    expect((await readImage(put('x.nii', made({}), raw, 'more'))).warnings.join()).toMatch(/the extra 4 were ignored/);
  });

  it('gzip: members one after another, padding, other bytes behind it, and every damage by its name', async () => {
    const plain = Buffer.concat([made({}), raw]);
    const zipped = gzipSync(plain);
    const parts = [
      gzipSync(plain.subarray(0, 100)),
      gzipSync(plain.subarray(100, 360)),
      gzipSync(new Uint8Array()),
      gzipSync(plain.subarray(360)),
    ];
    const members = await readImage(put('x.nii.gz', ...parts));
    expect(members.volume.data).toEqual(values);
    const padded = await readImage(put('x.nii.gz', zipped, new Uint8Array(5000)));
    const followed = await readImage(put('x.nii.gz', zipped, 'not gzip'));
    for (const image of [members, padded]) expect(image.warnings.join()).not.toMatch(/ignored/);
    expect(followed.volume.data).toEqual(values);
    expect(followed.warnings.join()).toMatch(/8 extra bytes after its compressed stream were ignored/);
    const change = (at: number): Uint8Array => {
      const copy = Buffer.from(zipped);
      copy[copy.length + at] ^= 1;
      return copy;
    };
    expect(await refusal(put('x.nii.gz', change(-8)))).toMatch(/gzip checksum does not match/);
    expect(await refusal(put('x.nii.gz', change(-4)))).toMatch(/gzip length does not match/);
    for (const cut of [5, 15, zipped.length - 20, zipped.length - 3])
      expect(await refusal(put('x.nii.gz', zipped.subarray(0, cut)))).toMatch(/truncated/);
    expect(await refusal(put('x.nii.gz', gzipSync(plain.subarray(0, -1))))).toMatch(/47 are present/);
    expect(await refusal(put('x.nii.gz', parts[0], gzipSync(plain.subarray(100)).subarray(0, -2)))).toMatch(/truncated/);
    const named = gzipSync(plain);
    named[3] = 8 | 4;
    const extra = Buffer.concat([
      named.subarray(0, 10),
      Buffer.from([2, 0, 65, 66]),
      Buffer.from('name.nii\0'),
      named.subarray(10),
    ]);
    expect((await readImage(put('x.nii.gz', extra))).volume.data).toEqual(values);
    named[3] = 8;
    const alone = Buffer.concat([named.subarray(0, 10), Buffer.from('name.nii\0'), named.subarray(10)]);
    expect((await readImage(put('x.nii.gz', alone))).volume.data).toEqual(values);
    expect(await refusal(put('x.nii.gz', alone.subarray(0, 14)))).toMatch(/truncated/);
  });

  it('gzip: files that are too large to be decompressed at once, or that grow too much, are read in order to the same values', async () => {
    const dims = [3, 160, 96, 64];
    const noise = Int16Array.from({ length: 160 * 96 * 64 }, (_, i) => Math.imul(i, 0x9e3779b1) >> 16);
    const large = gzipSync(Buffer.concat([made({ dims }), new Uint8Array(noise.buffer)]));
    expect(large.length).toBeGreaterThan(2 ** 20);
    const image = await readImage(put('x.nii.gz', large));
    expect([image.volume.data, image.warnings]).toEqual([noise, expect.not.arrayContaining([expect.stringMatching(/ignored/)])]);
    expect(await refusal(put('x.nii.gz', large.subarray(0, -9)))).toMatch(/truncated/);
    const damaged = Buffer.from(large);
    damaged[damaged.length - 8] ^= 1;
    expect(await refusal(put('x.nii.gz', damaged))).toMatch(/gzip checksum does not match/);
    const empty = gzipSync(Buffer.concat([made({ dims: [3, 256, 256, 160] }), new Uint8Array(2 * 256 * 256 * 160)]));
    expect(empty.length).toBeLessThan(2 ** 20);
    const zeros = await readImage(put('x.nii.gz', empty));
    expect([zeros.volume.data.length, zeros.volume.data.every((value) => value === 0)]).toEqual([256 * 256 * 160, true]);
  });

  it('takes no memory for what a damaged header announces', async () => {
    const claim = made({ dims: [3, 30000, 300, 300] });
    expect(await refusal(put('x.nii', claim, raw))).toMatch(/is too large|are present/);
    const before = process.memoryUsage().arrayBuffers;
    expect(await refusal(put('x.nii.gz', gzipSync(Buffer.concat([made({ dims: [3, 1000, 1000, 1000] }), raw]))))).toMatch(
      /48 are present/,
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100e6);
  });

  it('pairs: either half, linked, in capitals, and a missing half is named', async () => {
    const header = Buffer.from(made({ offset: 0 }));
    header.write('ni1\0', 344, 'latin1');
    put('pair/a b.hdr', header);
    put('pair/a b.img', raw);
    symlinkSync(join(folder, 'pair', 'a b.hdr'), join(folder, 'linked.hdr'));
    for (const name of ['pair/a b.hdr', 'pair/a b.img', 'linked.hdr'])
      expect((await readImage(join(folder, name))).volume.data).toEqual(values);
    put('pair/c.HDR', header);
    put('pair/c.IMG', raw);
    expect((await readImage(join(folder, 'pair/c.HDR'))).volume.data).toEqual(values);
    expect(await refusal(put('pair/d.hdr', header))).toContain(join(folder, 'pair', 'd.img'));
    expect(await refusal(put('pair/e.img', raw))).toContain(join(folder, 'pair', 'e.hdr'));
  });

  it('SPM’s factor in an Analyze header is applied, and said', async () => {
    const header = Buffer.from(made({ slope: 0.5, offset: 0 }));
    header.fill(0, 344, 348);
    put('spm.hdr', header);
    put('spm.img', raw);
    const image = await readImage(join(folder, 'spm.img'));
    expect(image.volume.data[1]).toBe(values[1] / 2);
    expect(image.warnings.join()).toMatch(/SPM/);
  });
});

describe('names that lie', () => {
  const geometry: Geometry = { size: [4, 3, 2], spacingMm: [1, 2, 3], originMm: [5, -6, 7], direction: IDENTITY };

  it('content decides, and other programs’ trouble is said', async () => {
    for (const ending of ['nii', 'nii.gz', 'nrrd']) await writeImage(join(folder, `right.${ending}`), { geometry, data: values });
    const bytes = (ending: string): Uint8Array => readFileSync(join(folder, `right.${ending}`));
    const cases: [string, string, RegExp][] = [
      ['wrong.nii', 'nii.gz', /compressed with gzip, but its name does not say so/],
      ['wrong.nii.gz', 'nii', /not compressed, although its name says so/],
      ['wrong.mha', 'nii', /name says MetaImage, but its content is NIfTI/],
      ['wrong.nii', 'nrrd', /name says NIfTI, but its content is NRRD/],
      ['wrong', 'nii.gz', /compressed/],
      ['wrong.dat', 'nrrd', /^$/],
    ];
    for (const [name, ending, note] of cases) {
      const image = await readImage(put(name, bytes(ending)));
      expect(image.volume.data).toEqual(values);
      expect(cornerDistanceMm(image.volume.geometry, geometry)).toBeLessThan(1e-5);
      expect(image.warnings.join()).toMatch(note);
    }
  });

  it('what is no image that is read here is named', async () => {
    expect(await refusal(put('scan.zip', 'PK\x03\x04', new Uint8Array(600)))).toMatch(/zip archive/);
    expect(await refusal(put('scan.png', Buffer.from('\x89PNG\r\n', 'latin1'), new Uint8Array(600)))).toMatch(/PNG picture/);
    expect(await refusal(put('warnings.txt', 'hello'))).toMatch(/not a supported format/);
    // names lie
    const tar = Buffer.alloc(1024);
    tar.write('ustar', 257);
    for (const [name, content, what] of [
      ['twice.nii.gz', gzipSync(gzipSync(Buffer.alloc(900))), 'says NIfTI, but it is compressed with gzip twice'],
      ['archive.nii.gz', gzipSync(tar), 'says NIfTI, but it is a tar archive'],
      ['archive.nii', Buffer.from('PK\x03\x04'), 'says NIfTI, but it is a zip archive'],
      ['failed.nrrd', Buffer.from('<!DOCTYPE html><html></html>'), 'says NRRD, but it is a web page'],
      [
        'pointer.mha',
        Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
        'says MetaImage, but it is a pointer of Git LFS',
      ],
      ['picture.dcm', Buffer.from('\x89PNG\r\n', 'latin1'), 'says DICOM, but it is a PNG picture'],
    ] as const)
      expect(await refusal(put(name, content))).toContain(what);
    expect(await refusal(put('empty.mha'))).toMatch(/empty/);
    expect(await refusal(put('junk.mgz', gzipSync('junk')))).toMatch(/not MGH/);
  });
});

describe('writing', () => {
  let state = 20261125;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const between = (low: number, high: number): number => low + (high - low) * random();
  function randomGeometry(sheared: boolean): Geometry {
    const q = [0, 1, 2, 3].map(() => between(-1, 1));
    const [a, b, c, d] = q.map((value) => value / Math.hypot(...q));
    const s = random() < 0.5 ? 1 : -1;
    const tilt = sheared ? 0.3 : 0;
    const r = [
      [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), s * 2 * (b * d + a * c)],
      [2 * (b * c + a * d), a * a + c * c - b * b - d * d, s * 2 * (c * d - a * b)],
      [2 * (b * d - a * c), 2 * (c * d + a * b), s * (a * a + d * d - b * b - c * c)],
    ].map((row) => [row[0], row[1], Math.cos(tilt) * row[2] + Math.sin(tilt) * row[1]]);
    return {
      size: [0, 1, 2].map(() => 1 + Math.floor(random() * 6)) as unknown as Geometry['size'],
      spacingMm: [between(0.2, 4), between(0.2, 4), between(0.2, 9)],
      originMm: [between(-500, 500), between(-500, 500), between(-1500, 1500)],
      direction: r.flat() as unknown as Matrix3,
    };
  }
  const TYPES = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];

  it('random images come back: scalars of every type, vectors, sheared or not, in every format; qform and sform agree', async () => {
    for (let k = 0; k < 150; k++) {
      const geometry = randomGeometry(k % 5 === 0);
      const n = geometry.size[0] * geometry.size[1] * geometry.size[2];
      const path = join(folder, 'random', `${k}.${['nii', 'nii.gz', 'nrrd'][k % 3]}`);
      if (k % 4 === 3) {
        const data = Float32Array.from({ length: 3 * n }, () => between(-50, 50));
        await writeVectorImage(path, geometry, data);
        for (const channel of [0, 1, 2])
          expect((await readImage(path, { channel })).volume.data).toEqual(data.filter((_, i) => i % 3 === channel));
      } else {
        const type = TYPES[Math.floor(random() * TYPES.length)];
        const data: VoxelArray = new type(n);
        for (let i = 0; i < n; i++) data[i] = between(-200, 200);
        await writeImage(path, { geometry, data });
        const back = await readImage(path);
        expect(back.volume.data).toEqual(data);
        expect(cornerDistanceMm(back.volume.geometry, geometry)).toBeLessThan(2e-3);
        expect(back.warnings.filter((note) => !/sheared/.test(note))).toEqual([]);
        expect(back.warnings.length).toBe(k % 5 === 0 ? 1 : 0);
      }
      if (path.endsWith('.nii')) expect(readFileSync(path).readInt16LE(252)).toBe(k % 5 === 0 ? 0 : 1);
    }
  });

  it('plane by plane gives the bytes of the whole, may reuse its array, and reads so too', async () => {
    const geometry: Geometry = { size: [7, 5, 9], spacingMm: [1, 1, 2], originMm: [0, 0, 0], direction: IDENTITY };
    for (const components of [1, 3] as const) {
      const data = Float32Array.from({ length: 315 * components }, (_, i) => Math.sin(i));
      for (const ending of ['nii', 'nii.gz', 'nrrd']) {
        const [whole, planes] = [join(folder, `whole.${ending}`), join(folder, `planes.${ending}`)];
        await (components === 1 ? writeImage(whole, { geometry, data }) : writeVectorImage(whole, geometry, data));
        const one = new Float32Array(35 * components);
        const asked: number[] = [];
        await writePlanes(planes, {
          geometry,
          type: 'float32',
          components,
          plane: async (z) => {
            asked.push(z);
            one.set(data.subarray(z * one.length, (z + 1) * one.length));
            return one;
          },
        });
        expect(asked).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
        expect(readFileSync(planes).equals(readFileSync(whole))).toBe(true);
        const image = await openImage(planes, { channel: components - 1 });
        expect([image.type, ...image.geometry.size]).toEqual(['float32', 7, 5, 9]);
        const { data: loaded } = (await image.load()).volume;
        let z = 0;
        for await (const plane of image.planes()) expect(plane).toEqual(loaded.slice(35 * z, 35 * ++z));
        expect(z).toBe(9);
      }
    }
  });

  it('leaves nothing if a plane cannot be made or is not as announced', async () => {
    const geometry: Geometry = { size: [2, 2, 3], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY };
    for (const name of ['a.nii', 'a.nii.gz', 'a.nrrd'])
      for (const components of [1, 3] as const) {
        const target = join(folder, 'failing', name);
        const failing = (z: number): VoxelArray => {
          if (z === 2) throw new RunError('no more');
          return new Float32Array(4 * components);
        };
        await expect(writePlanes(target, { geometry, type: 'float32', components, plane: failing })).rejects.toThrow('no more');
        await expect(writePlanes(target, { geometry, type: 'int16', plane: failing })).rejects.toThrow(RangeError);
        for (const count of [2, 4]) {
          const giving = writingPlanes(target, { geometry, type: 'float32', components }, async (add) => {
            for (let z = 0; z < count; z++) await add(new Float32Array(4 * components));
          });
          await expect(giving).rejects.toThrow(RangeError);
        }
        expect(readdirSync(dirname(target))).toEqual([]);
      }
  });
});

describe('folders', () => {
  it('give every file whose name promises a format that is read, compressed or not, and of a pair its header', async () => {
    const alone = ['nii', 'nii.gz', 'NRRD', 'nrrd.gz', 'nhdr', 'mha', 'mha.gz', 'mhd', 'mgh', 'mgz', 'mgh.gz', 'img'];
    for (const [k, ending] of alone.entries()) put(`found/${k + 10}.${ending}`, 'x');
    for (const name of ['pair.hdr', 'pair.IMG', 'zipped.hdr.gz', 'zipped.img.gz', 'warnings.txt', 'voxels.raw.gz'])
      put(`found/${name}`, 'x');
    const { images, refused } = await findImages(join(folder, 'found'));
    expect(images.map(({ path }) => relative(join(folder, 'found'), path))).toEqual([
      ...alone.map((ending, k) => `${k + 10}.${ending}`),
      'pair.hdr',
      'zipped.hdr.gz',
    ]);
    expect(refused).toEqual([]);
    expect(images.map(({ path }) => imageStem(path))).toEqual([...alone.map((_, k) => `${k + 10}`), 'pair', 'zipped']);
    expect(['a/scan.dcm.nii.gz', 'scan.nrrd.nii', 'scan.dcm', 'scan.v2'].map(imageStem)).toEqual([
      'scan',
      'scan.nrrd',
      'scan',
      'scan.v2',
    ]);
  });

  it('name links that lead nowhere or in circles, and go on', async () => {
    put('links/good.nii', 'x');
    for (const [name, target] of [
      ['broken.nii', 'absent.nii'],
      ['circle.nii', 'circle.nii'],
      ['.hidden', 'absent'],
    ])
      symlinkSync(target, join(folder, 'links', name));
    const { images, refused } = await findImages(join(folder, 'links'));
    expect(images.map(({ path }) => relative(join(folder, 'links'), path))).toEqual(['good.nii']);
    expect(refused.map(({ path, reason }) => [relative(join(folder, 'links'), path), reason])).toEqual([
      ['broken.nii', 'cannot be opened (a broken link?)'],
      ['circle.nii', expect.stringMatching(/ELOOP/)],
    ]);
  });
});
