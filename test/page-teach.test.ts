import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { unzipSync } from 'fflate';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, SOFTWARE_WEBGL } from '../scripts/chromium.mjs';
import { networkOfFiles } from '../src/apply/network.ts';
import { segmentImages } from '../src/apply/node/segment.ts';
import { SILENT } from '../src/common/progress.ts';
import { applyAffine, physicalToVoxel, voxelToPhysical } from '../src/geometry/affine.ts';
import { resampleNearest } from '../src/geometry/resample.ts';
import { type Geometry, type Volume, voxelCount, type Xyz } from '../src/geometry/volume.ts';
import { readImage } from '../src/images/node/read.ts';
import { writeImage } from '../src/images/node/write.ts';
import { renderSubject } from '../src/phantom/subject.ts';
import { createBackend } from '../src/platform/node/backends.ts';
import { type PageServer, servePage } from '../src/platform/node/page-server.ts';
import { coloursOf, PAGE, SKIPPED } from './built-page.ts';

interface Api {
  readonly axe: { run(): Promise<{ readonly violations: readonly { readonly id: string; readonly help: string }[] }> };
  readonly gvsl: {
    readonly ready: boolean;
    readonly fineTuned: { readonly losses: readonly { readonly total: number }[]; readonly judgements: readonly unknown[] };
    readonly teaching: {
      readonly viewer: { lookAt(point: Xyz): void; strokes(): Uint8Array | null };
      readonly strokes: { readonly drawn: readonly (readonly [number, Uint8Array])[] };
    };
  };
}
const BACKGROUND = 255;
/** Left ventricle, and what a stroke of it is. */
const [VENTRICLE, CODE] = [500, 1];

/** A patient on a sagittal, oblique grid with thick slices. */
function patient(subject: number): { image: Volume; labels: Volume } {
  const { image, labels } = renderSubject({ kind: 'heart-ct', seed: 2, subject, spacingMm: 5, pose: 0.3 });
  const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
  const middle = applyAffine(voxelToPhysical(image.geometry), image.geometry.size.map((n) => (n - 1) / 2) as unknown as Xyz);
  // x of the file to the back, y down, z to the left; turned about the patient's long axis
  const turned: Geometry = {
    size: [40, 36, 26],
    spacingMm: [4, 5, 6],
    originMm: [0, 0, 0],
    direction: [-s, 0, c, c, 0, s, 0, -1, 0],
  };
  const centre = applyAffine(voxelToPhysical(turned), [19.5, 17.5, 12.5]);
  const geometry = { ...turned, originMm: middle.map((at, k) => at - centre[k]) as unknown as Xyz };
  return { image: resampleNearest(image, geometry, -1024), labels: resampleNearest(labels, geometry, 0) };
}

