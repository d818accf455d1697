/** What changes in the page while something else is under way: images closed, chosen one after the other, reloads, several tabs. */
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, SOFTWARE_WEBGL } from '../scripts/chromium.mjs';
import { type PageServer, servePage } from '../src/platform/node/page-server.ts';
import { PAGE, SKIPPED } from './built-page.ts';

describe.skipIf(SKIPPED !== '')(`the page while something is under way${SKIPPED}`, () => {
  let browser: Browser;
  let context: BrowserContext;
  let server: PageServer;
  let page: Page;
  const complaints: string[] = [];
  const text = async (id: string): Promise<string> => (await page.locator(`#${id}`).textContent()) ?? '';
  const saying = (id: string, pattern: RegExp): Promise<void> =>
    expect.poll(() => text(id), { timeout: 120_000, interval: 50 }).toMatch(pattern);
  /** Opens the page anew, with its example. */
  const reopen = async (): Promise<void> => {
    await page.goto(server.url);
    await page.waitForFunction('globalThis.gvsl?.ready');
  };
  /** Lines that were shown as errors since the page was opened: there they are noted as they come. */
  const errors = async (): Promise<unknown> => page.evaluate('globalThis.wrongLines');

  beforeAll(async () => {
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
  });

  it('learns from the images that are left when one is closed meanwhile, and ends quietly when nothing is left to learn from', async () => {
    await page.click('#teach-example');
    await saying('teach-status', /segmented 2 images/);
    // while features are computed, and while heads are learnt from them
    for (const phase of [/features of/, /learning|segmenting/]) {
      await reopen();
      if ((await text('teach-kept-text')) !== '') await page.click('#teach-discard');
      if (phase.test('learning')) {
        await page.click('#teach-example');
        await saying('teach-status', /segmented 2 images/);
        await page.click('#teach-learn');
      } else await page.click('#teach-example');
      await saying('teach-status', phase);
      await page.getByLabel('close patient_2.nii').click();
      await saying('teach-status', /learnt in .*, segmented the image in .*closed meanwhile, and left out: patient_2\.nii/);
      expect(await page.locator('#teach-table tbody td').count()).toBe(2);
    }
    await page.click('#teach-learn');
    await page.getByLabel('close patient_1.nii').click();
    await saying('teach-status', /^Closed: patient_1\.nii; what was being learnt has ended\. Open an image first\./);
    // another model
    await page.click('#example');
    await saying('images', /patient_2/);
    await page.click('#teach-example');
    await saying('teach-status', /features of|learning|segmenting/);
    await page.click('#example');
    await saying('teach-status', /^(Another model was opened|Closed: patient_1)/);
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
});
