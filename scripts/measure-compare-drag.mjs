/**
 * How long a drag in the page's Compare lags behind the pointer: from a pointer event to the frame with its heat map, in Chromium, on the CPU backend,
 * for two images of 64 x 64 x 64 voxels on the network's grid (docs/page.md). WebGL is drawn in software here (SwiftShader): a GPU draws faster.
 *
 *   npm run build && node scripts/measure-compare-drag.mjs [MOVES] [PAGE]
 *
 * PAGE is the folder of another build of the page, to be compared in turn with this one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { writeImage } from '../dist/images/node/write.js';
import { renderSubject } from '../dist/phantom/subject.js';
import { servePage } from '../dist/platform/node/page-server.js';
import { CHROMIUM, SOFTWARE_WEBGL } from './chromium.mjs';

const moves = Number(process.argv[2] ?? 50);
const SIDE = 64;
const folder = mkdtempSync(join(tmpdir(), 'gvsl-drag-'));
/** A patient in the middle of a cube of soft tissue, so that nothing is cropped. */
function cube(subject) {
  const { image } = renderSubject({ kind: 'heart-ct', seed: 2, subject, spacingMm: 6, pose: 0.3 });
  const data = new Int16Array(SIDE ** 3).fill(30);
  const [nx, ny, nz] = image.geometry.size;
  for (let z = 0; z < Math.min(nz, SIDE); z++)
    for (let y = 0; y < Math.min(ny, SIDE); y++)
      for (let x = 0; x < Math.min(nx, SIDE); x++)
        data[((z + 12) * SIDE + y + 12) * SIDE + x + 12] = image.data[(z * ny + y) * nx + x];
  return { geometry: { ...image.geometry, size: [SIDE, SIDE, SIDE] }, data };
}
const server = await servePage(process.argv[3] ?? fileURLToPath(new URL('../dist/page', import.meta.url)), 0);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: SOFTWARE_WEBGL });
try {
  const files = [0, 1].map((k) => join(folder, `patient_${k}.nii.gz`));
  for (const [k, file] of files.entries()) await writeImage(file, cube(k));
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
  await page.goto(server.url);
  await page.waitForFunction(() => globalThis.gvsl?.ready, undefined, { timeout: 120_000 });
  await page.selectOption('#backend', 'cpu');
  await page.setInputFiles('#image', files);
  await page.waitForFunction(() => /2 images opened/.test(document.querySelector('#image-text').textContent));
  await page.click('#compare-button');
  await page.waitForFunction(() => document.querySelector('#compare-table tbody td') !== null, undefined, { timeout: 300_000 });
  const answers = await page.evaluate(async () => {
    const took = [];
    for (let k = 0; k < 20; k++) {
      const start = performance.now();
      await globalThis.gvsl.compute.similar('fixed', [k, 0, 0], 'local');
      took.push(performance.now() - start);
    }
    return took.sort((a, b) => a - b);
  });
  // what any change of the page takes to be painted here, such as of one number
  const frames = await page.evaluate(async () => {
    const took = [];
    for (let k = 0; k < 20; k++) {
      const start = performance.now();
      document.querySelector('#compare-said').textContent = String(k);
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      took.push(performance.now() - start);
    }
    return took.sort((a, b) => a - b);
  });
  const canvas = page.locator('#viewer-fixed');
  await canvas.scrollIntoViewIfNeeded();
  const box = await canvas.boundingBox();
  await page.evaluate(() => {
    globalThis.lags = [];
    let moved = 0;
    document.querySelector('#viewer-fixed').addEventListener(
      'mousemove',
      ({ timeStamp }) => {
        moved = timeStamp;
      },
      true,
    );
    // the table is written once the heat map is there; the frame after it has been painted when a task behind it runs
    new MutationObserver(() => {
      if (moved === 0) return;
      const of = moved;
      moved = 0;
      requestAnimationFrame(() => setTimeout(() => globalThis.lags.push(performance.now() - of)));
    }).observe(document.querySelector('#compare-table'), { childList: true, subtree: true });
  });
  const at = (k) => [box.x + box.width * (0.15 + (0.2 * k) / moves), box.y + box.height * (0.2 + 0.1 * Math.sin(k / 5))];
  await page.mouse.move(...at(0));
  await page.mouse.down();
  for (let k = 1; k <= moves; k++) {
    const before = await page.evaluate(() => globalThis.lags.length);
    await page.mouse.move(...at(k));
    await page.waitForFunction((n) => globalThis.lags.length > n, before, { timeout: 5000 }).catch(() => {});
  }
  await page.mouse.up();
  const lags = (await page.evaluate(() => globalThis.lags)).sort((a, b) => a - b);
  const part = (share) => lags[Math.min(lags.length - 1, Math.floor(share * lags.length))].toFixed(0);
  process.stdout.write(
    `${lags.length} of ${moves} moves: median ${part(0.5)} ms, 95th percentile ${part(0.95)} ms; of it the answer ${answers[10].toFixed(0)} ms; a frame in which a number changes ${frames[10].toFixed(0)} ms\n`,
  );
} finally {
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}