describe.skipIf(SKIPPED !== '')(`teaching in the page${SKIPPED}`, () => {
  let folder: string;
  let browser: Browser;
  let context: BrowserContext;
  let server: PageServer;
  let page: Page;
  const patients = [patient(0), patient(1)];
  const complaints: string[] = [];
  const text = async (id: string): Promise<string> => (await page.locator(`#${id}`).textContent()) ?? '';
  const saying = (id: string, pattern: RegExp): Promise<void> =>
    expect.poll(() => text(id), { timeout: 120_000, interval: 100 }).toMatch(pattern);
  /** Strokes by image: how many voxels of each code. */
  const counts = (): Promise<Record<string, number>[]> =>
    page.evaluate(() =>
      (globalThis as unknown as Api).gvsl.teaching.strokes.drawn.map(([, data]) => {
        const found: Record<string, number> = {};
        for (const code of data) if (code !== 0) found[code] = (found[code] ?? 0) + 1;
        return found;
      }),
    );
  const saved = async (button: string): Promise<string> => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(`#${button}`)]);
    const path = join(folder, download.suggestedFilename());
    await download.saveAs(path);
    return path;
  };
  /** Draws dots with the keyboard at points of the patient, as code. */
  async function dots(code: number, points: readonly Xyz[]): Promise<void> {
    await page
      .getByLabel(code === BACKGROUND ? 'draw background' : 'draw structure')
      .first()
      .check();
    // the viewer begins when it is near
    await page.locator('#teach-viewer').scrollIntoViewIfNeeded();
    await page.waitForFunction(() => (globalThis as unknown as Api).gvsl.teaching.viewer.strokes() !== null);
    for (const point of points) {
      await page.evaluate((at) => (globalThis as unknown as Api).gvsl.teaching.viewer.lookAt(at), point);
      await page.locator('#teach-viewer').press(' ');
    }
  }
  const reopen = async (): Promise<void> => {
    await page.goto(server.url);
    await page.waitForFunction(() => (globalThis as unknown as Partial<Api>).gvsl?.ready, undefined, { timeout: 120_000 });
  };
  /** Some points of a structure, at even distances among its voxels. */
  function pointsOf(labels: Volume, code: number, count: number): Xyz[] {
    const [nx, ny] = labels.geometry.size;
    const voxels = [...labels.data.keys()].filter((v) => labels.data[v] === code);
    return Array.from({ length: count }, (_, k) => {
      const v = voxels[Math.floor(((k + 0.5) * voxels.length) / count)];
      return applyAffine(voxelToPhysical(labels.geometry), [v % nx, Math.floor(v / nx) % ny, Math.floor(v / (nx * ny))]);
    });
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-teach-'));
    for (const [k, { image }] of patients.entries()) await writeImage(join(folder, `heart_${k}.nii.gz`), image);
    await copyFile(join(folder, 'heart_1.nii.gz'), join(folder, 'heart_2.nii.gz'));
    server = await servePage(PAGE, 0);
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: SOFTWARE_WEBGL,
    });
    context = await browser.newContext({ viewport: { width: 900, height: 700 }, deviceScaleFactor: 0.5 });
    page = await context.newPage();
    // machines under load start slowly
    page.setDefaultTimeout(120_000);
    page.on('pageerror', ({ message }) => complaints.push(message));
    await reopen();
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('draws where the user draws, on an oblique sagittal grid, and undoes it', async () => {
    await page.setInputFiles('#image', [join(folder, 'heart_0.nii.gz'), join(folder, 'heart_1.nii.gz')]);
    await saying('image-text', /2 images opened/);
    await page.fill('#teach-size', '1');
    const points = pointsOf(patients[0].labels, VENTRICLE, 3);
    await dots(CODE, points);
    await saying('teach-status', /choose the background/);
    expect(await counts()).toEqual([{ [CODE]: 3 }]);
    const strokes = (await readImage(await saved('teach-save-strokes'))).volume;
    expect(strokes.geometry.size).toEqual(patients[0].image.geometry.size);
    const toVoxel = physicalToVoxel(strokes.geometry);
    const [nx, ny] = strokes.geometry.size;
    for (const point of points) {
      const [x, y, z] = applyAffine(toVoxel, point).map(Math.round);
      expect(strokes.data[(z * ny + y) * nx + x]).toBe(CODE);
    }
    // by the mouse, and back by key and button
    await page.locator('#teach-viewer').scrollIntoViewIfNeeded();
    const box = (await page.locator('#teach-viewer').boundingBox())!;
    await page.mouse.move(box.x + 0.25 * box.width, box.y + 0.25 * box.height);
    await page.mouse.down();
    await page.mouse.move(box.x + 0.3 * box.width, box.y + 0.25 * box.height, { steps: 5 });
    await page.mouse.up();
    const [{ [CODE]: drawn }] = await counts();
    expect(drawn).toBeGreaterThan(3);
    await page.keyboard.press('Control+z');
    expect(await counts()).toEqual([{ [CODE]: 3 }]);
    await page.click('#teach-redo');
    expect(await counts()).toEqual([{ [CODE]: drawn }]);
    await page.click('#teach-undo');
    expect(await counts()).toEqual([{ [CODE]: 3 }]);
  });

  it('learns after a stroke, and segments this image and the other as the command line does with the saved model', async () => {
    await dots(BACKGROUND, [...pointsOf(patients[0].labels, 0, 12), ...pointsOf(patients[0].labels, 205, 6)]);
    await saying('teach-status', /learnt in .* s, segmented 2 images in/);
    const names = await page.locator('#teach-table tbody td:first-child').allInnerTexts();
    expect(names).toEqual(['structure 1']);
    const maps = unzipSync(await readFile(await saved('teach-save-labels')));
    expect(Object.keys(maps)).toEqual(['heart_0_labels.nii.gz', 'heart_1_labels.nii.gz']);
    const model = unzipSync(await readFile(await saved('teach-save-model')));
    await mkdir(join(folder, 'taught'));
    for (const [path, bytes] of Object.entries(model)) await writeFile(join(folder, path), bytes);
    const out = join(folder, 'out');
    const inputs = [0, 1].map((k) => join(folder, `heart_${k}.nii.gz`));
    const backend = await createBackend('cpu', 1);
    const report = await segmentImages({ model: join(folder, 'taught'), inputs, out, backend, progress: SILENT });
    for (const [k, { files }] of report.images.entries()) {
      await writeFile(join(folder, 'map.nii.gz'), maps[`heart_${k}_labels.nii.gz`]);
      const [ours, theirs] = [await readImage(join(folder, 'map.nii.gz')), await readImage(join(out, files[0]))];
      expect(ours.volume.geometry).toEqual(theirs.volume.geometry);
      // another build of the kernels rounds otherwise, which decides ties
      const different = [...ours.volume.data.keys()].filter((v) => ours.volume.data[v] !== theirs.volume.data[v]).length;
      expect(different).toBeLessThanOrEqual(voxelCount(patients[0].image.geometry.size) / 10_000);
      const found = [...ours.volume.data.keys()].filter((v) => ours.volume.data[v] === CODE);
      const right = found.filter((v) => patients[k].labels.data[v] === VENTRICLE).length;
      const all = [...patients[k].labels.data].filter((code) => code === VENTRICLE).length;
      expect((2 * right) / (found.length + all)).toBeGreaterThan(0.2);
    }
  }, 120_000);

  it('knows a structure that is added, renamed and taken away, and strokes of a file', async () => {
    await page.click('#teach-add');
    await page.getByLabel('name of structure 2').fill('wall');
    await page.getByLabel('name of structure 2').blur();
    await page.getByLabel('draw wall').check();
    for (const point of pointsOf(patients[0].labels, 205, 2)) {
      await page.evaluate((at) => (globalThis as unknown as Api).gvsl.teaching.viewer.lookAt(at), point);
      await page.locator('#teach-viewer').press(' ');
    }
    await expect
      .poll(() => page.locator('#teach-table tbody td:first-child').allInnerTexts(), { timeout: 60_000 })
      .toEqual(['structure 1', 'wall']);
    const before = await counts();
    const path = await saved('teach-save-strokes');
    await page.getByLabel('remove wall').click();
    await expect.poll(async () => (await counts())[0][2]).toBe(undefined);
    await page.setInputFiles('#teach-open', path);
    await saying('teach-saving', /opened heart_0_strokes/);
    expect(await counts()).toEqual(before);
    await page.setInputFiles('#teach-open', { name: 'noise.nii', mimeType: '', buffer: Buffer.alloc(400, 1) });
    await saying('teach-saving', /noise\.nii: not NIfTI/);
    await page.setInputFiles('#teach-open', { name: 'notes.txt', mimeType: '', buffer: Buffer.from('none') });
    await saying('teach-saving', /notes\.txt: not a supported format/);
  }, 120_000);

  /** Roles of the images that are kept for a reload. */
  const keptRoles = async (): Promise<unknown> =>
    page.evaluate(`new Promise((resolve, reject) => {
      const request = indexedDB.open('gvsl');
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const session = request.result.transaction('work').objectStore('work').get('teach session');
        session.onsuccess = () => resolve(session.result?.images.filter(({ isKept }) => isKept).map(({ role }) => role));
      };
    })`);

  /** When strokes were last kept for a reload; 0 for never. */
  const keptAt = async (): Promise<number> =>
    (await page.evaluate(`new Promise((resolve) => {
      const request = indexedDB.open('gvsl');
      request.onsuccess = () => {
        const strokes = request.result.transaction('work').objectStore('work').get('teach strokes');
        strokes.onsuccess = () => resolve(Number(strokes.result?.savedAt ?? 0));
      };
    })`)) as number;
  /** Does something that draws or learns, and waits until what came of it is kept. */
  async function kept(work: () => Promise<void>): Promise<void> {
    const before = await keptAt();
    await work();
    await expect.poll(keptAt).toBeGreaterThan(before);
  }

  it('offers the work again after a reload: goes on, or discards it', async () => {
    await saying('teach-status', /learnt in/);
    const before = await counts();
    // a third image, which is neither drawn on nor has a role
    await page.setInputFiles('#image', join(folder, 'heart_2.nii.gz'));
    await saying('images', /heart_2\.nii\.gz/);
    for (const name of ['first image: heart_0', 'second image: heart_1']) await page.getByLabel(name).check();
    // it is kept a moment after the last change
    await expect.poll(keptRoles).toEqual(['first', 'second', null]);
    // another tab leaves it alone until this one is gone
    const other = await context.newPage();
    await other.goto(`${server.url}#runs`);
    await other.waitForFunction(() => (globalThis as unknown as Partial<Api>).gvsl?.ready);
    const offered = (): Promise<boolean> =>
      other.locator('#teach-kept').evaluate((note) => !(note as unknown as { hidden: boolean }).hidden);
    expect(await offered()).toBe(false);
    await page.goto('about:blank');
    await expect.poll(offered).toBe(true);
    await other.close();
    await reopen();
    await saying('teach-kept-text', /structure 1, structure 2; strokes on 1 of 3 images/);
    await kept(() => page.click('#teach-continue'));
    await saying('images', /heart_0\.nii\.gz\s*40 x 36 x 26.*heart_2\.nii\.gz/);
    await saying('teach-status', /learnt in .* s, segmented 3 images in/);
    expect(await counts()).toEqual(before);
    for (const name of ['first image: heart_0', 'second image: heart_1'])
      expect(await page.getByLabel(name).isChecked()).toBe(true);
    expect(await page.locator('#teach-kept').isHidden()).toBe(true);
    // an image that has no room is named, and can be opened again by hand
    await page.evaluate(`{
      const put = IDBObjectStore.prototype.put;
      IDBObjectStore.prototype.put = function (value, name) {
        if (name.startsWith('teach image')) throw new DOMException('full', 'QuotaExceededError');
        return put.call(this, value, name);
      };
    }`);
    await page.getByLabel('close heart_2.nii.gz').click();
    await page.setInputFiles('#image', join(folder, 'heart_2.nii.gz'));
    await saying('teach-saving', /no room left to keep these images for a reload: heart_2\.nii\.gz\. Their strokes are kept/);
    await reopen();
    await saying('teach-kept-text', /Too large to be kept: heart_2\.nii\.gz\. Open them before you continue/);
    await kept(() => page.click('#teach-continue'));
    await saying('teach-status', /learnt in .* s, segmented 2 images in/);
    expect(await counts()).toEqual(before);
    // a full disk is said, and the work goes on
    await page.evaluate(`{
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('full', 'QuotaExceededError');
      };
    }`);
    await page.click('#teach-undo');
    await saying('teach-saving', /no room left to keep the work for a reload/);
    await reopen();
    await page.click('#teach-discard');
    await expect.poll(() => page.locator('#teach-kept').isHidden()).toBe(true);
    const names = await page.evaluate(`new Promise((resolve) => {
      const request = indexedDB.open('gvsl');
      request.onsuccess = () => {
        const keys = request.result.transaction('work').objectStore('work').getAllKeys();
        keys.onsuccess = () => resolve(keys.result);
      };
    })`);
    expect(names).toEqual([]);
  }, 240_000);

  it('fine-tunes the open model on label files, stops, goes on, and opens what comes out', async () => {
    await page.setInputFiles('#image', [join(folder, 'heart_0.nii.gz'), join(folder, 'heart_1.nii.gz')]);
    await saying('image-text', /2 images opened/);
    const truths = patients.map(({ labels: { geometry, data } }) => ({
      geometry,
      data: Uint16Array.from(data, (code) => (code === VENTRICLE ? 1007 : 0)),
    }));
    const chosen = (): Promise<string[]> => page.locator('#fine-tune-images option:checked').allTextContents();
    // of another grid, and of no image
    const [first] = truths;
    const moved = { geometry: { ...first.geometry, originMm: [0, 0, 0] as const }, data: first.data };
    const files: [string, Volume][] = [
      ['heart_0.nii.gz', truths[0]],
      ['heart_1_seg.nrrd', moved],
      ['truth.nrrd', truths[1]],
    ];
    const paths = files.map(([name]) => join(folder, 'truth', name));
    await mkdir(join(folder, 'truth'));
    for (const [k, [, volume]] of files.entries()) await writeImage(paths[k], volume);
    await page.setInputFiles('#fine-tune-labels', paths);
    await saying(
      'fine-tune-status',
      /^1 label file opened\..*heart_1_seg\.nrrd: on a different grid than its image heart_1\.nii\.gz/,
    );
    await saying('fine-tune-status', /truth\.nrrd: is named after no open image/);
    expect(await chosen()).toEqual(['heart_0.nii.gz', 'not used']);
    const notes = ['a.txt', 'b.txt'].map((name) => ({ name, mimeType: '', buffer: Buffer.from('none') }));
    await page.setInputFiles('#fine-tune-labels', notes);
    await saying('fine-tune-status', /^0 label files opened\. .*expected NIfTI, NRRD, MetaImage or MGH/);
    // at its image it may have any name
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      page.locator('#fine-tune-images select').nth(1).selectOption('choose'),
    ]);
    await chooser.setFiles(paths[2]);
    await expect.poll(chosen).toEqual(['heart_0.nii.gz', 'truth.nrrd']);
    expect(await page.locator('#fine-tune-judge option:checked').textContent()).toBe('heart_1.nii.gz');
    // what a field may not hold begins nothing
    const status = await text('fine-tune-status');
    for (const [field, wrong, right] of [
      ['#fine-tune-steps', '', '600'],
      ['#fine-tune-steps', '-5', '600'],
      ['#fine-tune-rate', '', '0.001'],
      ['#fine-tune-rate', '5', '0.001'],
    ]) {
      await page.fill(field, wrong);
      await page.click('#fine-tune-start');
      expect(await page.locator(`${field}:invalid`).count()).toBe(1);
      expect(await text('fine-tune-status')).toBe(status);
      await page.fill(field, right);
    }
    await page.click('#fine-tune-start');
    await saying('fine-tune-status', /MiB of memory, about .* for 600 steps on|step \d+ of 600/);
    await saying('fine-tune-status', /step \d+ of 600/);
    await page.locator('#fine-tune .stop').click();
    await saying('fine-tune-status', /stopped after .* is the open model now/);
    await saying('model-text', /fine-tuned: trained for segmentation, .* segments 1 structure/);
    const done = await page.evaluate(() => (globalThis as unknown as Api).gvsl.fineTuned.losses.length);
    expect(done).toBeLessThan(600);
    await page.click('#fine-tune-continue');
    await expect
      .poll(() => page.evaluate(() => (globalThis as unknown as Api).gvsl.fineTuned.judgements.length), { timeout: 120_000 })
      .toBeGreaterThan(0);
    expect(await page.locator('#fine-tune-picture').isVisible()).toBe(true);
    await page.locator('#fine-tune .stop').click();
    await saying('fine-tune-status', /stopped after .* is the open model now/);
    const losses = await page.evaluate(() => (globalThis as unknown as Api).gvsl.fineTuned.losses.map(({ total }) => total));
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 5)));
    const model = unzipSync(await readFile(await saved('fine-tune-save')));
    const network = networkOfFiles({
      name: 'fine-tuned',
      config: Buffer.from(model['fine-tuned/config.json']).toString(),
      weights: new Uint8Array(model['fine-tuned/model.safetensors']).buffer,
    });
    expect(network.configuration.task).toMatchObject({ kind: 'segmentation', labels: [{ code: 0 }, { code: 1007 }] });
    await page.click('#segment');
    await saying('apply-status', /done in .* on WebAssembly/);
  }, 300_000);

  it('shows what strokes teach on the example, one click away', async () => {
    await page.locator('#teach-viewer').scrollIntoViewIfNeeded();
    await page.waitForFunction(() => (globalThis as unknown as Api).gvsl.teaching.viewer.strokes() !== null);
    const image = await coloursOf(page, 'gvsl.teaching.viewer');
    expect(image.greys).toBeGreaterThan(30);
    await page.click('#tour-teach');
    await saying('teach-status', /learnt in .* s, segmented 2 images in/);
    // strokes, and the labels over every grey
    expect((await coloursOf(page, 'gvsl.teaching.viewer')).colours).toBeGreaterThan(image.colours + 10);
    const [name, first, second] = await page.locator('#teach-table tbody td').allInnerTexts();
    expect(name).toBe('left ventricle');
    for (const ml of [first, second]) expect(Math.abs(Number(ml) - 90)).toBeLessThan(50);
    await page.click('#teach-undo');
    expect(await counts()).toEqual([]);
  }, 120_000);

  it('is accessible as far as axe can tell, dark and light, and nothing went wrong', async () => {
    await page.evaluate(axe.source);
    for (const colorScheme of ['dark', 'light'] as const) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate(() => (globalThis as unknown as Api).axe.run());
      expect(violations.map(({ id, help }) => `${id}: ${help}`)).toEqual([]);
    }
    expect(complaints).toEqual([]);
  });
});
