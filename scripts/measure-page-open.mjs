/**
 * How long the page takes to open a large scan (512 x 512 x 300 voxels of 0.8 x 0.8 x 1 mm, 16 bits), and how long it does not answer meanwhile, in
 * Chromium whose WebGL is drawn in software (SwiftShader): a GPU draws faster (docs/page.md).
 *
 *   npm run build && node scripts/measure-page-open.mjs [PAGE]
 *
 * PAGE is the folder of another build of the page, to be compared in turn with this one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { writeImage } from '../dist/images/node/write.js';
import { servePage } from '../dist/platform/node/page-server.js';
import { CHROMIUM, SOFTWARE_WEBGL } from './chromium.mjs';

const SIZE = [512, 512, 300];
/** A cylinder of water in air, with noise in eight steps so that the file compresses about as a scan does. */
function scan() {
  const [nx, ny, nz] = SIZE;
  const data = new Int16Array(nx * ny * nz);
  let random = 1;
  for (let i = 0; i < data.length; i++) {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    const isInside = ((i % nx) - 256) ** 2 + ((Math.floor(i / nx) % ny) - 256) ** 2 < 200 ** 2;
    data[i] = (isInside ? 0 : -1000) + (random >>> 29) * 8;
  }
  const direction = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  return { geometry: { size: SIZE, spacingMm: [0.8, 0.8, 1], originMm: [-204, -204, -150], direction }, data };
}

const folder = mkdtempSync(join(tmpdir(), 'gvsl-open-'));
const server = await servePage(process.argv[2] ?? fileURLToPath(new URL('../dist/page', import.meta.url)), 0);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: SOFTWARE_WEBGL });
try {
  const file = join(folder, 'scan.nii.gz');
  await writeImage(file, scan());
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
  await page.goto(server.url);
  await page.waitForFunction(() => globalThis.gvsl?.ready, undefined, { timeout: 300_000 });
  await page.evaluate(() => {
    globalThis.longest = 0;
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      globalThis.longest = Math.max(globalThis.longest, now - last);
      last = now;
    }, 50);
  });
  const start = performance.now();
  await page.setInputFiles('#image', file);
  await page.waitForFunction(
    () => !globalThis.gvsl.workspace.busy && globalThis.gvsl.workspace.images.some(({ isExample }) => !isExample),
    undefined,
    { timeout: 900_000 },
  );
  const seconds = (performance.now() - start) / 1000;
  const longest = (await page.evaluate(() => globalThis.longest)) / 1000;
  console.log(`opened and shown in ${seconds.toFixed(1)} s; the page did not answer for ${longest.toFixed(1)} s at most`);
} finally {
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true });
}
