/**
 * The pictures of README.md, from generated data: the demo's report, and the page with a segmentation and with
 * two images compared.
 *
 *   npm run build && node scripts/make-pictures.mjs [DEMO | --example]
 *
 * DEMO is a folder of a finished `gvsl demo`; without it one is made (minutes). --example makes the pictures of the page's example alone, which need
 * none. Needs Chromium (or CHROMIUM, its path).
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { decode, encode } from 'fast-png';
import { chromium } from 'playwright-core';
import { applyAffine, voxelToPhysical } from '../dist/geometry/affine.js';
import { HEART_LABELS } from '../dist/phantom/heart.js';
import { renderSubject } from '../dist/phantom/subject.js';
import { servePage } from '../dist/platform/node/page-server.js';
import { DEMO_SETTINGS } from '../dist/training/demo-settings.js';
import { CHROMIUM, SOFTWARE_WEBGL } from './chromium.mjs';

const MAX_BYTES = 300_000;
const root = fileURLToPath(new URL('..', import.meta.url));
const pictures = join(root, 'docs', 'pictures');
const temporary = mkdtempSync(join(tmpdir(), 'gvsl-pictures-'));
const gvsl = (...words) => {
  console.log(`gvsl ${words.join(' ')}`);
  execFileSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...words], {
    cwd: temporary,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
};

/** Saves a screenshot with few colours, which keeps it small: six bits a channel, as PNG compresses well. */
function save(name, screenshot) {
  const image = decode(screenshot);
  for (let i = 0; i < image.data.length; i++) image.data[i] = (Math.round((image.data[i] / 255) * 63) * 255) / 63;
  const bytes = encode(image, { zlib: { level: 9 } });
  if (bytes.length > MAX_BYTES) throw new Error(`${name}: ${bytes.length} bytes, expected at most ${MAX_BYTES}`);
  mkdirSync(pictures, { recursive: true });
  writeFileSync(join(pictures, name), bytes);
  console.log(`docs/pictures/${name}: ${image.width} x ${image.height}, ${bytes.length} bytes`);
}

/** The centre of the left ventricle of the example's first patient, by its labels: mm, RAS. */
function leftVentricle() {
  const { kind, spacingMm, pose } = DEMO_SETTINGS.phantoms;
  const { geometry, data } = renderSubject({
    kind,
    seed: DEMO_SETTINGS.exampleSeed,
    subject: 0,
    spacingMm: spacingMm / 2,
    pose,
  }).labels;
  const [nx, ny] = geometry.size;
  const sums = [0, 0, 0];
  let count = 0;
  for (const [at, code] of data.entries()) {
    if (code !== HEART_LABELS['left ventricle']) continue;
    count++;
    for (const [axis, i] of [at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))].entries()) sums[axis] += i;
  }
  const [x, y, z] = applyAffine(
    voxelToPhysical(geometry),
    sums.map((sum) => sum / count),
  );
  return [-x, -y, z];
}

/** Moves the crosshair of Compare's first image there (mm, RAS) by keys, a voxel each; its grid lies along the patient's axes up to 2 degrees. */
async function moveCrosshair(page, [x, y, z]) {
  const canvas = page.locator('#viewer-fixed');
  const keys = [
    ['ArrowLeft', 'ArrowRight'],
    ['ArrowDown', 'ArrowUp'],
    ['PageDown', 'PageUp'],
  ];
  const voxelMm = DEMO_SETTINGS.phantoms.spacingMm / 2;
  // where it is stands below the image once it has moved
  await canvas.press('ArrowRight');
  // what two degrees leave is mended by a second round
  for (let round = 0; round < 2; round++) {
    await page.waitForTimeout(1000);
    const place = await page.locator('#place-fixed').textContent();
    const [, ...now] = place.match(/(-?\d+), (-?\d+), (-?\d+) mm/).map(Number);
    for (const [axis, target] of [x, y, z].entries()) {
      const steps = Math.round((target - now[axis]) / voxelMm);
      for (let k = 0; k < Math.abs(steps); k++) await canvas.press(keys[axis][steps > 0 ? 1 : 0]);
    }
  }
}

const ofExample = process.argv[2] === '--example';
let scan;
if (!ofExample) {
  if (process.argv[2]) cpSync(process.argv[2], join(temporary, 'demo'), { recursive: true });
  else gvsl('demo', '--out', 'demo');
  gvsl('report', 'demo/run', '--out', 'report.html', '--title', 'Matching hearts in 24 synthetic CTs');

  // a segmentation model from the demo's network, and a patient whom neither training has seen
  const train = '--mode finetune --labels 16 --validation 4 --patch 24,32,32 --lr 1e-3 --steps 300'.split(' ');
  gvsl('train', 'segmentation', '--data', 'demo/cohort', '--init', 'demo/run', ...train, '--out', 'segmenter');
  gvsl('phantom', 'patient', ...'--kind heart-ct --subjects 1 --seed 99 --spacing 2 --pose 0.3'.split(' '));
  const images = join(temporary, 'patient', 'imagesTr');
  scan = join(images, readdirSync(images)[0]);
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: SOFTWARE_WEBGL });
const server = await servePage(join(root, 'dist', 'page'), 0);
try {
  const viewport = { width: 1180, height: 800 };
  if (!ofExample) {
    const report = await browser.newPage({ viewport, colorScheme: 'light' });
    await report.goto(pathToFileURL(join(temporary, 'report.html')).href);
    // the figures, and the first pair below them
    const pair = report.locator('.pair').first();
    const box = await pair.boundingBox();
    await report.setViewportSize({ width: 1180, height: Math.ceil(box.y + box.height) + 16 });
    save('report.png', await report.screenshot());
  }

  const page = await browser.newPage({ viewport, colorScheme: 'dark' });
  // machines under load start slowly
  page.setDefaultTimeout(300_000);
  await page.goto(server.url);
  await page.waitForFunction(() => globalThis.gvsl?.ready);
  const says = async (id, pattern) => {
    await page.waitForFunction(([name, text]) => new RegExp(text).test(document.getElementById(name).textContent), [id, pattern]);
  };
  await page.selectOption('#backend', 'cpu');
  await page.click('#tour-compare');
  await says('compare-said', 'between both answers');
  await page.selectOption('#follow', 'best');
  await moveCrosshair(page, leftVentricle());
  await page.waitForTimeout(2000);
  save('compare.png', await page.locator('#compare').screenshot());

  await page.click('#register');
  await says('registration-status', 'done in');
  for (const view of ['checkerboard', 'grid']) {
    await page.selectOption('#view', view);
    await page.waitForTimeout(2000);
    save(`register-${view}.png`, await page.locator('#registration').screenshot());
  }

  await page.click('#tour-teach');
  await says('teach-status', 'learnt in');
  await page.waitForTimeout(2000);
  save('teach.png', await page.locator('#teach').screenshot());

  if (!ofExample) {
    await page.evaluate(() => scrollTo(0, 0));
    await page.setInputFiles('#model', join(temporary, 'segmenter'));
    await says('model-text', 'segments \\d+ structures');
    await page.setInputFiles('#image', scan);
    await says('image-text', 'voxels of');
    await page.selectOption('#backend', 'cpu');
    await page.click('#segment');
    await says('apply-status', 'done in');
    await page.waitForTimeout(2000);
    await page.locator('#apply').scrollIntoViewIfNeeded();
    save('page.png', await page.screenshot());
  }
} finally {
  await server.close();
  await browser.close();
  rmSync(temporary, { recursive: true, force: true });
}
for (const name of readdirSync(pictures)) console.log(name, statSync(join(pictures, name)).size);
