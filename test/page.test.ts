import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, SOFTWARE_WEBGL, SOFTWARE_WEBGPU } from '../scripts/chromium.mjs';
import { embedImages } from '../src/apply/node/embed.ts';
import { registerImages } from '../src/apply/node/registration/register.ts';
import { segmentImages } from '../src/apply/node/segment.ts';
import { SILENT } from '../src/common/progress.ts';
import { readImage } from '../src/images/node/read.ts';
import { writeImage } from '../src/images/node/write.ts';
import { ALL_HEADS } from '../src/model/architecture.ts';
import type { ModelConfiguration } from '../src/model/configuration.ts';
import { writeTinyModel } from '../src/model/node/interchange/testing/tiny-model.ts';
import { readSafetensors } from '../src/model/node/safetensors.ts';
import { renderSubject } from '../src/phantom/subject.ts';
import { createBackend } from '../src/platform/node/backends.ts';
import { type PageServer, servePage } from '../src/platform/node/page-server.ts';
import { coloursOf, PAGE, SKIPPED } from './built-page.ts';

const CODES = [0, 205, 420, 900];

/** What the page offers to scripts; `axe` is brought in by a test. */
interface Api {
  readonly axe: { run(): Promise<{ readonly violations: readonly { readonly id: string; readonly help: string }[] }> };
  readonly gvsl: {
    readonly compute: {
      segment(
        image: number,
        backend: string,
        probabilities: boolean,
        onProgress: unknown,
      ): Promise<{ probabilities: Float32Array[] }>;
      features(image: number, backend: string, local: boolean, onProgress: unknown): Promise<{ local: Float32Array }>;
    };
    readonly workspace: { readonly first: { readonly id: number } };
    readonly Comlink: { proxy(callback: () => void): unknown };
    readonly losses: readonly { readonly total: number }[];
    /** Once the example is open. */
    readonly ready: boolean;
  };
}
const BACKENDS = ['cpu', 'webgpu'] as const;

function worstDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found).toHaveLength(expected.length);
  return Array.from(expected).reduce((worst, value, i) => Math.max(worst, Math.abs(found[i] - value)), 0);
}

