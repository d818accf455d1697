/**
 * Files as people have them, in the page: every format and DICOM folders lie where the command line has them, several images, several channels, and
 * what registration shows. Skips, saying so, where there is no Chromium.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { unzipSync } from 'fflate';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, SOFTWARE_WEBGL } from '../scripts/chromium.mjs';
import { segmentImages } from '../src/apply/node/segment.ts';
import { SILENT } from '../src/common/progress.ts';
import { applyAffine, physicalToVoxel, voxelToPhysical } from '../src/geometry/affine.ts';
import type { Volume, Xyz } from '../src/geometry/volume.ts';
import { readNiftiFile, writeNiftiFile } from '../src/images/nifti-file.ts';
import { niftiHeader } from '../src/images/nifti-writing.ts';
import { readImage } from '../src/images/node/read.ts';
import { writeImage } from '../src/images/node/write.ts';
import { fragmented, type SliceFacts, slice, sliceElements } from '../src/images/testing/dicom-files.ts';
import type { ModelConfiguration } from '../src/model/configuration.ts';
import { writeTinyModel } from '../src/model/node/interchange/testing/tiny-model.ts';
import { renderSubject } from '../src/phantom/subject.ts';
import { createBackend } from '../src/platform/node/backends.ts';
import { type PageServer, servePage } from '../src/platform/node/page-server.ts';
import { PAGE, SKIPPED } from './built-page.ts';

const CODES = [0, 205, 420];

/** What the page offers to scripts. */
interface Api {
  readonly gvsl: {
    readonly workspace: {
      readonly first: { readonly id: number; readonly title: string };
      readonly images: readonly { readonly title: string }[];
      readonly busy: boolean;
      niftiOf(image: unknown): Promise<Blob>;
    };
    readonly viewer: { valueAt(point: readonly number[]): number | null; point(): Xyz };
    readonly ready: boolean;
  };
}

interface Encoder {
  getDecodedBuffer(info: object): Uint8Array;
  setQuality(reversible: boolean, quality: number): void;
  encode(): void;
  getEncodedBuffer(): Uint8Array;
}

/** A slice whose frame is HTJ2K. */
async function highThroughputSlice(facts: SliceFacts): Promise<Uint8Array> {
  const { default: factory } = await import('@cornerstonejs/codec-openjph/wasmjs');
  const module = (await factory({ print: () => {}, printErr: () => {} })) as unknown as Record<string, new () => Encoder>;
  const encoder = new module.HTJ2KEncoder();
  const [width, height] = [facts.columns, facts.rows];
  const info = { width, height, bitsPerSample: 12, componentCount: 1, isSigned: false, isUsingColorTransform: false };
  encoder.getDecodedBuffer(info).set(new Uint8Array(Uint16Array.from(facts.stored).buffer));
  encoder.setQuality(true, 0);
  encoder.encode();
  const encoded = encoder.getEncodedBuffer().slice();
  const padded = encoded.length % 2 ? Uint8Array.from([...encoded, 0]) : encoded;
  return fragmented(sliceElements(facts), '1.2.840.10008.1.2.4.201', [], [padded]);
}

