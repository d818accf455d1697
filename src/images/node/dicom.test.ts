import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { applyAffine, physicalToVoxel } from '../../geometry/affine.ts';
import { isInside } from '../../geometry/contours.ts';
import type { Volume } from '../../geometry/volume.ts';
import { readDicomObject } from '../dicom/frames.ts';
import { inMemory } from '../dicom/random-access.ts';
import { type DicomSource, readDicomFile } from '../dicom/sources.ts';
import type { LoadedImage } from '../loaded-image.ts';
import { bareSlice, type Changes, dicomFile, enhancedElements, type SliceFacts, slice } from '../testing/dicom-files.ts';
import { writeDicomSegmentation, writeStructureSet } from './dicom-results.ts';
import { DISK } from './disk.ts';
import { findImages } from './find.ts';
import { readImage } from './read.ts';

const root = mkdtempSync(join(tmpdir(), 'gvsl-dicom-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const [COLUMNS, ROWS] = [12, 10];
const storedOf = (k: number): number[] => Array.from({ length: COLUMNS * ROWS }, (_, i) => ((i * 37 + k * 101) % 1009) - 200);
const facts = (k: number, more: Partial<SliceFacts> = {}): SliceFacts => ({
  columns: COLUMNS,
  rows: ROWS,
  stored: storedOf(k),
  positionMm: [-10, -20, 30 + 2 * k],
  instance: k + 1,
  ...more,
});
/** Writes files below a folder of its own. */
function folderOf(name: string, files: Readonly<Record<string, Uint8Array | string>>): string {
  const folder = join(root, name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}
const series = (nameOf: (k: number) => string, count = 6, more: Partial<SliceFacts> = {}): Record<string, Uint8Array> =>
  Object.fromEntries(Array.from({ length: count }, (_, k) => [nameOf(k), slice(facts(k, more))]));
const only = async (folder: string): Promise<DicomSource> => {
  const { images, refused } = await findImages(folder);
  expect(refused).toEqual([]);
  expect(images).toHaveLength(1);
  expect(images[0].kind).toBe('dicom');
  return images[0] as DicomSource;
};

describe('DICOM files in folders', () => {
  it('are known by content, whatever they are called', async () => {
    const names: ((k: number) => string)[] = [
      (k) => `IM${k}.dcm`,
      (k) => `s${k}.dicm`,
      (k) => `s${k}.dicom`,
      (k) => `1.2.840.113.${k}.img`,
      (k) => `1.2.840.113.${k}`,
      (k) => `.CT..0003.000${k}.2022.03.08.IMA`,
      (k) => `slice${k}.nii`,
      (k) => `Scan ${k} Ä 東京`,
    ];
    for (const [n, nameOf] of names.entries()) {
      const source = await only(folderOf(`names-${n}`, series(nameOf)));
      expect((await readImage(source)).volume.geometry.size).toEqual([COLUMNS, ROWS, 6]);
    }
    const bare = Object.fromEntries([0, 1, 2].map((k) => [`I${k}`, bareSlice(facts(k))]));
    expect((await only(folderOf('bare', bare))).files).toHaveLength(3);
  });

  it('stand beside resource forks, indexes, warnings and hidden files', async () => {
    const folder = folderOf('litter', {
      ...series((k) => `${k}.dcm`),
      '._0.dcm': 'AppleDouble',
      '.DS_Store': 'x',
      '.hidden.nii': 'x',
      'readme.txt': 'text',
      '.0.dcm.0123abcd.part': slice(facts(0)),
      DICOMDIR: slice(facts(0, { changes: { '00080016': ['UI', '1.2.840.10008.1.3.10'] } })),
    });
    expect((await only(folder)).files).toHaveLength(6);
    expect((await findImages(folder)).passedOver.map(({ path, reason }) => [relative(folder, path), reason])).toEqual([
      ['.hidden.nii', 'a hidden file'],
      ['DICOMDIR', 'DICOMDIR (an index of files)'],
    ]);
  });

  it('that are compressed with gzip are named, not lost', async () => {
    const folder = folderOf('gzipped', { 'a.dcm.gz': gzipSync(slice(facts(0))), 'b.dcm': slice(facts(1)) });
    const { images, refused } = await findImages(folder);
    expect([images.length, refused.map(({ path, reason }) => `${basename(path)}: ${reason.slice(0, 34)}`)]).toEqual([
      1,
      ['a.dcm.gz: it is DICOM compressed with gzip: '],
    ]);
    await expect(readImage(join(folder, 'a.dcm.gz'))).rejects.toThrow('a.dcm.gz: it is DICOM compressed with gzip');
  });

  it('of other kinds are skipped by name, and explained when they are asked for', async () => {
    const other = (sopClass: string, modality: string): Uint8Array =>
      slice(facts(9, { changes: { '00080016': ['UI', `1.2.840.10008.5.1.4.1.1.${sopClass}`], '00080060': ['CS', modality] } }));
    const colours: Changes = {
      '00280002': ['US', 3],
      '00280004': ['CS', 'RGB'],
      '7fe00010': ['OW', new Uint8Array(COLUMNS * ROWS * 6)],
    };
    const folder = folderOf('kinds', {
      ...series((k) => `${k}.dcm`),
      'seg.dcm': other('66.4', 'SEG'),
      'dose.dcm': other('481.2', 'RTDOSE'),
      'report.dcm': other('88.33', 'SR'),
      'shot.dcm': slice(facts(8, { changes: colours })),
    });
    const reasons = (await findImages(folder)).passedOver.map(({ reason }) => reason);
    expect(reasons.join()).toMatch(/RTDOSE \(dose, not an image\).*structured report.*SEG.*colours \(RGB/);
    expect((await readImage(folder)).volume.geometry.size).toEqual([COLUMNS, ROWS, 6]);
    await expect(readImage(join(folder, 'seg.dcm'))).rejects.toThrow(/seg\.dcm: DICOM SEG \(segmentation\): not an image/);
  });

  it('of one series are one image wherever they lie, and two where they form no grid together', async () => {
    const split = folderOf(
      'split',
      series((k) => `DIR00${k >> 2}/${k % 4}`, 8),
    );
    const source = await only(split);
    expect([source.path, source.name, source.modality, source.stack.frames.length]).toEqual([split, '', 'CT', 8]);
    expect((await readImage(split)).volume.geometry.size[2]).toBe(8);
    // one UID for two patients: a faulty anonymiser
    const two = folderOf('two-patients', {
      ...series((k) => `a/${k}`),
      ...Object.fromEntries([0, 1, 2].map((k) => [`b/${k}`, slice(facts(k, { stored: storedOf(k + 50), instance: 90 + k }))])),
    });
    const { images } = await findImages(two);
    expect(images.map(({ path }) => relative(two, path))).toEqual(['a', 'b']);
    await expect(readImage(two)).rejects.toThrow(/holds 2 volumes/);
    // a backup beside the original
    const backup = folderOf('backup', { ...series((k) => `a/${k}`), ...series((k) => `z/${k}`) });
    expect((await only(backup)).path).toBe(join(backup, 'a'));
    expect((await readImage(await only(backup))).warnings.join()).toMatch(/6 identical copies of its files ignored/);
  });

  it('that are phases of one series are named and chosen apart', async () => {
    const phase = (n: number, offset: number): Record<string, Uint8Array> =>
      Object.fromEntries(
        [0, 1, 2, 3].map((k) => [
          `p${n}-${k}`,
          slice(
            facts(k, { instance: 10 * n + k, positionMm: [0, 0, 2 * k + offset], changes: { '00200012': ['IS', String(n)] } }),
          ),
        ]),
      );
    const folder = folderOf('phases', { ...phase(1, 0), ...phase(2, 1) });
    const { images } = await findImages(folder);
    expect(images.map((image) => image.kind === 'dicom' && [image.name, image.stack.distinction])).toEqual([
      ['series-1', 'acquisition number 1'],
      ['series-2', 'acquisition number 2'],
    ]);
    expect((await readImage(images[0])).warnings.join()).toMatch(/one of 2 volumes of its series: acquisition number 1/);
    await expect(readImage(folder)).rejects.toThrow(/acquisition number 1 \(4 slices\)/);
  });

  it('that share a SOP Instance UID at different positions are read, and that is said', async () => {
    const folder = folderOf(
      'one-uid',
      series((k) => `${k}.dcm`, 6, { instance: 1 }),
    );
    const image = await readImage(await only(folder));
    expect(image.volume.geometry.size[2]).toBe(6);
    expect(image.warnings.join()).toMatch(/6 different files of it share SOP Instance UIDs with others/);
  });

  it('read by relative and linked paths, and are refused one by one without permission', async () => {
    const folder = folderOf(
      'paths with space/Ünïcode',
      series((k) => `${k}.dcm`),
    );
    const image = await readImage(relative(process.cwd(), folder));
    symlinkSync(folder, join(root, 'link'));
    expect((await readImage(join(root, 'link'))).volume).toEqual(image.volume);
    const cut = folderOf('cut', { ...series((k) => `${k}.dcm`), '3.dcm': slice(facts(3)).subarray(0, -8) });
    await expect(readImage(cut)).rejects.toThrow(/3\.dcm: .*truncated/);
    if (process.getuid?.() === 0) return;
    chmodSync(join(folder, '2.dcm'), 0);
    expect((await findImages(folder)).refused[0].reason).toMatch(/no permission/);
  });
});

const has = (program: string): boolean => spawnSync('which', [program]).status === 0;
const python = '/usr/bin/python3';
const hasPydicom = existsSync(python) && spawnSync(python, ['-c', 'import pydicom, numpy']).status === 0;

/** A slice of smooth content, as lossy codecs expect it. */
const smooth = (bits: number, signed: boolean): number[] =>
  Array.from({ length: 61 * 75 }, (_, i) => {
    const value = Math.floor((2 ** bits - 1) * (0.5 + 0.4 * Math.sin((i % 75) / 7) * Math.cos(i / 75 / 5)));
    return value - (signed ? 2 ** (bits - 1) : 0);
  });

const bitsOf = (bits: number, signed: boolean): Uint8Array => {
  const stored = smooth(bits, signed);
  const changes: Changes = {
    '00280101': ['US', bits],
    '00280102': ['US', bits - 1],
    ...(bits === 8 ? { '00280100': ['US', 8], '7fe00010': ['OB', Uint8Array.from([...stored, 0])] } : {}),
  };
  return slice({ columns: 75, rows: 61, stored, signed, changes });
};
const worst = (a: Volume, b: Volume): number => Math.max(...Array.from(a.data, (value, i) => Math.abs(value - b.data[i])));

describe('compressed frames', () => {
  /** Programs that compress with another implementation than ours, and by how much the result may differ from theirs decompressed. */
  const programs: [string, string[], string[], number][] = [
    ['dcmcjpeg', ['+e1'], ['dcmdjpeg'], 0],
    ['dcmcjpeg', ['+el'], ['dcmdjpeg'], 0],
    ['dcmcjpeg', ['+eb'], ['dcmdjpeg'], 1],
    ['dcmcjpeg', ['+ee'], ['dcmdjpeg'], 1],
    ['dcmcjpls', ['+el'], ['dcmdjpls'], 0],
    ['dcmcjpls', ['+en'], ['dcmdjpls'], 0],
    ['dcmcrle', [], ['dcmdrle'], 0],
    ['dcmconv', ['+tb'], ['dcmconv', '+te'], 0],
    ['dcmconv', ['+ti'], ['dcmconv', '+te'], 0],
    ['dcmconv', ['+td'], ['dcmconv', '+te'], 0],
    ['gdcmconv', ['--j2k'], ['gdcmconv', '--raw'], 0],
    ['gdcmconv', ['--jpegls'], ['gdcmconv', '--raw'], 0],
    ['gdcmconv', ['--jpeg'], ['gdcmconv', '--raw'], 0],
  ];
  for (const [program, options, [back, ...backOptions], tolerance] of programs) {
    it.skipIf(!has(program))(`are what the decoder of ${program} ${options.join(' ')} gives (needs DCMTK, GDCM)`, async () => {
      let tried = 0;
      for (const [bits, signed] of [
        [8, false],
        [10, false],
        [12, false],
        [12, true],
        [16, false],
        [16, true],
      ] as const) {
        const [raw, packed, plain] = ['raw', 'packed', 'plain'].map((name) =>
          join(root, `${program}${options.join('')}-${bits}${signed}-${name}`),
        );
        writeFileSync(raw, bitsOf(bits, signed));
        // not every program takes every depth
        if (
          spawnSync(program, [...options, raw, packed]).status !== 0 ||
          spawnSync(back, [...backOptions, packed, plain]).status !== 0
        )
          continue;
        const [ours, theirs] = [await readDicomFile(DISK, packed), await readDicomFile(DISK, plain)];
        // lossy JPEG of more bits is rescaled by its encoder: a step is its slope
        const slope = Number(/x ([\d.]+)/.exec(theirs.storedType)?.[1] ?? 1);
        expect(worst(ours.volume, theirs.volume), `${bits} bits`).toBeLessThanOrEqual(tolerance * slope + 1e-3);
        tried++;
      }
      expect(tried).toBeGreaterThan(2);
    });
  }

  it('of HTJ2K decode to what was encoded', async () => {
    const { default: factory } = await import('@cornerstonejs/codec-openjph/wasmjs');
    const module = (await factory({ print: () => {}, printErr: () => {} })) as unknown as Record<string, new () => HtEncoder>;
    const encoder = new module.HTJ2KEncoder();
    const stored = smooth(12, false);
    const info = { width: 75, height: 61, bitsPerSample: 12, componentCount: 1, isSigned: false, isUsingColorTransform: false };
    encoder.getDecodedBuffer(info).set(new Uint8Array(Uint16Array.from(stored).buffer));
    encoder.setQuality(true, 0);
    encoder.encode();
    const { fragmented, sliceElements } = await import('../testing/dicom-files.ts');
    const encoded = encoder.getEncodedBuffer().slice();
    const padded = encoded.length % 2 ? Uint8Array.from([...encoded, 0]) : encoded;
    const path = join(root, 'htj2k');
    const elements = sliceElements({
      columns: 75,
      rows: 61,
      stored,
      signed: false,
      changes: { '00280101': ['US', 12], '00280102': ['US', 11] },
    });
    writeFileSync(path, fragmented(elements, '1.2.840.10008.1.2.4.201', [], [padded]));
    expect(Array.from((await readDicomFile(DISK, path)).volume.data)).toEqual(stored);
    writeFileSync(path, fragmented(elements, '1.2.840.10008.1.2.4.201', [], [padded.subarray(0, 1000)]));
    await expect(readDicomFile(DISK, path)).rejects.toThrow(/no end marker: truncated/);
  });

  it.skipIf(!has('gdcmconv'))('that are cut or changed are refused in words (needs GDCM, DCMTK)', async () => {
    let [read, refused] = [0, 0];
    const reader = (seed: number) => (seed * 2654435761) % 4294967296;
    for (const [program, option] of [
      ['gdcmconv', '--j2k'],
      ['dcmcjpls', '+el'],
      ['dcmcjpeg', '+e1'],
      ['dcmcjpeg', '+eb'],
      ['dcmcjpeg', '+ee'],
    ]) {
      const [raw, packed] = [join(root, 'm-raw'), join(root, `m-${program}${option}`)];
      writeFileSync(raw, bitsOf(12, false));
      if (spawnSync(program, [option, raw, packed]).status !== 0) continue;
      const bytes = readFileSync(packed);
      for (let n = 0; n < 20; n++) {
        const changed = Buffer.from(bytes);
        for (let k = 0; k < 6; k++) changed[1000 + (reader(n * 31 + k * 7 + 1) % (bytes.length - 1000))] = reader(n + k) % 256;
        writeFileSync(packed, n % 4 === 0 ? bytes.subarray(0, 1000 + (reader(n + 3) % (bytes.length - 1000))) : changed);
        try {
          await readDicomFile(DISK, packed);
          read++;
        } catch (error) {
          expect(error).toBeInstanceOf(RunError);
          refused++;
        }
      }
    }
    expect(read + refused).toBeGreaterThan(20);
    expect(refused).toBeGreaterThan(5);
  });
});

interface HtEncoder {
  getDecodedBuffer(info: object): Uint8Array;
  setQuality(reversible: boolean, quality: number): void;
  encode(): void;
  getEncodedBuffer(): Uint8Array;
}

describe('against other readers', () => {
  it.skipIf(!hasPydicom)('values and positions are what pydicom gives (needs pydicom)', async () => {
    const slopes = [0.37, 1, 0.52, 1.73, 0.011, 2.4];
    const single = folderOf(
      'pydicom',
      Object.fromEntries(slopes.map((slope, k) => [`${k}.dcm`, slice(facts(k, { slope, intercept: k - 3 }))])),
    );
    const frames = [3, 0, 2, 1].map((k) => ({ positionMm: [1, 2, 3 * k], stored: storedOf(k), slope: 1 + k / 8, intercept: -k }));
    const multi = folderOf('pydicom-enhanced', { 'e.dcm': dicomFile(enhancedElements(COLUMNS, ROWS, frames)) });
    const script = `
import sys, json, pydicom
out = []
for path in sys.argv[1:]:
    d = pydicom.dcmread(path)
    if 'PerFrameFunctionalGroupsSequence' in d:
        for k, f in enumerate(d.PerFrameFunctionalGroupsSequence):
            t = f.PixelValueTransformationSequence[0]
            out.append([float(f.PlanePositionSequence[0].ImagePositionPatient[2]), (d.pixel_array[k] * float(t.RescaleSlope) + float(t.RescaleIntercept)).ravel().tolist()])
    else:
        out.append([float(d.ImagePositionPatient[2]), (d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)).ravel().tolist()])
print(json.dumps(out))`;
    for (const folder of [single, multi]) {
      const paths = readdirSync(folder).map((name) => join(folder, name));
      const expected = JSON.parse(execFileSync(python, ['-c', script, ...paths], { encoding: 'utf8' })) as [number, number[]][];
      const image: LoadedImage = await readImage(folder);
      expected.sort(([a], [b]) => a - b);
      expect(image.volume.geometry.originMm[2]).toBe(expected[0][0]);
      const all = expected.flatMap(([, values]) => values);
      expect(image.volume.data.length).toBe(all.length);
      expect(Math.max(...all.map((value, i) => Math.abs(value - image.volume.data[i])))).toBeLessThan(1e-3);
    }
  });
});

describe('DICOM SEG', () => {
  const write = async (
    name: string,
    changes: Changes = {},
    writer: typeof writeDicomSegmentation = writeDicomSegmentation,
  ): Promise<{ path: string; labels: Volume }> => {
    const tilted = Object.fromEntries(
      [0, 1, 2, 3, 4].map((k) => [
        `${k}.dcm`,
        slice(facts(k, { positionMm: [-10, -20 + 0.3 * k, 30 + 2 * k], changes: { '00081030': ['LO', 'Thorax'], ...changes } })),
      ]),
    );
    const source = await only(folderOf(name, tilted));
    const { geometry } = (await readImage(source)).volume;
    const labels: Volume = {
      geometry,
      data: Uint16Array.from({ length: 5 * COLUMNS * ROWS }, (_, i) => (i < 300 || i % 7 === 0 ? 0 : i % 3 ? 3 : 7)),
    };
    const path = join(root, `${name}.dcm`);
    const segments = [
      { code: 3, name: 'linker Vorhof äöü', colour: [255, 0, 0] },
      { code: 5, name: 'absent', colour: [0, 0, 0] },
      { code: 7, name: 'aorta', colour: [0, 200, 50] },
    ] as const;
    await writer(path, labels, segments, source);
    return { path, labels };
  };

  it('is known for what it is, beside its series too, and needs a voxel', async () => {
    const { path } = await write('seg');
    const object = await readDicomObject(inMemory(path, readFileSync(path)));
    expect(object).toEqual({ kind: 'other', what: 'DICOM SEG (segmentation)' });
    const source = await only(join(root, 'seg'));
    const { geometry } = (await readImage(source)).volume;
    const empty: Volume = { geometry, data: new Uint8Array(5 * COLUMNS * ROWS) };
    await expect(
      writeDicomSegmentation(join(root, 'none.dcm'), empty, [{ code: 1, name: 'a', colour: [1, 1, 1] }], source),
    ).rejects.toThrow(/none\.dcm: nothing to write/);
    expect(existsSync(join(root, 'none.dcm'))).toBe(false);
  });

  it.each([
    ['0020000d', 'Study Instance UID'],
    ['0020000e', 'Series Instance UID'],
    ['00080016', 'SOP Class UID'],
    ['00080018', 'SOP Instance UID'],
  ])('refers to no slice that does not say its %s', async (tag, name) => {
    for (const [writer, what] of [
      [writeDicomSegmentation, 'DICOM SEG'],
      [writeStructureSet, 'RT Structure Set'],
    ] as const) {
      const file = `without-${tag}-${what.replaceAll(' ', '')}`;
      const refused = `${file}.dcm: its series has no ${name}, which ${what} needs`;
      await expect(write(file, { [tag]: ['UI', ''] }, writer)).rejects.toThrow(refused);
      expect(existsSync(join(root, `${file}.dcm`))).toBe(false);
    }
  });

  it.skipIf(!has('dciodvfy'))('has no error for dciodvfy (needs dicom3tools)', async () => {
    const { path } = await write('seg-checked');
    const { stderr, stdout } = spawnSync('dciodvfy', [path], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`).toMatch(/Segmentation/);
    expect(`${stdout}${stderr}`).not.toMatch(/Error/);
  });

  it.skipIf(!hasPydicom)('gives pydicom the label map back: frames, positions, segments (needs pydicom)', async () => {
    const { path, labels } = await write('seg-read');
    const script = `
import sys, json, pydicom
d = pydicom.dcmread(sys.argv[1])
print(json.dumps({
  'study': str(d.StudyDescription), 'names': [str(s.SegmentLabel) for s in d.SegmentSequence],
  'codes': [int(s.SegmentedPropertyTypeCodeSequence[0].CodeValue) for s in d.SegmentSequence],
  'frames': [{'segment': int(f.SegmentIdentificationSequence[0].ReferencedSegmentNumber), 'position': [float(x) for x in f.PlanePositionSequence[0].ImagePositionPatient],
    'source': str(f.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID), 'pixels': d.pixel_array[k].ravel().tolist()} for k, f in enumerate(d.PerFrameFunctionalGroupsSequence)]}))`;
    const read = JSON.parse(execFileSync(python, ['-c', script, path], { encoding: 'utf8' })) as {
      study: string;
      names: string[];
      codes: number[];
      frames: { segment: number; position: number[]; source: string; pixels: number[] }[];
    };
    expect([read.study, ...read.names]).toEqual(['Thorax', 'linker Vorhof äöü', 'aorta']);
    const back = new Uint16Array(labels.data.length);
    for (const { segment, position, source, pixels } of read.frames) {
      const z = Math.round((position[2] - 30) / 2);
      expect(position[1]).toBeCloseTo(-20 + 0.3 * z, 6);
      expect(source).toMatch(new RegExp(`\\.${z + 1}$`));
      pixels.forEach((value, i) => {
        if (value) back[z * COLUMNS * ROWS + i] = read.codes[segment - 1];
      });
    }
    expect(back).toEqual(labels.data);
  });

  it.skipIf(!has('dciodvfy'))('as contours too has no error for dciodvfy (needs dicom3tools)', async () => {
    const { path } = await write('rt-checked', {}, writeStructureSet);
    const { stderr, stdout } = spawnSync('dciodvfy', [path], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`).toMatch(/RTStructureSet/);
    expect(`${stdout}${stderr}`).not.toMatch(/Error/);
  });

  it.skipIf(!hasPydicom)('as contours gives pydicom every voxel back (needs pydicom)', async () => {
    const { path, labels } = await write('rt-read', {}, writeStructureSet);
    const script = `
import sys, json, pydicom
d = pydicom.dcmread(sys.argv[1])
f = d.ReferencedFrameOfReferenceSequence[0]
assert all(r.ReferencedFrameOfReferenceUID == f.FrameOfReferenceUID for r in d.StructureSetROISequence)
print(json.dumps({
  'names': [str(r.ROIName) for r in d.StructureSetROISequence], 'codes': [int(r.ROIDescription.split()[1]) for r in d.StructureSetROISequence],
  'images': len(f.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence),
  'contours': [{'roi': int(r.ReferencedROINumber), 'points': [float(x) for x in c.ContourData], 'count': int(c.NumberOfContourPoints),
    'image': str(c.ContourImageSequence[0].ReferencedSOPInstanceUID)} for r in d.ROIContourSequence for c in r.ContourSequence]}))`;
    const read = JSON.parse(execFileSync(python, ['-c', script, path], { encoding: 'utf8' })) as {
      names: string[];
      codes: number[];
      images: number;
      contours: { roi: number; points: number[]; count: number; image: string }[];
    };
    expect([read.names, read.images]).toEqual([['linker Vorhof äöü', 'aorta'], 5]);
    const back = new Uint16Array(labels.data.length);
    const toVoxel = physicalToVoxel(labels.geometry);
    for (const { roi, points, count, image } of read.contours) {
      expect(points.length).toBe(3 * count);
      const corners = Array.from({ length: count }, (_, i) =>
        applyAffine(toVoxel, [points[3 * i], points[3 * i + 1], points[3 * i + 2]]),
      );
      const z = Math.round(corners[0][2]);
      for (const corner of corners) expect(corner[2]).toBeCloseTo(z, 2);
      expect(image).toMatch(new RegExp(`\\.${z + 1}$`));
      const polygon = Float64Array.from(corners.flatMap((corner) => [corner[0], corner[1]]));
      for (let i = 0; i < COLUMNS * ROWS; i++)
        if (isInside(i % COLUMNS, Math.floor(i / COLUMNS), [polygon])) back[z * COLUMNS * ROWS + i] = read.codes[roi - 1];
    }
    expect(back).toEqual(labels.data);
  });
});
