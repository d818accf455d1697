/** Runs and studies in the page, served by `gvsl page --runs` or chosen as a folder, in a headless Chromium. Skips, saying so, where there is none. */
import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, SOFTWARE_WEBGL } from '../scripts/chromium.mjs';
import { SILENT } from '../src/common/progress.ts';
import { type PageServer, servePage } from '../src/platform/node/page-server.ts';
import { writeFakeRun } from '../src/report/testing/run-folder.ts';
import { pretrain } from '../src/training/node/pretrain.ts';
import { writeTinyCohort } from '../src/training/testing/tiny-cohort.ts';
import { PAGE, SKIPPED } from './built-page.ts';

const TABLE = `method,mode,labels,seeds,mean,deviation,difference,low,high,p,pHolm
scratch,finetune,4,1,0.5,,,,,,
mae,finetune,4,1,0.75,,0.25,0.2,0.3,0.002,0.008
`;
const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><script>top.hacked = 1</script><rect width="40" height="20"/></svg>';

interface Shown {
  readonly naturalWidth: number;
}

describe.skipIf(SKIPPED !== '')(`runs in the page${SKIPPED}`, () => {
  let folder: string;
  let browser: Browser;
  let server: PageServer;
  let page: Page;
  const complaints: string[] = [];
  const asked: string[] = [];
  const at = (...names: readonly string[]): string => join(folder, 'runs', ...names);
  const text = (selector: string): Promise<string> =>
    page
      .locator(selector)
      .allInnerTexts()
      .then((texts) => texts.join('\n'));
  const saying = (selector: string, pattern: RegExp, timeout = 120_000): Promise<void> =>
    expect.poll(() => text(selector), { timeout, interval: 100 }).toMatch(pattern);
  const charts = async (): Promise<string[]> => page.locator('#runs-drawn h4').allInnerTexts();
  const hash = (): Promise<string> => page.evaluate('location.hash') as Promise<string>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-page-runs-'));
    await mkdir(at(), { recursive: true });
    writeFakeRun(at('heart', 'one'));
    writeFakeRun(at('heart', 'two'), { steps: 300, name: '<b>x</b>' });
    writeFakeRun(at('heart', 'other'), { evaluations: false });
    await mkdir(at('nothing'));
    await writeFile(at('nothing', 'metrics.jsonl'), '');
    await mkdir(at('broken'));
    await writeFile(at('broken', 'run.json'), '{');
    await writeFile(at('broken', 'metrics.jsonl'), 'no line\n{"kind":"step","step":4,"loss":{"total":1}}\n');
    await mkdir(at('study', 'runs', 'mae-finetune-4-seed7'), { recursive: true });
    await writeFile(at('study', 'table.csv'), TABLE);
    await writeFile(at('study', 'ranks.svg'), SVG);
    await writeFile(at('study', 'runs', 'mae-finetune-4-seed7', 'run.json'), '{"task":{"kind":"segmentation","labels":[]}}');
    const subjects = [{ id: 'patient <1>', dice: [0.5, 0.7] }];
    await writeFile(at('study', 'runs', 'mae-finetune-4-seed7', 'test.json'), JSON.stringify({ step: 1, summary: {}, subjects }));
    // a hundred thousand steps, one of which jumps
    await mkdir(at('long'));
    const lines = Array.from({ length: 100_000 }, (_, i) =>
      JSON.stringify({ kind: 'step', step: i + 1, loss: { total: i === 70_002 ? 9 : 1 }, gradientNorm: {}, learningRate: 1e-3 }),
    );
    await writeFile(at('long', 'metrics.jsonl'), `${lines.join('\n')}\n`);
    await mkdir(at('medium'));
    await writeFile(at('medium', 'metrics.jsonl'), `${lines.slice(0, 900).join('\n')}\n`);
    server = await servePage(PAGE, 0, { runs: at() });
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: SOFTWARE_WEBGL,
    });
    page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('request', (request) => asked.push(request.url()));
    // machines under load start slowly
    page.setDefaultTimeout(120_000);
    await page.goto(`${server.url}#runs`);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('lists runs and studies; sorts and filters them', async () => {
    await saying('#runs-text', /^runs: 8 runs, 1 study$/);
    const names = (): Promise<string[]> => page.locator('#runs-table tbody th').allInnerTexts();
    await page.click('#runs-table thead button:text("Run")');
    expect(await names()).toEqual([
      'broken',
      'heart/one',
      'heart/other',
      'heart/two',
      'long',
      'medium',
      'nothing',
      'study/runs/mae-finetune-4-seed7',
    ]);
    await page.click('#runs-table thead button:text("Run")');
    expect((await names())[0]).toBe('study/runs/mae-finetune-4-seed7');
    expect(await hash()).toBe('#runs?sort=-name');
    const row = await text('#runs-table tr:has-text("heart/one")');
    expect(row).toMatch(/GVSL, whole\s.*600 of 600\s+finished\s+landmark error 7\.50\smm/);
    expect(await text('#runs-table tr:has-text("nothing")')).toMatch(/not started/);
    await page.fill('#runs-filter', 'two gvsl');
    await expect.poll(names).toEqual(['heart/two']);
    await page.fill('#runs-filter', '');
    await page.selectOption('#runs-state', 'finished');
    await expect.poll(async () => (await names()).length).toBe(4);
    await page.selectOption('#runs-state', '');
  });

  it('shows a run: curves, pictures, figures, configuration', async () => {
    await page.click('#runs-table a:text-is("heart/one")');
    await saying('#runs-status', /^finished, step 600 of 600/);
    expect(await hash()).toContain('run=heart/one');
    expect(await charts()).toEqual([
      'Landmark error (mm)',
      'Label overlap (Dice)',
      'Image similarity (local NCC)',
      'Folded voxels (%)',
      'Loss',
      'Smaller loss terms (logarithmic)',
      'Gradient norms (logarithmic)',
      'Time of a step (seconds)',
    ]);
    expect(await page.locator('#runs-drawn canvas').count()).toBe(8);
    await saying('#runs-report', /decreases from 12\.50\smm to 7\.50\smm \(40\s%\), better in 3 of 3 pairs/);
    expect(await text('#runs-report .facts')).toMatch(/Some processor, Node 20\.19\.1/);
    expect(await page.locator('#runs-shown img').count()).toBe(3);
    const widths = (): Promise<number[]> =>
      page.locator('#runs-shown img').evaluateAll((images) => images.map((image) => (image as unknown as Shown).naturalWidth));
    await expect.poll(async () => Math.min(...(await widths()))).toBeGreaterThan(100);
    expect(await text('#runs-shown')).toMatch(/heart_000 to heart_010/);
    await page.click('#runs-report summary:text("Configuration")');
    expect(await text('#runs-report pre')).toContain('"learningRate": 0.001');
    // lines of the legend are hidden by a click, here and by whoever follows the link
    await page.click('#runs-drawn .legend button[data-label="after affine"] >> nth=0');
    await expect.poll(hash).toContain('hide=after+affine');
    await expect.poll(() => page.locator('#runs-drawn .legend [aria-pressed="false"]').count()).toBe(4);
  });

  it('has names that are no markup', async () => {
    await page.click('#runs-table a:text-is("heart/two")');
    await saying('#runs-report', /heart_000<b>x<\/b>/);
    expect(await page.locator('#runs-report b').count()).toBe(0);
  });

  it('compares runs in one chart, each with its colour', async () => {
    await page.check('input[aria-label="compare heart/one"]');
    await saying('#runs-title', /2 runs compared/);
    const titles = await charts();
    expect(titles).toContain('Landmark error: after both (mm)');
    expect(titles).toContain('Loss: total');
    expect(await page.locator('#runs-drawn figure:has-text("Loss: total") .legend button').allInnerTexts()).toEqual([
      'two',
      'one',
    ]);
    await page.selectOption('#runs-charts', 'all');
    await expect.poll(async () => (await charts()).length).toBeGreaterThan(titles.length);
    await page.fill('#runs-from', '100');
    await page.fill('#runs-to', '200');
    await page.press('#runs-to', 'Enter');
    await expect.poll(hash).toMatch(/from=100&to=200/);
    // back: the one run before
    await page.goBack();
    await saying('#runs-title', /^heart\/two$/);
    await page.goForward();
    await saying('#runs-title', /2 runs compared/);
    const link = page.url();
    const other = await browser.newPage();
    await other.goto(link);
    await expect.poll(() => other.locator('#runs-title').textContent(), { timeout: 60_000 }).toMatch(/2 runs compared/);
    expect(await other.inputValue('#runs-from')).toBe('100');
    await other.close();
  });

  it('keeps a single jump of a hundred thousand steps', async () => {
    await page.goto(`${server.url}#runs?run=long&smooth=no`);
    await saying('#runs-status', /step 100000/);
    // the list reads the end of a log alone, while the view reads all of it
    await page.goto(`${server.url}#runs?run=medium`);
    await page.reload();
    await saying('#runs-status', /step 900/);
    expect(await text('#runs-table tr:has-text("medium")')).toMatch(/\s900\s/);
    await page.goto(`${server.url}#runs?run=long&smooth=no`);
    await saying('#runs-status', /step 100000/);
    // the first pixel from above in the colour of the line: far more blue than red
    const highest = (await page.evaluate(`(() => {
      const canvas = document.querySelector('#runs-drawn canvas');
      const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 100 && data[i + 2] - data[i] > 60) return { y: Math.floor(i / 4 / width) / height, x: ((i / 4) % width) / width };
    })()`)) as { x: number; y: number };
    expect(highest.y).toBeLessThan(0.25);
    expect(highest.x).toBeGreaterThan(0.65);
    expect(highest.x).toBeLessThan(0.85);
  });

  it('says what is missing or damaged', async () => {
    await page.goto(`${server.url}#runs?run=broken`);
    await saying('#runs-status', /no curves yet.* 1 line of its log cannot be read/);
    await page.goto(`${server.url}#runs?run=nothing`);
    await saying('#runs-status', /^not started, step 0/);
    await page.goto(`${server.url}#runs?run=away`);
    await saying('#runs-text', /Not in this folder: away/);
  });

  it('shows what was chosen last, also when what was chosen before it is read more slowly', async () => {
    await page.goto(`${server.url}#runs`);
    await saying('#runs-text', /8 runs, 1 study$/);
    let isAsked = false;
    let go = (): void => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    await page.route('**/study/table.csv', async (route) => {
      isAsked = true;
      await held;
      await route.continue();
    });
    await page.click('#studies-list a');
    await expect.poll(() => isAsked).toBe(true);
    await page.click('#runs-table a:text-is("heart/one")');
    await saying('#runs-status', /^finished, step 600 of 600/);
    const answered = page.waitForResponse('**/study/table.csv');
    go();
    await (await answered).finished();
    await page.waitForTimeout(500);
    expect(await page.locator('#runs-view').isVisible()).toBe(true);
    expect(await page.locator('#study-view').isVisible()).toBe(false);
    await page.unroute('**/study/table.csv');
    await page.click('#studies-list a');
    await saying('#study-view', /MAE/);
  });

  it('shows a study: table, figures, scores of each subject', async () => {
    await page.goto(`${server.url}#runs?study=study`);
    await saying('#study-view', /MAE\s+0\.750\s+\+0\.250 \(\+0\.200 to \+0\.300\), p 0\.002, Holm 0\.008/);
    await expect
      .poll(() => page.locator('#study-view img').evaluate((image) => (image as unknown as Shown).naturalWidth))
      .toBeGreaterThan(0);
    await page.click('#study-view summary');
    await saying('#study-view details', /patient <1>\s+\u2013\s+0\.600/);
    expect(await page.evaluate('globalThis.hacked')).toBe(undefined);
    expect(await page.isVisible('#runs-view')).toBe(false);
  });

  it('follows a training, and a run that is resumed', async () => {
    await writeTinyCohort(join(folder, 'cohort'));
    const train = (steps: number, resume: boolean) =>
      pretrain({
        method: 'restoration-only',
        cohort: join(folder, 'cohort'),
        out: at('live'),
        resume,
        configuration: {
          steps,
          learningRate: 1e-3,
          threads: 1,
          model: { width: 0.125 },
          data: { patch: 16, heldOut: 2 },
          judgement: { examples: 2, probeSubjects: 2 },
          log: { everySteps: 1, evaluateEverySteps: 20, picturesEverySteps: 20, checkpointEverySteps: 20 },
        },
        progress: SILENT,
      });
    const done = train(40, false);
    await expect
      .poll(() => existsSync(at('live', 'metrics.jsonl')) && readFileSync(at('live', 'metrics.jsonl'), 'utf8').length > 500, {
        timeout: 60_000,
      })
      .toBe(true);
    await page.goto(`${server.url}#runs?run=live`);
    await page.reload();
    await saying('#runs-status', /step \d+ of 40/);
    await done;
    await saying('#runs-status', /step 40 of 40/);
    await expect.poll(charts).toContain('Loss');
    await saying('#runs-step-text', /^40 \(last\)/);
    // half a line says nothing yet
    const log = at('live', 'metrics.jsonl');
    const whole = readFileSync(log, 'utf8');
    appendFileSync(log, '{"kind":"step","step":41,');
    await page.waitForTimeout(3000);
    expect(await text('#runs-status')).toMatch(/step 40 of 40$/);
    // cut back as a resumed run cuts it, and on by another way
    truncateSync(log, whole.split('\n').slice(0, 10).join('\n').length + 1);
    await saying('#runs-status', /step [89] of 40/);
    appendFileSync(log, '{"kind":"step","step":12,"loss":{"total":3}}\n{"kind":"step","step":13,"loss":{"total":3}}\n');
    await saying('#runs-status', /step 13 of 40/);
    // only what is new is read
    const ranges: string[] = [];
    page.on('request', (request) => {
      const range = request.headers().range;
      // the list asks for the end, 'bytes=-65536'
      if (range && /=\d/.test(range) && request.url().endsWith('/live/metrics.jsonl')) ranges.push(range);
    });
    await expect.poll(() => ranges.length, { timeout: 30_000 }).toBeGreaterThan(1);
    expect(Number(/^bytes=(\d+)-/.exec(ranges[0])![1])).toBeGreaterThan(1000);
  });

  it('shows the scores of a test, which come after the last line of the log', async () => {
    await mkdir(at('judged'));
    const task = { kind: 'segmentation', labels: [0, 1].map((code) => ({ code, name: `label ${code}` })) };
    const scores = (dice: number) => ({ subjects: 1, dice, dicePerClass: [dice] });
    const judged = (dice: number) => JSON.stringify({ step: 2, summary: scores(dice), subjects: [] });
    const lines = [1, 2].map((step) => JSON.stringify({ kind: 'evaluation', step, ...scores(0.5) }));
    await writeFile(at('judged', 'run.json'), JSON.stringify({ task, configuration: { steps: 2 } }));
    await writeFile(at('judged', 'metrics.jsonl'), `${lines.join('\n')}\n`);
    await page.goto(`${server.url}#runs?run=judged`);
    await page.reload();
    await saying('#runs-report', /best checkpoint: 0\.500/);
    await writeFile(at('judged', 'test.json'), judged(0.375));
    await saying('#runs-report', /test subject.*: 0\.375/, 20_000);
  });

  it('goes on when its server comes back', async () => {
    await rename(at('heart', 'one'), join(folder, 'aside'));
    await page.goto(`${server.url}#runs?run=heart/one`);
    await page.reload();
    await saying('#runs-text', /Not in this folder: heart\/one/);
    await rename(join(folder, 'aside'), at('heart', 'one'));
    await page.reload();
    await saying('#runs-status', /step 600 of 600/);
  });

  it('is accessible as far as axe can tell, and fits narrow windows', async () => {
    await page.evaluate(axe.source);
    for (const view of ['#runs?run=heart/one', '#runs?run=heart/one&run=heart/two', '#runs?study=study'])
      for (const [colorScheme, width] of [
        ['dark', 1280],
        ['light', 400],
      ] as const) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 900 });
        await page.evaluate(`location.hash = ${JSON.stringify(view)}`);
        const violations = async (): Promise<string[]> => {
          const found = await page.evaluate(() =>
            (
              globalThis as unknown as {
                axe: { run(): Promise<{ violations: { id: string; help: string; nodes: { html: string }[] }[] }> };
              }
            ).axe.run(),
          );
          return found.violations.map(({ id, help, nodes }) => `${view} ${width}: ${id}: ${help} ${nodes[0].html}`);
        };
        // drawn anew a moment after the address
        await page.waitForTimeout(500);
        await expect.poll(violations).toEqual([]);
        // charts are drawn anew for the width, later on a busy machine
        await expect.poll(() => page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      }
    await page.setViewportSize({ width: 1280, height: 1000 });
  });

  it('opens a chosen folder where no server has runs', async () => {
    const plain = await servePage(PAGE, 0);
    try {
      const other = await browser.newPage();
      await other.goto(`${plain.url}#runs`);
      await other.setInputFiles('#runs-folder', at('heart'));
      await expect.poll(() => other.locator('#runs-text').textContent(), { timeout: 60_000 }).toBe('heart: 3 runs');
      await other.click('#runs-table a:text-is("one")');
      await expect.poll(() => other.locator('#runs-status').textContent(), { timeout: 60_000 }).toMatch(/step 600 of 600/);
      await expect.poll(() => other.locator('#runs-shown img').count()).toBe(3);
      // a study is looked at itself, whatever runs it has
      await other.goto(`${plain.url}#runs`);
      await other.reload();
      await other.setInputFiles('#runs-folder', at('study'));
      await expect.poll(() => other.locator('#runs-text').textContent()).toBe('study: 1 run, 1 study');
      await expect.poll(() => other.locator('#study-view h3').textContent()).toBe('study');
      await other.close();
    } finally {
      await plain.close();
    }
  });

  it('goes between the sections by links, whose address names them', async () => {
    await page.click('#navigation a[href="#compare"]');
    await expect.poll(() => page.isVisible('#runs')).toBe(false);
    expect(await page.isVisible('#compare-heading')).toBe(true);
    await page.selectOption('#kind', 'global');
    await expect.poll(hash).toBe('#compare?kind=global');
    await page.goBack();
    await expect.poll(() => page.isVisible('#runs')).toBe(true);
  });

  it('asks nobody but its own server, and complains of nothing', () => {
    expect(asked.filter((url) => !url.startsWith(server.url) && !/^(blob|data):/.test(url))).toEqual([]);
    // the log that was cut back was asked for more than it has
    expect(complaints.filter((text) => !text.includes('416'))).toEqual([]);
  });
});