describe.skipIf(SKIPPED !== '')(`files in the page${SKIPPED}`, () => {
  let folder: string;
  let browser: Browser;
  let server: PageServer;
  let page: Page;
  let heart: Volume;
  const complaints: string[] = [];
  const text = async (id: string): Promise<string> => (await page.locator(`#${id}`).textContent()) ?? '';
  const saying = (id: string, pattern: RegExp): Promise<void> =>
    expect.poll(() => text(id), { timeout: 240_000, interval: 100 }).toMatch(pattern);
  const atRest = () => page.waitForFunction(() => !(globalThis as unknown as Api).gvsl.workspace.busy);

  /** Writes a volume as a DICOM series: oblique slices, each a file. */
  async function writeSeries(at: string, { geometry, data }: Volume, series: string): Promise<void> {
    await mkdir(at, { recursive: true });
    const [columns, rows, slices] = geometry.size;
    const d = geometry.direction;
    for (let k = 0; k < slices; k++) {
      const stored = Int16Array.from(data.subarray(k * columns * rows, (k + 1) * columns * rows));
      const bytes = slice({
        columns,
        rows,
        stored,
        positionMm: applyAffine(voxelToPhysical(geometry), [0, 0, k]),
        instance: 100 * Number(series) + k,
        series,
        changes: {
          '00200037': ['DS', [d[0], d[3], d[6], d[1], d[4], d[7]].map((value) => +value.toFixed(10))],
          '00280030': ['DS', [geometry.spacingMm[1], geometry.spacingMm[0]]],
          '0008103e': ['LO', `series ${series}`],
        },
      });
      await writeFile(join(at, `IM${k}`), bytes);
    }
  }

  /** That the first image of the page is the one that the command line reads: grid, values, and what the viewer shows of it. */
  async function expectShown(path: string | Parameters<typeof readImage>[0], channel?: number): Promise<void> {
    const { volume } = await readImage(path, channel === undefined ? {} : { channel });
    const base64 = await page.evaluate(async () => {
      const { workspace } = (globalThis as unknown as Api).gvsl;
      const bytes = new Uint8Array(await (await workspace.niftiOf(workspace.first)).arrayBuffer());
      let binary = '';
      for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
      return btoa(binary);
    });
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    const shown = (await readNiftiFile('shown.nii', bytes.buffer)).volume;
    expect(shown.geometry.size).toEqual(volume.geometry.size);
    for (const key of ['spacingMm', 'originMm', 'direction'] as const)
      shown.geometry[key].forEach((value, i) => {
        expect(value, key).toBeCloseTo(volume.geometry[key][i], 4);
      });
    expect([...shown.data]).toEqual([...volume.data]);
    const [nx, ny, nz] = volume.geometry.size;
    const voxels: Xyz[] = [
      [1, 2, nz >> 1],
      [nx - 2, 2, 1],
      [nx >> 1, ny - 3, nz >> 1],
      [2, ny >> 1, nz - 2],
    ];
    const points = voxels.map((voxel) => applyAffine(voxelToPhysical(volume.geometry), voxel));
    const values = await page.evaluate(
      (asked) => asked.map((point) => (globalThis as unknown as Api).gvsl.viewer.valueAt(point)),
      points,
    );
    expect(values).toEqual(voxels.map(([i, j, k]) => volume.data[(k * ny + j) * nx + i]));
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-files-'));
    const { image } = renderSubject({ kind: 'heart-ct', seed: 3, subject: 1, spacingMm: 10 });
    // oblique, with three spacings
    const [c, s] = [Math.cos(0.2), Math.sin(0.2)];
    heart = {
      geometry: { ...image.geometry, spacingMm: [9, 10, 11], direction: [c, 0, s, 0, 1, 0, -s, 0, c] },
      data: image.data,
    };
    const preprocessing: ModelConfiguration['preprocessing'] = {
      modality: 'ct',
      spacingMm: [10, 10, 10],
      intensity: 'minmax',
      crop: 'none',
    };
    const labels = CODES.map((code) => ({ code, name: code === 0 ? 'background' : `structure ${code}` }));
    const task: ModelConfiguration['task'] = { kind: 'segmentation', labels, patch: [16, 16, 16] };
    await writeTinyModel(join(folder, 'model'), { segmentation: CODES.length }, { preprocessing, task });
    const channels = ['native', 'late'].map((name, number) => ({ name, number, scale: 'hounsfield' as const }));
    const two = { preprocessing: { ...preprocessing, channels }, task };
    await writeTinyModel(join(folder, 'two'), { segmentation: CODES.length }, two);

    server = await servePage(PAGE, 0);
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: SOFTWARE_WEBGL });
    page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
    page.setDefaultTimeout(120_000);
    page.on('pageerror', ({ message }) => complaints.push(message));
    await page.goto(server.url);
    await page.waitForFunction(() => (globalThis as unknown as Partial<Api>).gvsl?.ready);
    await page.selectOption('#backend', 'cpu');
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('shows every way through a registration: before and after, checkerboard, difference, grid, folds', async () => {
    expect(await text('registration-memory')).toMatch(/^Memory, at most: registering \d.*; 4 GiB can be addressed/);
    expect(await text('apply-memory')).toMatch(/features \d.* Open images hold/);
    await page.click('#register');
    await saying('registration-status', /done in/);
    expect(await text('folds-text')).toMatch(/^Folded: \d+ voxels, [\d.]+ %\. Jacobian determinant .* mm on average/);
    const picture = async (): Promise<string> => (await page.locator('#viewer-registration').screenshot()).toString('base64');
    const seen = new Set([await picture()]);
    await page.locator('#view').press('b');
    expect(await text('before')).toBe('Show after (B)');
    seen.add(await picture());
    await page.locator('#view').press('b');
    for (const view of ['checkerboard', 'difference', 'grid', 'folds']) {
      await page.selectOption('#view', view);
      await atRest();
      seen.add(await picture());
      if (view === 'grid') expect(await page.inputValue('#slices')).toBe('axial');
    }
    expect(await page.inputValue('#slices')).toBe('all');
    // every one is a picture of its own
    expect(seen.size).toBe(6);
    await page.selectOption('#view', 'checkerboard');
    await atRest();
    const wide = await picture();
    await page.fill('#cell', '40');
    await page.locator('#cell').press('Tab');
    await atRest();
    expect(await picture()).not.toBe(wide);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#field-save')]);
    expect(download.suggestedFilename()).toBe('patient_2_on_patient_1_field.nii.gz');
  }, 300_000);

  it('reads NRRD, MetaImage and MGH as the command line does, and lists what is open', async () => {
    const { size, spacingMm } = heart.geometry;
    await writeImage(join(folder, 'heart.nrrd'), heart);
    await writeImage(join(folder, 'heart.nii.gz'), heart);
    const raw = new Uint8Array(Int16Array.from(heart.data).buffer);
    const header = [
      'ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False',
      'TransformMatrix = 0 1 0 -1 0 0 0 0 1\nOffset = 1 2 3',
      `ElementSpacing = ${spacingMm.join(' ')}\nDimSize = ${size.join(' ')}\nElementType = MET_SHORT\nElementDataFile = heart.raw\n`,
    ];
    await writeFile(join(folder, 'heart.mhd'), header.join('\n'));
    await writeFile(join(folder, 'heart.raw'), raw);
    const mgh = new Uint8Array(284 + raw.length);
    const view = new DataView(mgh.buffer);
    for (const [k, value] of [1, ...size, 1, 4].entries()) view.setInt32(4 * k, value);
    view.setInt16(28, 1);
    for (const [k, value] of [...spacingMm, -1, 0, 0, 0, 0, -1, 0, 1, 0, 3, 4, 5].entries()) view.setFloat32(30 + 4 * k, value);
    mgh.set(Buffer.from(raw).swap16(), 284);
    await writeFile(join(folder, 'heart.mgz'), gzipSync(mgh));
    for (const [name, others] of [
      ['heart.nrrd', []],
      ['heart.mgz', []],
      ['heart.mhd', ['heart.raw']],
    ] as const) {
      await page.setInputFiles(
        '#image',
        [name, ...others].map((file) => join(folder, file)),
      );
      await saying('image-text', new RegExp(`^${name.replace('.', '\\.')}: ${size.join(' x ')} voxels`));
      await atRest();
      await expectShown(join(folder, name));
    }
    // a header without its voxels says what to do
    await page.setInputFiles('#image', join(folder, 'heart.mhd'));
    await saying('image-text', /heart\.mhd: its data file "heart\.raw" is missing: .*; choose it together with this file/);
    const titles = await page.locator('#images tbody td:nth-child(3)').allInnerTexts();
    expect(titles).toEqual(['heart.nrrd', 'heart.mgz', 'heart.mhd']);
    // by the list: which is first, and away
    await page.getByLabel('first image: heart.nrrd').check();
    await atRest();
    await expectShown(join(folder, 'heart.nrrd'));
    for (const name of ['heart.mgz', 'heart.mhd']) {
      await page.getByLabel(`close ${name}`).click();
      await atRest();
    }
    expect(await page.locator('#images tbody tr').count()).toBe(1);
  }, 240_000);

  it('tells position and value under the crosshair of voxels and values that are small', async () => {
    // as maps of diffusion in mm2/s have them
    const diffusion: Volume = {
      geometry: { ...heart.geometry, spacingMm: [0.25, 0.25, 0.5] },
      data: Float32Array.from(heart.data, (value) => (value + 1100) * 1e-6),
    };
    await writeImage(join(folder, 'diffusion.nii'), diffusion);
    await page.setInputFiles('#image', join(folder, 'diffusion.nii'));
    await saying('image-text', /^diffusion\.nii: /);
    await atRest();
    const [nx, ny] = heart.geometry.size;
    for (const key of ['l', 'k', 'u', 'Shift+KeyL']) {
      await page.locator('#viewer').press(key);
      const [, x, y, z, value] = (await text('place')).match(/^(\S+), (\S+), (\S+) mm \(RAS\): (\S+)$/)!.map(Number);
      const point = await page.evaluate(() => (globalThis as unknown as Api).gvsl.viewer.point());
      [-x, -y, z].forEach((at, axis) => {
        expect(Math.abs(at - point[axis])).toBeLessThan(0.051);
      });
      const [i, j, k] = applyAffine(physicalToVoxel(diffusion.geometry), point).map(Math.round);
      expect(value).toBeCloseTo(diffusion.data[(k * ny + j) * nx + i], 8);
    }
    // of the next image that is shown there, not of this one
    const before = await text('place');
    await page.getByLabel('close diffusion.nii').click();
    await atRest();
    await expect.poll(() => text('place')).toMatch(/ mm \(RAS\): -?\d+$/);
    expect(await text('place')).not.toBe(before);
  });

  it('says of images that no page can hold, and that graphics cannot show, how large they are and what to do', async () => {
    // its header alone: the voxels are not asked for
    const header = niftiHeader({ ...heart.geometry, size: [1200, 1100, 1000] }, 'int16', 'scalar');
    await page.setInputFiles('#image', { name: 'huge.nii', mimeType: '', buffer: Buffer.from(header) });
    await saying('image-text', /huge\.nii: its 1200 x 1100 x 1000 voxels take 2\.46 GiB, and a page can address 2 GiB: crop/);
    const shown = page.locator('#viewer-text');
    const path = join(folder, 'large.nii.gz');
    await writeImage(path, heart);
    // as WebGL says that there is no room for a texture
    await page.evaluate(`{
      const { gl } = gvsl.viewer.niivue;
      const { texStorage3D, getError } = gl;
      let isFull = false;
      gl.texStorage3D = (...args) => { isFull = true; texStorage3D.apply(gl, args); };
      gl.getError = () => { const error = isFull ? gl.OUT_OF_MEMORY : getError.call(gl); isFull = false; return error; };
      gvsl.restore = () => Object.assign(gl, { texStorage3D, getError });
    }`);
    await page.setInputFiles('#image', path);
    await saying('image-text', /large\.nii\.gz: .* voxels/);
    await expect.poll(() => shown.textContent()).toMatch(/too large for the graphics memory here: it is not shown/);
    await page.evaluate('gvsl.restore()');
    await page.getByLabel('first image: heart.nrrd').check();
    await expect.poll(() => shown.isVisible()).toBe(false);
  }, 240_000);

  it('asks which volume of a file of several is meant, and opens it as the command line does', async () => {
    const { geometry, data } = heart;
    const one = writeNiftiFile(geometry, data);
    const [header, voxels] = [one.slice(0, 352), one.slice(352)];
    const view = new DataView(header.buffer);
    view.setInt16(40, 4, true);
    view.setInt16(48, 3, true);
    const brighter = (by: number): Uint8Array =>
      writeNiftiFile(
        geometry,
        data.map((value) => value + by),
      ).slice(352);
    const path = join(folder, 'times.nii');
    await writeFile(path, Buffer.concat([header, voxels, brighter(10), brighter(20)]));
    await page.setInputFiles('#image', path);
    await saying('image-text', /^times\.nii: it holds 3 volumes, choose one below$/);
    await atRest();
    const field = page.getByLabel('times.nii: volume');
    // a volume that there is not is not opened
    await field.fill('3');
    await page.click('#found-open');
    expect(await page.isVisible('#found')).toBe(true);
    await field.fill('2');
    // what is looked for meanwhile, as the example is, takes nothing from the question
    await page.evaluate("gvsl.compute.findImages([{ path: 'other.nii', file: new Blob(['']) }])");
    await page.click('#found-open');
    await saying('image-text', /^times\.nii, volume 2: /);
    await atRest();
    await expectShown(path, 2);
    await page.getByLabel('close times.nii, volume 2').click();
    await atRest();
  }, 240_000);

  it('asks which series of a DICOM folder is meant, and segments it as the command line does', async () => {
    const study = join(folder, 'study');
    await writeSeries(join(study, 'a'), heart, '1');
    const shifted = {
      geometry: { ...heart.geometry, originMm: [5, 6, 7] as const },
      data: heart.data.map((value) => value + 30),
    };
    await writeSeries(join(study, 'b'), shifted, '2');
    await writeFile(join(study, 'notes.txt'), 'no image');
    await page.setInputFiles('#folder', study);
    await expect.poll(() => page.locator('#found-list li').count(), { timeout: 60_000 }).toBe(2);
    expect(await text('found-list')).toMatch(/study\/b\d+ slices, CT, "series 2"/);
    await page.locator('#found-list input').nth(0).uncheck();
    await page.locator('#found-list input').nth(1).check();
    await page.click('#found-open');
    await saying('image-text', /^study\/b: .* voxels of 9 x 10 x 11 mm, int16/);
    await atRest();
    await expectShown(join(study, 'b'));

    await page.setInputFiles('#model', join(folder, 'model'));
    await saying('model-text', /segments 2 structures/);
    await page.click('#segment');
    await saying('apply-status', /done in/);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    expect(download.suggestedFilename()).toBe('b_labels.nii.gz');
    await download.saveAs(join(folder, 'saved.nii.gz'));
    const out = join(folder, 'out');
    const call = { model: join(folder, 'model'), inputs: [join(study, 'b')], out, progress: SILENT };
    const report = await segmentImages({ ...call, backend: await createBackend('cpu', 1) });
    const [ours, theirs] = [await readImage(join(folder, 'saved.nii.gz')), await readImage(join(out, report.images[0].files[0]))];
    expect(ours.volume.geometry).toEqual(theirs.volume.geometry);
    expect([...ours.volume.data]).toEqual([...theirs.volume.data]);
  }, 240_000);

  it('decodes compressed DICOM under the policy of the server, each decoder from its own file', async () => {
    const [columns, rows] = [75, 61];
    const storedOf = (k: number): number[] =>
      Array.from({ length: columns * rows }, (_, i) => Math.round(800 + 700 * Math.sin(i / 90 + k) * Math.cos(i / 7)));
    const facts = [0, 1, 2].map((k) => ({
      columns,
      rows,
      stored: storedOf(k),
      signed: false,
      positionMm: [0, 0, 2 * k],
      instance: k + 1,
      changes: { '00280101': ['US', 12] as const, '00280102': ['US', 11] as const },
    }));
    const packed: Record<string, Uint8Array[]> = { htj2k: await Promise.all(facts.map(highThroughputSlice)) };
    for (const option of ['j2k', 'jpegls', 'jpeg', 'rle']) {
      const files = facts.map((fact, k) => {
        const [raw, to] = [join(folder, `raw${k}.dcm`), join(folder, `${option}${k}.dcm`)];
        writeFileSync(raw, slice(fact));
        return spawnSync('gdcmconv', [`--${option}`, raw, to]).status === 0 ? readFileSync(to) : null;
      });
      // without GDCM the one above stands for all
      if (files.every((file) => file !== null)) packed[option] = files;
    }
    for (const [name, files] of Object.entries(packed)) {
      const own = join(folder, name);
      await mkdir(own, { recursive: true });
      for (const [k, bytes] of files.entries()) writeFileSync(join(own, `${k}.dcm`), bytes);
      await page.setInputFiles('#folder', own);
      await saying('image-text', new RegExp(`^${name}: 75 x 61 x 3 voxels of 1 x 1 x 2 mm`));
      await atRest();
      await expectShown(own);
    }
  }, 240_000);

  it('segments all open images into one zip, and says which could not be', async () => {
    const flat: Volume = { geometry: heart.geometry, data: heart.data.map(() => 7) };
    await writeImage(join(folder, 'flat.nii'), flat);
    await page.click('#example');
    await atRest();
    await page.setInputFiles('#model', join(folder, 'model'));
    await saying('model-text', /segments 2 structures/);
    await page.setInputFiles(
      '#image',
      ['heart.nii.gz', 'flat.nii', 'heart.nrrd'].map((name) => join(folder, name)),
    );
    await saying('image-text', /3 images opened/);
    await atRest();
    await page.click('#segment-all');
    await saying('apply-status', /^2 of 3 images done/);
    expect(await text('result-table')).toMatch(/flat\.nii.*every voxel is 7/);
    // what is unusual is said of each, as of one alone
    expect(await text('result-table')).toMatch(/heart\.nii\.gz.* ml; oblique by \d+ degrees/);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    expect(download.suggestedFilename()).toBe('labels.zip');
    await download.saveAs(join(folder, 'labels.zip'));
    const files = unzipSync(new Uint8Array(await readFile(join(folder, 'labels.zip'))));
    expect(Object.keys(files).sort()).toEqual(['heart_labels.nii.gz', 'heart_labels_2.nii.gz']);
    await writeFile(join(folder, 'one.nii.gz'), files['heart_labels.nii.gz']);
    expect((await readImage(join(folder, 'one.nii.gz'))).volume.geometry.size).toEqual(heart.geometry.size);
  }, 240_000);

  it('takes several channels, by their names and by choice, as the command line does', async () => {
    const cases = join(folder, 'cases');
    await mkdir(cases, { recursive: true });
    const late: Volume = { geometry: heart.geometry, data: heart.data.map((value) => value * 0.5) };
    await writeImage(join(cases, 'P1_0000.nii.gz'), heart);
    await writeImage(join(cases, 'P1_0001.nii.gz'), late);
    const out = join(folder, 'out-two');
    const call = { model: join(folder, 'two'), inputs: [join(cases, 'P1_0000.nii.gz')], out, progress: SILENT };
    const report = await segmentImages({ ...call, backend: await createBackend('cpu', 1) });
    const theirs = await readImage(join(out, report.images[0].files[0]));
    await page.click('#example');
    await atRest();
    await page.setInputFiles('#model', join(folder, 'two'));
    await saying('model-text', /2 channels: native, late; segments 2 structures/);
    const segmented = async (name: string): Promise<void> => {
      await page.click('#segment');
      await saying('apply-status', /done in/);
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
      expect(download.suggestedFilename()).toBe(name);
      await download.saveAs(join(folder, 'channels.nii.gz'));
      expect([...(await readImage(join(folder, 'channels.nii.gz'))).volume.data]).toEqual([...theirs.volume.data]);
    };
    await page.setInputFiles('#folder', cases);
    await saying('image-text', /P1_0000\.nii\.gz: 2 channels of/);
    await atRest();
    await segmented('P1_labels.nii.gz');
    // of other names: refused, then chosen
    await writeImage(join(folder, 'x.nii.gz'), heart);
    await writeImage(join(folder, 'y.nii.gz'), late);
    await page.setInputFiles('#image', [join(folder, 'x.nii.gz'), join(folder, 'y.nii.gz')]);
    await saying('image-text', /2 images opened/);
    await atRest();
    await page.click('#segment');
    await saying('apply-status', /one channel, but the model takes 2: native, late; .* or join open images under Channels/);
    await page.locator('#channels-list select').nth(0).selectOption({ label: 'x.nii.gz' });
    await page.locator('#channels-list select').nth(1).selectOption({ label: 'y.nii.gz' });
    await page.click('#channels-join');
    await saying('image-text', /2 channels of/);
    await atRest();
    await segmented('x_labels.nii.gz');
  }, 240_000);

  it('takes folders that are dropped: a model with images, a DICOM series, runs', async () => {
    const client = await page.context().newCDPSession(page);
    /** As the browser is told of a drop from the desktop. */
    const drop = async (...names: string[]): Promise<void> => {
      const data = { items: [], files: names.map((name) => join(folder, name)), dragOperationsMask: 1 };
      for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
        await client.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    };
    await mkdir(join(folder, 'scans/deep'), { recursive: true });
    await writeImage(join(folder, 'scans/deep/dropped.nii.gz'), heart);
    await drop('model', 'scans');
    await saying('model-text', /^model: trained for segmentation/);
    await saying('image-text', /dropped\.nii\.gz: /);
    await atRest();
    await writeSeries(join(folder, 'dropped'), heart, '9');
    await drop('dropped');
    await saying('image-text', /^dropped: /);
    await atRest();
    await mkdir(join(folder, 'all-runs/one'), { recursive: true });
    await writeFile(join(folder, 'all-runs/one/metrics.jsonl'), '{"kind":"step","step":1,"loss":{"total":1}}\n');
    await drop('all-runs');
    await expect.poll(() => page.url()).toContain('#runs');
    await expect.poll(() => page.locator('#runs table').first().textContent()).toMatch(/one/);
    await page.evaluate('location.hash = ""');
    await atRest();
    await mkdir(join(folder, 'empty'));
    await drop('empty');
    await saying('image-text', /^The folder is empty\. Expected a scan as DICOM, .*: choose/);
  }, 120_000);

  it('says of folders without images what they hold, what is expected and what to do', async () => {
    const put = async (path: string, bytes: Uint8Array | string): Promise<void> => {
      await mkdir(join(folder, path, '..'), { recursive: true });
      await writeFile(join(folder, path), bytes);
    };
    const facts: SliceFacts = { columns: 2, rows: 2, stored: [1, 2, 3, 4], positionMm: [0, 0, 0], instance: 1 };
    const whole = slice(facts);
    await put('unknown/notes.txt', 'nothing');
    await put('unknown/deep/plan.pdf', 'nothing');
    await put('damaged/1.dcm', whole.subarray(0, whole.length / 2));
    await put('damaged/2.dcm', new Uint8Array());
    await put('reports/1.dcm', slice({ ...facts, changes: { '00080016': ['UI', '1.2.840.10008.5.1.4.1.1.88.11'] } }));
    await put('reports/notes.txt', 'nothing');
    for (const [name, found] of [
      ['unknown', /^unknown: no image to open\. Found 2 files \(\.(txt|pdf), \.(txt|pdf)\)\. /],
      ['damaged', /^damaged: no image to open\. Found damaged\/1\.dcm: .*; damaged\/2\.dcm: .*\. /],
      ['reports', /^reports: no image to open\. Found reports\/1\.dcm: .*report.*; and 1 file \(\.txt\)\. /],
    ] as const) {
      await page.setInputFiles('#folder', join(folder, name));
      await saying('image-text', new RegExp(`${found.source}Expected a scan as DICOM, .*: choose the folder or the files`));
      await atRest();
    }
    await page.setInputFiles('#runs-folder', join(folder, 'unknown'));
    await saying('runs-text', /^unknown: no run and no study among 2 files\. Expected run\.json .*: choose their folder/);
  });

  it('complains of nothing', () => {
    expect(complaints).toEqual([]);
  });
});