describe.skipIf(SKIPPED !== '')(`the page${SKIPPED}`, () => {
  let folder: string;
  let browser: Browser;
  let server: PageServer;
  let page: Page;
  const complaints: string[] = [];
  const asked: string[] = [];
  const text = (id: string): Promise<string> =>
    page
      .locator(`#${id}`)
      .textContent()
      .then((found) => found ?? '');
  /** Waits for what follows a click: a line that matches. */
  const saying = (id: string, pattern: RegExp): Promise<void> =>
    expect.poll(() => text(id), { timeout: 240_000, interval: 100 }).toMatch(pattern);

  const open = async (url: string): Promise<Page> => {
    const opened = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
    // machines under load start slowly
    opened.setDefaultTimeout(120_000);
    opened.on('pageerror', ({ message }) => complaints.push(message));
    opened.on('request', (request) => asked.push(request.url()));
    await opened.goto(url);
    // once the example is open
    await opened.waitForFunction(() => (globalThis as unknown as Partial<Api>).gvsl?.ready);
    return opened;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-page-'));
    const { image } = renderSubject({ kind: 'heart-ct', seed: 3, subject: 1, spacingMm: 10 });
    await writeImage(join(folder, 'heart.nii.gz'), image);
    // random parameters: agreement is asked for, not skill
    const labels = CODES.map((code) => ({ code, name: code === 0 ? 'background' : `structure ${code}` }));
    const preprocessing: ModelConfiguration['preprocessing'] = {
      modality: 'ct',
      spacingMm: [10, 10, 10],
      intensity: 'minmax',
      crop: 'none',
    };
    const task: ModelConfiguration['task'] = { kind: 'segmentation', labels, patch: [16, 16, 16] };
    await writeTinyModel(join(folder, 'model'), { segmentation: CODES.length }, { preprocessing, task });
    await writeTinyModel(join(folder, 'matcher'), ALL_HEADS, { preprocessing });
    await writeImage(join(folder, 'other.nii.gz'), renderSubject({ kind: 'heart-ct', seed: 3, subject: 2, spacingMm: 10 }).image);
    server = await servePage(PAGE, 0);
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: [...SOFTWARE_WEBGL, ...SOFTWARE_WEBGPU] });
    page = await open(server.url);
    // so that a test can take the device away
    await page.workers()[0].evaluate(`{
      const request = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (...options) {
        globalThis.device = await request.apply(this, options);
        return globalThis.device;
      };
    }`);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('says what can compute, with more than one thread where this machine has them', async () => {
    const options = await page.locator('#backend option').allInnerTexts();
    expect(options.join(' ')).toMatch(/CPU: \d+ threads? GPU: .*swiftshader/i);
    // a GPU in software is offered, but not chosen
    expect(await page.inputValue('#backend')).toBe('cpu');
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
  });

  it('opens with an example: each view of the tour is one click away', async () => {
    expect(await text('model-text')).toMatch(/^Example: pre-trained, width 0\.125, 1500 steps; .*; registers, shows features/);
    await page.selectOption('#backend', 'cpu');
    expect((await coloursOf(page, 'gvsl.viewer')).greys).toBeGreaterThan(30);
    await page.click('#tour-register');
    await saying('registration-status', /done in .* on WebAssembly/);
    const ncc = (await page.locator('#registration-table td:last-child').allInnerTexts()).map(Number);
    expect(ncc[2]).toBeGreaterThan(ncc[0] + 0.1);
    await page.click('#tour-compare');
    await saying('compare-status', /done in .* on WebAssembly/);
    await saying('compare-said', /^[\d.]+ mm between both answers/);
    // another voxel, by the keyboard; and one of the second image, by the mouse
    const table = page.locator('#compare-table');
    const first = await table.textContent();
    expect(first).toMatch(/in the second image[\s\S]*best match[\s\S]*registration/);
    await page.locator('#viewer-fixed').press('l');
    await expect.poll(() => table.textContent(), { timeout: 60_000 }).not.toBe(first);
    await page.locator('#viewer-moving').click({ position: { x: 90, y: 90 } });
    await expect.poll(() => table.textContent(), { timeout: 60_000 }).toMatch(/in the first image/);
    // the mark lies where the best match is said to be, as the viewer itself tells positions
    await page.selectOption('#follow', 'best');
    const before = await table.textContent();
    await page.locator('#viewer-moving').press('l');
    await expect.poll(() => table.textContent()).not.toBe(before);
    expect(await table.textContent()).toMatch(/in the first image/);
    const mmOf = (said: string | null): number[] =>
      said!
        .match(/-?\d+\.\d/g)!
        .slice(0, 3)
        .map(Number);
    const best = mmOf(await table.locator('tbody td').nth(1).textContent());
    // so does what is said of the crosshair there
    const apart = async (from: number[]): Promise<number> =>
      Math.max(...mmOf(await text('place-fixed')).map((at, axis) => Math.abs(at - from[axis])));
    await expect.poll(() => apart(best)).toBeLessThan(0.11);
    const mark = async (): Promise<number[]> => {
      const marked = (await page.evaluate(`{
        const cover = document.querySelector('#viewer-fixed + .cover');
        const { data, width } = cover.getContext('2d').getImageData(0, 0, cover.width, cover.height);
        [...new Uint32Array(data.buffer).entries()]
          .filter(([, colour]) => colour === 0xff60ff40)
          .map(([at]) => [at % width, Math.floor(at / width)]);
      }`)) as [number, number][];
      // of the slice that has it first
      const near = marked.filter(([x, y]) => Math.hypot(x - marked[0][0], y - marked[0][1]) < 50);
      return [0, 1].map((axis) => near.reduce((sum, at) => sum + at[axis], 0) / near.length);
    };
    // painted with the next frame
    await expect.poll(async () => Number.isFinite((await mark())[0])).toBe(true);
    const [x, y] = await mark();
    await page.locator('#viewer-fixed').click({ position: { x, y } });
    await expect.poll(() => table.textContent()).toMatch(/in the second image/);
    const found = mmOf(await text('place-fixed'));
    for (const axis of [0, 1, 2]) expect(Math.abs(found[axis] - best[axis])).toBeLessThan(3);
    await expect.poll(mark).toEqual([Number.NaN, Number.NaN]);
    // drawn without a GPU, a drag has fewer pixels; answers lie where the pointer is, and the last one has all pixels again
    const width = (): Promise<unknown> => page.evaluate(`document.querySelector('#viewer-fixed').width`);
    const all = await width();
    const box = (await page.locator('#viewer-fixed').boundingBox())!;
    await page.mouse.move(box.x + x - 20, box.y + y);
    await page.mouse.down();
    await page.mouse.move(box.x + x - 10, box.y + y);
    expect(await width()).toBe(Math.floor((all as number) / 2));
    await page.mouse.move(box.x + x, box.y + y);
    // half as many pixels are a few tenths of a millimetre
    await expect.poll(() => apart(found)).toBeLessThan(3);
    await page.mouse.up();
    expect(await width()).toBe(all);
    const local = await table.textContent();
    await page.selectOption('#kind', 'global');
    await expect.poll(() => table.textContent(), { timeout: 60_000 }).not.toBe(local);
  });

  it('is accessible as far as axe can tell, dark and light', async () => {
    await page.evaluate(axe.source);
    for (const colorScheme of ['dark', 'light'] as const) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate(() => (globalThis as unknown as Api).axe.run());
      expect(violations.map(({ id, help }) => `${id}: ${help}`)).toEqual([]);
    }
  });

  it('keeps every control within its section in a narrow window', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    const beyond = await page.evaluate(`
      [...document.querySelectorAll('section :is(input, select, button, a)')]
        .filter((one) => one.getClientRects().length > 0 && !one.closest('.scrolls'))
        .filter((one) => one.getBoundingClientRect().right > one.closest('section').getBoundingClientRect().right)
        .map((one) => one.id || one.textContent)`);
    await page.setViewportSize({ width: 1280, height: 1000 });
    expect(beyond).toEqual([]);
  });

  it('refuses what is no model and no image, in words', async () => {
    await page.setInputFiles('#model', folder);
    await saying('model-text', /gvsl-page-.*: expected config\.json and model\.safetensors, or a run.* found neither/);
    await mkdir(join(folder, 'broken'));
    await copyFile(join(folder, 'model', 'config.json'), join(folder, 'broken', 'config.json'));
    await writeFile(join(folder, 'broken', 'model.safetensors'), Buffer.alloc(100));
    await page.setInputFiles('#model', join(folder, 'broken'));
    await saying('model-text', /broken\/model\.safetensors: /);
    const whole = gunzipSync(await readFile(join(folder, 'heart.nii.gz')));
    const four = Buffer.concat([whole, whole.subarray(352)]);
    // NIfTI-1: dim[0], then dim[4]
    four.writeInt16LE(4, 40);
    four.writeInt16LE(2, 48);
    const huge = Buffer.from(whole);
    for (const at of [42, 44, 46]) huge.writeInt16LE(30_000, at);
    const dicom = Buffer.alloc(400);
    dicom.write('DICM', 128);
    for (const [name, buffer, wrong] of [
      ['noise.nii', Buffer.alloc(400, 1), /noise\.nii: not NIfTI/],
      ['letter.nii', Buffer.from('Dear reader, '.repeat(30)), /letter\.nii: not NIfTI: it holds text, .*choose/],
      ['huge.nii', huge, /huge\.nii: its 30000 x 30000 x 30000 voxels take 49\.1 TiB, and a page can address 2 GiB: crop/],
      ['gzip.nii.gz', Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]), /gzip\.nii\.gz: its compressed stream is damaged/],
      ['cut.nii', whole.subarray(0, whole.length / 2), /cut\.nii: its header states .* truncated or damaged/],
      ['four.nii', four, /four\.nii: it holds 2 volumes, choose one below/],
      ['slice.dcm', dicom, /slice\.dcm: /],
      ['notes.txt', Buffer.from('no image'), /notes\.txt: not a supported format: expected \.nii/],
      ['empty.nii', Buffer.alloc(0), /empty\.nii: it is empty/],
    ] as const) {
      await page.setInputFiles('#image', { name, mimeType: '', buffer });
      await saying('image-text', wrong);
    }
    const [nx, ny] = [whole.readInt16LE(42), whole.readInt16LE(44)];
    const flat = Buffer.from(whole.subarray(0, 352 + 2 * nx * ny));
    flat.writeInt16LE(1, 46);
    await page.setInputFiles('#image', { name: 'flat.nii', mimeType: '', buffer: flat });
    await saying('image-text', /flat\.nii: .* one voxel along an axis: .* open the whole scan/);
    expect(await page.locator('#segment').isDisabled()).toBe(true);
    expect(await text('apply-missing')).toBe('Open a model first.');
  });

  it('says of every section which model or image it lacks', async () => {
    const task: ModelConfiguration['task'] = { kind: 'classification', classes: ['ill', 'well'], patch: [16, 16, 16] };
    const { preprocessing } = JSON.parse(await readFile(join(folder, 'model', 'config.json'), 'utf8'));
    await writeTinyModel(join(folder, 'classifier'), { classification: 1 }, { preprocessing, task });
    await page.click('#example');
    await saying('model-text', /^Example/);
    await page.waitForSelector('#images tr >> text=patient_2');
    const lines = () => page.locator('[data-missing]:visible').allTextContents();
    await page.setInputFiles('#model', join(folder, 'classifier'));
    await saying('model-text', /use gvsl classify/);
    const said = (await lines()).join(' ');
    for (const what of ['Segmenting', 'Showing features', 'Registering', 'Comparing', 'Teaching', 'Fine-tuning'])
      expect(said).toContain(`${what} needs a model `);
    await page.setInputFiles('#model', join(folder, 'model'));
    await saying('model-text', /segments 3 structures/);
    expect(await lines()).toEqual([
      'Registering needs a model with a matching head: gvsl pretrain --method gvsl makes one. model has none.',
    ]);
  });

  it('segments as the command line does, on the CPU and on the GPU', async () => {
    const out = join(folder, 'out');
    const inputs = [join(folder, 'heart.nii.gz')];
    const call = { model: join(folder, 'model'), inputs, out, probabilities: true, progress: SILENT };
    const report = await segmentImages({ ...call, backend: await createBackend('cpu', 1) });
    const expected = await Promise.all(
      report.images[0].files.slice(1).map(async (file) => (await readImage(join(out, file))).volume.data),
    );
    await page.setInputFiles('#model', call.model);
    await saying(
      'model-text',
      /model: trained for segmentation, width 0\.125, 0 steps; CT at 10 x 10 x 10 mm; segments 3 structures/,
    );
    await page.setInputFiles('#image', inputs[0]);
    await saying('image-text', /voxels of 10 x 10 x 10 mm, int16/);
    for (const backend of BACKENDS) {
      const found = await page.evaluate(async (name) => {
        const { compute, workspace, Comlink } = (globalThis as unknown as Api).gvsl;
        const { probabilities } = await compute.segment(
          workspace.first.id,
          name,
          true,
          Comlink.proxy(() => {}),
        );
        return probabilities.map((values) => Array.from(values));
      }, backend);
      expect(found).toHaveLength(CODES.length);
      found.forEach((values, k) => {
        expect(worstDifference(values, expected[k]), `${backend}, class ${k}`).toBeLessThan(1e-4);
      });
    }
    // the buttons do the same and show it; the saved file is the command line's, geometry and codes
    await page.selectOption('#backend', 'cpu');
    await page.click('#segment');
    await saying('apply-status', /done in .* on WebAssembly/);
    expect(await page.locator('#result-table tbody tr').count()).toBe(CODES.length - 1);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    expect(download.suggestedFilename()).toBe('heart_labels.nii.gz');
    await download.saveAs(join(folder, 'saved.nii.gz'));
    const saved = await readImage(join(folder, 'saved.nii.gz'));
    const theirs = await readImage(join(out, report.images[0].files[0]));
    expect(saved.volume.geometry).toEqual(theirs.volume.geometry);
    expect([...saved.volume.data]).toEqual([...theirs.volume.data]);
  });

  it('registers as the command line does', async () => {
    const [fixed, moving] = [join(folder, 'heart.nii.gz'), join(folder, 'other.nii.gz')];
    const out = join(folder, 'registered');
    const model = join(folder, 'matcher');
    const report = await registerImages({ model, fixed, moving, out, backend: await createBackend('cpu', 1), progress: SILENT });
    await page.setInputFiles('#model', model);
    await saying('model-text', /matcher: pre-trained, .*; registers, shows features/);
    await page.setInputFiles('#image', [fixed, moving]);
    await saying('image-text', /2 images opened/);
    const theirs = (await readImage(join(out, report.files.warped))).volume;
    for (const [backend, named] of [
      ['cpu', /done in .* on WebAssembly/],
      ['webgpu', /done in .* on WebGPU/],
    ] as const) {
      await page.selectOption('#backend', backend);
      await page.click('#register');
      await saying('registration-status', named);
      const ncc = await page.locator('#registration-table td:last-child').allInnerTexts();
      expect(ncc).toHaveLength(3);
      // the command line's first stage, as stored, has no row here
      ncc.forEach((value, k) => {
        expect(Number(value)).toBeCloseTo(report.stages[k + 1].ncc, 2.5);
      });
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('#registration-save')]);
      expect(download.suggestedFilename()).toBe('other_on_heart.nii.gz');
      await download.saveAs(join(folder, 'warped.nii.gz'));
      const saved = (await readImage(join(folder, 'warped.nii.gz'))).volume;
      expect(saved.geometry).toEqual(theirs.geometry);
      // whole numbers: rounding may fall either way
      expect(worstDifference(saved.data, theirs.data), backend).toBeLessThanOrEqual(1);
    }
  });

  it('has the features that the command line has', async () => {
    const out = join(folder, 'features');
    const call = { model: join(folder, 'model'), inputs: [join(folder, 'heart.nii.gz')], out, progress: SILENT };
    await embedImages({ ...call, backend: await createBackend('cpu', 1) });
    const expected = (await readSafetensors(join(out, 'heart.safetensors'))).tensors.get('local')!;
    await page.setInputFiles('#model', call.model);
    await saying('model-text', /trained for segmentation, .*; segments 3 structures, shows features/);
    for (const backend of BACKENDS) {
      const found = await page.evaluate(async (name) => {
        const { compute, workspace, Comlink } = (globalThis as unknown as Api).gvsl;
        const { local } = await compute.features(
          workspace.first.id,
          name,
          true,
          Comlink.proxy(() => {}),
        );
        return Array.from(local);
      }, backend);
      expect(worstDifference(found, expected.data), backend).toBeLessThan(1e-4);
    }
    await page.selectOption('#backend', 'cpu');
    const image = await coloursOf(page, 'gvsl.viewer');
    expect(image.greys).toBeGreaterThan(30);
    await page.click('#features');
    await saying('apply-status', /done in .* on WebAssembly/);
    expect((await coloursOf(page, 'gvsl.viewer')).colours).toBeGreaterThan(image.colours + 30);
    expect(await page.getAttribute('#save', 'download')).toBe('heart_features.nii.gz');
  });

  it('stops when told, and goes on after the GPU was lost', async () => {
    await page.selectOption('#backend', 'webgpu');
    await page.click('#segment');
    await saying('apply-status', /segmenting: \d+ of \d+ windows/);
    await page.click('#apply .stop');
    await saying('apply-status', /segmenting: \d+ of \d+ windows; stopped/);
    await page.click('#segment');
    await saying('apply-status', /segmenting: \d+ of \d+ windows/);
    await page.workers()[0].evaluate('device.destroy()');
    await saying('apply-status', /^WebGPU: /);
    expect(await page.getAttribute('#apply-status', 'class')).toContain('wrong');
    await page.selectOption('#backend', 'cpu');
    await page.click('#segment');
    await saying('apply-status', /done in .* on WebAssembly/);
  });

  it('trains with a falling loss, and stops when told', async () => {
    await page.selectOption('#backend', 'cpu');
    await page.fill('#subjects', '3');
    await page.fill('#steps', '100');
    await page.selectOption('#width', '0.125');
    await page.click('#train');
    await saying('training-status', /step 100 of 100, loss .*; done/);
    const losses = await page.evaluate(() => (globalThis as unknown as Api).gvsl.losses);
    const mean = (part: typeof losses): number => part.reduce((sum, { total }) => sum + total, 0) / part.length;
    expect(losses).toHaveLength(100);
    expect(mean(losses.slice(-30))).toBeLessThan(0.95 * mean(losses.slice(0, 30)));
    await page.fill('#steps', '5000');
    await page.click('#train');
    await saying('training-status', /step \d+ of 5000/);
    await page.click('#training .stop');
    await saying('training-status', /step \d+ of 5000, loss .*; stopped/);
    // numbers out of range start nothing; the browser says so at the field
    await page.fill('#steps', '5001');
    await page.click('#train');
    expect(await page.locator('#steps:invalid').count()).toBe(1);
    expect(await text('training-status')).toMatch(/stopped/);
  });

  it('asks nobody but its own server, and complains of nothing', () => {
    expect(asked.filter((url) => !url.startsWith(server.url) && !/^(blob|data):/.test(url))).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it('computes with one thread where the page is not isolated', async () => {
    const plain = await servePage(PAGE, 0, { isolated: false });
    // both draw in software, and Chromium lets them take turns
    await page.close();
    try {
      const other = await open(plain.url);
      expect(await other.locator('#backend option').allInnerTexts()).toContainEqual(expect.stringMatching(/CPU: 1 thread$/));
      await other.setInputFiles('#model', join(folder, 'model'));
      await other.setInputFiles('#image', join(folder, 'heart.nii.gz'));
      await other.selectOption('#backend', 'cpu');
      await other.locator('#segment:enabled').click();
      await expect
        .poll(
          () =>
            other
              .locator('#apply-status')
              .textContent()
              .then((found) => found ?? ''),
          { timeout: 240_000 },
        )
        .toMatch(/done in .* on WebAssembly, .*1 thread$/);
      await other.close();
    } finally {
      await plain.close();
    }
  });
});
