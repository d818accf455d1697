import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { RunError, UsageError } from '../../common/errors.ts';
import { cornerDistanceMm } from '../../geometry/affine.ts';
import { orientationCode, reorientToRas } from '../../geometry/orientation.ts';
import { statisticsOf } from '../../geometry/statistics.ts';
import type { Geometry, Matrix3, Volume, VoxelArray } from '../../geometry/volume.ts';
import { findImages } from './find.ts';
import { readImage } from './read.ts';
import { writeImage, writeVectorImage } from './write.ts';

const DATA = process.env.GVSL_DATA ?? resolve(import.meta.dirname, '../../../../shared/data');
const noData = !existsSync(join(DATA, 'odd'));
const odd = (...parts: string[]): string => join(DATA, 'odd', ...parts);

const folder = mkdtempSync(join(tmpdir(), 'gvsl-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const OBLIQUE: Matrix3 = [0.36, 0.48, -0.8, -0.8, 0.6, 0, -0.48, -0.64, -0.6];
const grid = (direction: Matrix3): Geometry => ({
  size: [5, 4, 3],
  spacingMm: [0.7, 1.25, 3.5],
  originMm: [-101.5, 33.25, 712],
  direction,
});
const values = (i: number): number => ((i * 37) % 101) - 20;

/** Index of the first voxel that differs, -1 if none does; toEqual is slow on millions of them. */
const firstDifference = (a: VoxelArray, b: VoxelArray): number =>
  a.length === b.length ? a.findIndex((value, i) => value !== b[i]) : 0;

const refusal = async (path: string): Promise<string> => {
  try {
    await readImage(path);
  } catch (error) {
    expect(error).toBeInstanceOf(RunError);
    expect((error as Error).message).toContain(path);
    return (error as Error).message;
  }
  throw new Error(`${path} was read`);
};

describe('writing and reading back', () => {
  const directions: [string, Matrix3][] = [
    ['RAS', [-1, 0, 0, 0, -1, 0, 0, 0, 1]],
    ['negative and permuted', [0, 0, -1, -1, 0, 0, 0, 1, 0]],
    ['oblique', OBLIQUE],
  ];
  for (const ending of ['.nii', '.nii.gz', '.nrrd']) {
    it.each(directions)(`${ending} keeps grid and values: %s`, async (_, direction) => {
      const path = join(folder, `image${ending}`);
      const volume: Volume = { geometry: grid(direction), data: Float32Array.from({ length: 60 }, (_, i) => values(i) / 7) };
      await writeImage(path, volume);
      const back = await readImage(path);
      expect(back.warnings).toEqual([]);
      expect(back.volume.data).toEqual(volume.data);
      expect(back.volume.geometry.size).toEqual(volume.geometry.size);
      expect(cornerDistanceMm(back.volume.geometry, volume.geometry)).toBeLessThan(1e-4);
    });
  }

  it('keeps every number type', async () => {
    for (const type of [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array]) {
      const data: VoxelArray = new type(60);
      for (let i = 0; i < 60; i++) data[i] = Math.abs(values(i));
      await writeImage(join(folder, 'type.nii'), { geometry: grid(OBLIQUE), data });
      const back = (await readImage(join(folder, 'type.nii'))).volume.data;
      expect(back.constructor).toBe(type);
      expect(back).toEqual(data);
    }
  });

  it('keeps a sheared grid in NIfTI, and says so', async () => {
    const geometry = grid([1, 0, 0, 0, 1, Math.sin(0.2), 0, 0, Math.cos(0.2)]);
    await writeImage(join(folder, 'shear.nii'), { geometry, data: new Uint8Array(60) });
    const back = await readImage(join(folder, 'shear.nii'));
    expect(cornerDistanceMm(back.volume.geometry, geometry)).toBeLessThan(1e-4);
    expect(back.warnings.join()).toMatch(/sheared by 11\.5 degrees/);
  });

  it('writes a displacement field as a NIfTI vector image: 5 dimensions, vector intent, LPS components in planes', async () => {
    const path = join(folder, 'field.nii');
    await writeVectorImage(
      path,
      grid(OBLIQUE),
      Float32Array.from({ length: 180 }, (_, i) => i),
    );
    const bytes = readFileSync(path);
    expect([0, 1, 2, 3, 4, 5].map((k) => bytes.readInt16LE(40 + 2 * k))).toEqual([5, 5, 4, 3, 1, 3]);
    expect(bytes.readInt16LE(68)).toBe(1007);
    // all x components first, as the file's fifth dimension is its slowest
    expect([0, 1, 59, 60, 120].map((i) => bytes.readFloatLE(352 + 4 * i))).toEqual([0, 3, 177, 1, 2]);
    expect(await refusal(path)).toMatch(/3 volumes/);
  });

  it('refuses other endings, and leaves nothing behind', async () => {
    const target = join(folder, 'empty', 'image.jpg');
    await expect(writeImage(target, { geometry: grid(OBLIQUE), data: new Uint8Array(60) })).rejects.toThrow(UsageError);
    expect(existsSync(target)).toBe(false);
  });
});

describe('damaged files', () => {
  const damaged = async (name: string, content: Uint8Array): Promise<string> => {
    writeFileSync(join(folder, name), content);
    return refusal(join(folder, name));
  };

  it('are refused with the reason: truncated, empty, junk, another number of voxels', async () => {
    await writeImage(join(folder, 'good.nii'), { geometry: grid(OBLIQUE), data: new Int16Array(60) });
    await writeImage(join(folder, 'good.nrrd'), {
      geometry: grid(OBLIQUE),
      data: Int16Array.from({ length: 60 }, (_, i) => values(i)),
    });
    const nifti = readFileSync(join(folder, 'good.nii'));
    expect(await damaged('cut.nii', nifti.subarray(0, 400))).toMatch(/120 bytes\), but 48 are present/);
    expect(await damaged('cut-header.nii', nifti.subarray(0, 100))).toMatch(/100 bytes, expected a header/);
    expect(await damaged('cut.nii.gz', gzipSync(nifti).subarray(0, 60))).toMatch(/truncated/);
    expect(await damaged('empty.nii.gz', new Uint8Array())).toMatch(/empty/);
    expect(await damaged('junk.nii', Buffer.alloc(500, 'junk'))).toMatch(/not NIfTI/);
    expect(await damaged('junk.mha', Buffer.alloc(500, 'junk'))).toMatch(/not MetaImage/);
    expect(await damaged('junk.mgz', Buffer.alloc(500, 'junk'))).toMatch(/not MGH/);
    expect(await damaged('junk.dcm', Buffer.alloc(500, 'junk'))).toMatch(/not DICOM/);
    expect(await damaged('cut.nrrd', readFileSync(join(folder, 'good.nrrd')).subarray(0, -12))).toMatch(/truncated/);
    const huge = Buffer.from('NRRD0004\ntype: short\ndimension: 3\nsizes: 60000 60000 60000\nencoding: raw\nendian: little\n\n');
    expect(await damaged('huge.nrrd', huge)).toMatch(/too large/);
    expect(await damaged('image.xyz', Buffer.alloc(500, 'junk'))).toMatch(/not a supported format/);
    expect(await refusal(join(folder, 'absent.nii'))).toMatch(/no such file/);
  });
});

describe.skipIf(noData)('real files (needs GVSL_DATA)', () => {
  it('twelve axis orders of one brain become the same RAS volume', async () => {
    const names = readdirSync(odd('orient')).filter((name) => name.endsWith('.nii.gz'));
    expect(names).toHaveLength(12);
    const expected = (await readImage(odd('orient', 'RAS.nii.gz'))).volume;
    for (const name of names) {
      const { volume } = await readImage(odd('orient', name));
      expect(orientationCode(volume.geometry.direction)).toBe(name.slice(0, 3));
      const ras = reorientToRas(volume);
      expect(cornerDistanceMm(ras.geometry, expected.geometry)).toBeLessThan(1e-4);
      expect(firstDifference(ras.data, expected.data)).toBe(-1);
    }
  });

  it('FLAIR.nrrd is FLAIR.nii.gz', async () => {
    const [a, b] = [await readImage(odd('nrrd-mha', 'FLAIR.nrrd')), await readImage(odd('nrrd-mha', 'FLAIR.nii.gz'))];
    expect(firstDifference(a.volume.data, b.volume.data)).toBe(-1);
    expect(cornerDistanceMm(a.volume.geometry, b.volume.geometry)).toBeLessThan(1e-3);
  });

  it('NIfTI-1 and -2 pairs, Analyze pairs and one file in another byte order are the same images', async () => {
    const air = (await readImage(odd('orient', 'AIR.nii.gz'))).volume;
    for (const name of ['air.hdr.gz', 'air.img.gz', 'air2.hdr.gz', 'air2.img.gz']) {
      const { volume } = await readImage(odd('analyze', name));
      expect(firstDifference(volume.data, air.data)).toBe(-1);
      expect(cornerDistanceMm(volume.geometry, air.geometry)).toBeLessThan(1e-3);
    }
    const [big, little] = [await readImage(odd('nifti', 'big.nii.gz')), await readImage(odd('nifti', 'little.nii.gz'))];
    expect(firstDifference(big.volume.data, little.volume.data)).toBe(-1);
    expect(big.volume.geometry).toEqual(little.volume.geometry);
    expect(big.storedType).toBe('float32, big-endian');
  });

  const corrupt: [string, RegExp][] = [
    ['crash-1.nii', /not NIfTI/],
    ['not-nifti.nii', /not NIfTI/],
    ['derived_bad_magic.nii.gz', /magic is "XXXX"/],
    ['derived_empty.nii.gz', /empty/],
    ['derived_huge_dim.nii.gz', /30000 x 30000 x 30000/],
    ['derived_truncated_stream.nii.gz', /truncated/],
    ['derived_bad_crc.nii.gz', /checksum/],
  ];
  it.each(corrupt)('refuses %s', async (name, reason) => {
    expect(await refusal(odd('corrupt', name))).toMatch(reason);
  });

  it('reads what is only incomplete, and says so', async () => {
    expect((await readImage(odd('corrupt', 'derived_no_q_no_sform.nii.gz'))).warnings.join()).toMatch(/no orientation/);
    const zero = await readImage(odd('corrupt', 'derived_zero_pixdim.nii.gz'));
    expect(zero.warnings.join()).toMatch(/voxel size field is 0/);
    expect(zero.volume.geometry.spacingMm).toEqual([1, 1, 1]);
    const nan = await readImage(odd('corrupt', 'derived_nan_inf_voxels.nii.gz'));
    expect(statisticsOf(nan.volume.data).nonFinite).toBe(3);
  });

  it('refuses 4D, unless the first volume is asked for', async () => {
    const path = odd('dim4', 'pcasl.nii.gz');
    expect(await refusal(path)).toMatch(/10 volumes/);
    const first = await readImage(path, { firstVolume: true });
    expect([first.volumesInFile, ...first.volume.geometry.size]).toEqual([10, 52, 68, 20]);
    const all = gunzipSync(readFileSync(path));
    expect(first.volume.data[1000]).toBe(all.readFloatLE(352 + 4000));
  });

  it('reads a JPEG 2000 DICOM series with its spacing, and every syntax of one slice alike', async () => {
    const { volume, modality } = await readImage(join(DATA, 'ct', 'abdomen-dicom-j2k'));
    expect(modality).toBe('CT');
    expect(volume.geometry.size).toEqual([512, 512, 20]);
    [0.9765625, 0.9765625, 2].forEach((s, k) => {
      expect(volume.geometry.spacingMm[k]).toBeCloseTo(s, 6);
    });
    expect(volume.geometry.originMm).toEqual([-249.51171875, -437.51171875, -804.5]);
    const slices = readdirSync(odd('dicom', 'single')).filter((name) => name.startsWith('CTImage'));
    const [a, b, c] = await Promise.all(slices.map((name) => readImage(odd('dicom', 'single', name))));
    for (const other of [b, c]) {
      expect(firstDifference(other.volume.data, a.volume.data)).toBe(-1);
      expect(other.volume.geometry).toEqual(a.volume.geometry);
    }
    const { images } = await findImages(odd('dicom', 'single'));
    const copies = images.find((image) => image.kind === 'dicom' && image.modality === 'CT' && image.files[0].rows === 512);
    expect((await readImage(copies!)).warnings.join()).toMatch(/2 identical copies/);
  });

  it('puts a series with missing slices on a regular grid, and names several series of a folder', async () => {
    const target = join(folder, 'gap');
    mkdirSync(target);
    const whole = await readImage(odd('dicom', 'tiny-17'));
    // slices 1 to 17 along z; the sixth is left out
    for (const name of readdirSync(odd('dicom', 'tiny-17')))
      if (!name.includes('0006')) copyFileSync(odd('dicom', 'tiny-17', name), join(target, name));
    const gap = await readImage(target);
    expect(gap.warnings.join()).toMatch(/2\.00 to 4\.00 mm apart/);
    expect(gap.volume.geometry.size).toEqual([88, 128, 17]);
    expect(cornerDistanceMm(gap.volume.geometry, whole.volume.geometry)).toBeLessThan(1e-3);
    const slice = 88 * 128;
    expect(firstDifference(gap.volume.data.subarray(0, 5 * slice), whole.volume.data.subarray(0, 5 * slice))).toBe(-1);
    copyFileSync(join(odd('dicom', 'chest-16'), '000012.dcm'), join(target, 'other.dcm'));
    expect((await readImage(target)).warnings[0]).toMatch(/2 DICOM series/);
    expect((await findImages(target)).images).toHaveLength(2);
  });
});
