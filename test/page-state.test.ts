/** What changes in the page while something else is under way: images closed, chosen one after the other, reloads, several tabs. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, SOFTWARE_WEBGL } from '../scripts/chromium.mjs';
import { writeImage } from '../src/images/node/write.ts';
import { renderSubject } from '../src/phantom/subject.ts';
import { type PageServer, servePage } from '../src/platform/node/page-server.ts';
import { PAGE, SKIPPED } from './built-page.ts';

describe.skipIf(SKIPPED !== '')(`the page while something is under way${SKIPPED}`, () => {
  let browser: Browser;
  let context: BrowserContext;
  let server: PageServer;
  let page: Page;
  let folder: string;
  const complaints: string[] = [];
  const text = async (id: string): Promise<string> => (await page.locator(`#${id}`).textContent()) ?? '';
  const saying = (id: string, pattern: RegExp): Promise<void> =>
    expect.poll(() => text(id), { timeout: 120_000, interval: 50 }).toMatch(pattern);
  /** Opens the page anew; it begins with its example. */
  const reopen = async (): Promise<void> => {
    await page.goto(server.url);
    await page.waitForFunction(() => (globalThis as { gvsl?: { ready: boolean } }).gvsl?.ready);
  };
  /** Lines that were shown as errors since the page was opened: there they are noted as they come. */
  const errors = async (): Promise<unknown> => page.evaluate('globalThis.wrongLines');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-page-state-'));
    for (const [k, name] of ['a', 'b'].entries()) {
      const { image } = renderSubject({ kind: 'heart-ct', seed: 3, subject: k, spacingMm: 8, pose: 0.3 });
      const data = Float32Array.from(image.data);
      // of the second one some voxels are no numbers
      if (k === 1)
        for (const [i, value] of [Number.NaN, Number.NaN, Infinity, -Infinity, Number.NaN].entries()) data[1000 + 7 * i] = value;
      await mkdir(join(folder, 'all', name, 'scan'), { recursive: true });
      await writeImage(join(folder, 'all', name, 'scan', 'image.nii.gz'), { ...image, data });
    }
    server = await servePage(PAGE, 0);
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: SOFTWARE_WEBGL });
    context = await browser.newContext({ viewport: { width: 900, height: 700 }, deviceScaleFactor: 0.5 });
    page = await context.newPage();
    // machines under load start slowly
    page.setDefaultTimeout(120_000);
    page.on('pageerror', ({ message }) => complaints.push(message));
    await page.addInitScript(`{
      globalThis.wrongLines = [];
      new MutationObserver(() => {
        for (const { textContent } of document.querySelectorAll('.wrong')) if (!wrongLines.includes(textContent)) wrongLines.push(textContent);
      }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    }`);
    await reopen();
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('learns from the images that are left when one is closed meanwhile, and ends quietly when nothing is left to learn from', async () => {
    // in the page itself, since a click from here may come too late
    const clicking = async (first: string, phase: string, then: string): Promise<void> => {
      // the images of an example are listed before its model is ready
      await expect.poll(() => page.isEnabled(first)).toBe(true);
      await page.evaluate(`new Promise((resolve) => {
        const status = document.getElementById('teach-status');
        const observer = new MutationObserver(() => {
          if (!status.textContent.includes('${phase}')) return;
          observer.disconnect();
          document.querySelector('${then}').click();
          resolve();
        });
        observer.observe(status, { childList: true, characterData: true, subtree: true });
        document.querySelector('${first}').click();
      })`);
    };
    for (const phase of ['features of', 'segmenting']) {
      await reopen();
      if ((await text('teach-kept-text')) !== '') await page.click('#teach-discard');
      await clicking('#teach-example', phase, '[aria-label="close patient_2.nii"]');
      await saying('teach-status', /learnt in .*, segmented the image in .*closed meanwhile, and left out: patient_2\.nii/);
      expect(await page.locator('#teach-table tbody td').count()).toBe(2);
    }
    await clicking('#teach-learn', 'learning', '[aria-label="close patient_1.nii"]');
    await saying('teach-status', /^Closed: patient_1\.nii; what was being learnt has ended\. Open an image first\./);
    // another model
    await page.click('#example');
    await saying('images', /patient_2/);
    await clicking('#teach-example', 'segmenting', '#example');
    await saying('teach-status', /^Another model was opened; what was being learnt has ended\./);
    expect(await errors()).toEqual([]);
    expect(complaints).toEqual([]);
  }, 240_000);

  it('shows of images that are chosen one after the other the last one, with its own strokes', async () => {
    await reopen();
    if ((await text('teach-kept-text')) !== '') await page.click('#teach-discard');
    await page.uncheck('#teach-auto');
    await page.click('#teach-example');
    await page.locator('#teach-viewer').scrollIntoViewIfNeeded();
    const drawn = (): Promise<unknown> =>
      page.evaluate(`(gvsl.teaching.viewer.strokes() ?? []).reduce((sum, code) => sum + Number(code !== 0), 0)`);
    await expect.poll(drawn).toBeGreaterThan(0);
    // the first choice is read more slowly than the second
    await page.evaluate(`{
      const { workspace } = gvsl;
      const niftiOf = workspace.niftiOf.bind(workspace);
      let calls = 0;
      workspace.niftiOf = async (image) => {
        const slow = calls++ === 0;
        const file = await niftiOf(image);
        if (slow) await new Promise((resolve) => setTimeout(resolve, 1500));
        globalThis.reads = (globalThis.reads ?? 0) + 1;
        return file;
      };
      const select = document.getElementById('teach-image');
      const choose = (k) => {
        select.selectedIndex = k;
        select.dispatchEvent(new Event('change'));
      };
      choose(0);
      choose(1);
    }`);
    await expect.poll(() => page.evaluate('globalThis.reads')).toBe(2);
    await expect.poll(drawn).toBe(0);
    await page.waitForTimeout(500);
    expect(await drawn()).toBe(0);
    expect(await page.evaluate('gvsl.teaching.viewer.niivue.volumes[0].name')).toMatch(/patient_2/);
    await page.locator('#teach-image').selectOption({ index: 0 });
    await expect.poll(drawn).toBeGreaterThan(0);
    await page.check('#teach-auto');
    expect(await errors()).toEqual([]);
    expect(complaints).toEqual([]);
  }, 240_000);

  it('tells images of one name apart by their folders, in results, and says what is no number', async () => {
    await reopen();
    if ((await text('teach-kept-text')) !== '') await page.click('#teach-discard');
    await page.setInputFiles('#folder', join(folder, 'all'));
    await saying('found-heading', /2 images found/);
    await page.click('#found-open');
    await saying('image-text', /2 images opened/);
    await saying('images', /all\/a\/scan\/image\.nii\.gz.*all\/b\/scan\/image\.nii\.gz.*NaN or infinite voxels: 5/s);
    await page.click('#features-all');
    await saying('apply-status', /2 images done/);
    // as the command line says it: what they are taken for depends on the model
    expect(await text('result-table')).toMatch(/b\/scan\/image\.nii\.gz.*NaN or infinite voxels: 5, set to -1024/s);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    await download.saveAs(join(folder, 'features.zip'));
    const files = unzipSync(new Uint8Array(await readFile(join(folder, 'features.zip'))));
    expect(Object.keys(files).sort()).toEqual(['a_image_features.nii.gz', 'b_image_features.nii.gz']);
    expect(await errors()).toEqual([]);
    expect(complaints).toEqual([]);
  }, 240_000);
});
