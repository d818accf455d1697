/**
 * The page by the keyboard alone: Tab, Enter, Space and arrow keys go through every section, from the example to saved files, and what has the keyboard
 * is seen. Skips, saying so, where there is no Chromium.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, SOFTWARE_WEBGL } from '../scripts/chromium.mjs';
import { type PageServer, servePage } from '../src/platform/node/page-server.ts';
import { PAGE, SKIPPED } from './built-page.ts';

describe.skipIf(SKIPPED !== '')(`the page by the keyboard alone${SKIPPED}`, () => {
  let folder: string;
  let browser: Browser;
  let server: PageServer;
  let page: Page;
  const complaints: string[] = [];
  const text = async (id: string): Promise<string> => (await page.locator(`#${id}`).textContent()) ?? '';
  const saying = (id: string, pattern: RegExp): Promise<void> =>
    expect.poll(() => text(id), { timeout: 240_000, interval: 100 }).toMatch(pattern);

  const press = async (...keys: readonly string[]): Promise<void> => {
    for (const key of keys) await page.keyboard.press(key);
  };
  /** More than the page has. */
  const MOST_STOPS = 200;
  /** Goes on by Tab until a control has the keyboard; each on the way must show that it has it. */
  async function tabTo(selector: string): Promise<void> {
    // not while a work of before lets the controls rest
    await page.waitForSelector(`${selector}:not(:disabled)`, { state: 'attached' });
    for (let stop = 0; stop < MOST_STOPS; stop++) {
      await press('Tab');
      const [isThere, unseen] = (await page.evaluate(`{
        const { activeElement } = document;
        const style = getComputedStyle(activeElement);
        const isOn = activeElement !== document.body;
        const isSeen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
        [activeElement.matches(${JSON.stringify(selector)}), isOn && !isSeen ? activeElement.outerHTML : ''];
      }`)) as [boolean, string];
      expect(unseen, 'has the keyboard and does not show it').toBe('');
      if (isThere) return;
    }
    throw new Error(`${selector} is not reached by Tab`);
  }
  /** The name of the file that Enter saves. */
  async function savedBy(selector: string): Promise<string> {
    await tabTo(selector);
    const [download] = await Promise.all([page.waitForEvent('download'), press('Enter')]);
    return download.suggestedFilename();
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-keyboard-'));
    await mkdir(join(folder, 'runs/one'), { recursive: true });
    const steps = [1, 2, 3].map((step) => JSON.stringify({ kind: 'step', step, loss: { total: 4 - step } }));
    await writeFile(join(folder, 'runs/one/metrics.jsonl'), `${steps.join('\n')}\n`);
    server = await servePage(PAGE, 0, { runs: join(folder, 'runs') });
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: SOFTWARE_WEBGL });
    page = await browser.newPage({ viewport: { width: 1280, height: 1000 }, deviceScaleFactor: 0.5 });
    page.setDefaultTimeout(240_000);
    page.on('pageerror', ({ message }) => complaints.push(message));
    await page.goto(server.url);
    await page.waitForFunction(() => (globalThis as unknown as { gvsl?: { ready: boolean } }).gvsl?.ready);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('opens the example, and shows and saves features', async () => {
    await tabTo('#example');
    await press('Enter');
    await saying('model-text', /^Example/);
    await tabTo('#features');
    await press('Enter');
    await saying('apply-status', /done in/);
    expect(await savedBy('#save')).toMatch(/^patient_1.*\.nii\.gz$/);
    // the crosshair, without a mouse over it
    await tabTo('#viewer');
    for (const key of ['ArrowRight', 'ArrowUp', 'PageUp', 'h', 'j', 'd']) {
      const before = await text('place');
      await press(key);
      await expect.poll(() => text('place')).not.toBe(before);
    }
  });

  it('registers, changes the view, and saves', async () => {
    await tabTo('#register');
    await press('Space');
    await saying('registration-status', /done in/);
    await tabTo('#view');
    const before = await page.inputValue('#view');
    await press('ArrowDown');
    expect(await page.inputValue('#view')).not.toBe(before);
    await tabTo('#before');
    await press('Space');
    await expect.poll(() => page.getAttribute('#before', 'aria-pressed')).toBe('true');
    expect(await savedBy('#registration-save')).toBe('patient_2_on_patient_1.nii.gz');
  });

  it('compares, and asks about other voxels of either image', async () => {
    await tabTo('#compare-button');
    await press('Enter');
    await saying('compare-said', /mm between both answers/);
    for (const [viewer, key, answered] of [
      ['#viewer-fixed', 'ArrowRight', /in the second image/],
      ['#viewer-moving', 'PageDown', /in the first image/],
    ] as const) {
      const before = await text('compare-table');
      await tabTo(viewer);
      await press(key);
      await expect.poll(() => text('compare-table')).not.toBe(before);
      expect(await text('compare-table')).toMatch(answered);
    }
  });

  it('teaches by lines and dots at the crosshair, and saves label maps', async () => {
    /** How many voxels of each code are drawn. */
    const drawn = (): Promise<Record<string, number>> =>
      page.evaluate(`{
        const found = {};
        for (const [, data] of gvsl.teaching.strokes.drawn) for (const code of data) if (code) found[code] = (found[code] ?? 0) + 1;
        found;
      }`);
    const times = (count: number, key: string): string[] => new Array<string>(count).fill(key);
    await tabTo('#teach-viewer');
    // a line of twelve voxels, one wide: a step of ten leaves no gap
    await press('-', 'Enter');
    await saying('teach-said', /Pen down, draws structure 1/);
    await press('ArrowRight', 'Shift+ArrowRight', 'Escape');
    expect(await drawn()).toEqual({ 1: 12 });
    await saying('teach-said', /Stroke of structure 1; 12 voxels drawn/);
    // what is drawn between down and up is one stroke; moves with the pen up draw nothing
    await press('ArrowUp', 'Enter', 'l', 'k', 'u', 'Enter', 'ArrowUp');
    expect(await drawn()).toEqual({ 1: 16 });
    await press('Control+z');
    expect(await drawn()).toEqual({ 1: 12 });
    await saying('teach-said', /Undone: 12 voxels drawn/);
    // around a square of 5 x 5, which is filled; then its middle is erased
    await press('f', 'Enter', ...times(4, 'ArrowUp'), ...times(4, 'ArrowLeft'), ...times(4, 'ArrowDown'), 'Enter');
    expect(await drawn()).toEqual({ 1: 12 + 25 });
    await press('e', '+', 'ArrowUp', 'ArrowUp', 'ArrowRight', 'ArrowRight', ' ');
    expect(await drawn()).toEqual({ 1: 12 + 25 - 9 });
    await press('p', '1', '-', ...times(12, 'ArrowLeft'), '0');
    await saying('teach-said', /Draws background/);
    await press(' ', 'Control+z', 'Control+y');
    expect((await drawn())[255]).toBe(1);
    await saying('teach-status', /learnt in .* s, segmented 2 images in/);
    expect(await savedBy('#teach-save-labels')).toBe('labels.zip');
  });

  it('fine-tunes on what was taught, stops, and saves the model', async () => {
    // the list goes to the label map without the window that chooses a file
    await tabTo('#fine-tune-images select');
    await press('ArrowUp', 'ArrowDown');
    expect(await page.inputValue('#fine-tune-images select >> nth=0')).toBe('taught');
    await tabTo('#fine-tune-start');
    await press('Enter');
    await saying('fine-tune-status', /step \d+ of/);
    await tabTo('#fine-tune .stop');
    await press('Enter');
    await saying('fine-tune-status', /stopped after .* is the open model now/);
    expect(await savedBy('#fine-tune-save')).toBe('fine-tuned.zip');
  });

  it('goes to the runs and looks at one', async () => {
    await tabTo('nav a[href="#runs"]');
    await press('Enter');
    await saying('runs-text', /1 run/);
    await tabTo('#runs-table a');
    await press('Enter');
    await saying('runs-status', /step 3/);
  });

  it('complains of nothing', () => {
    expect(complaints).toEqual([]);
  });
});
