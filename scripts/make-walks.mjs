/**
 * Recorded walks through the page, as animated PNG: features compared (`walk-similarity.png`), a structure taught (`walk-teach.png`), and a screenshot
 * of runs. All of generated data: the page's own example, and two short trainings.
 *
 *   npm run build && node scripts/make-walks.mjs [similarity] [teach] [runs]
 *
 * Needs Chromium (or CHROMIUM, its path).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { decode, encode } from 'fast-png';
import { chromium } from 'playwright-core';
import { applyAffine, voxelToPhysical } from '../dist/geometry/affine.js';
import { renderSubject } from '../dist/phantom/subject.js';
import { servePage } from '../dist/platform/node/page-server.js';
import { DEMO_SETTINGS } from '../dist/training/demo-settings.js';
import { CHROMIUM, SOFTWARE_WEBGL } from './chromium.mjs';

/** Of a walk, and of a screenshot. */
const [MAX_WALK, MAX_PICTURE] = [3_000_000, 300_000];
const FRAME_MS = 900;
/** Of the page's example (src/page/compute/open.ts), and codes of structures of the heart. */
const EXAMPLE_SEED = 2;
const [MYOCARDIUM, LEFT_VENTRICLE] = [205, 500];
/** What is recorded: what is named, or all. */
const wanted = (part) => process.argv.length === 2 || process.argv.includes(part);
const root = fileURLToPath(new URL('..', import.meta.url));
const pictures = join(root, 'docs', 'pictures');

/** Few colours, which keeps a picture small: five bits a channel. */
function small(screenshot) {
  const image = decode(screenshot);
  for (let i = 0; i < image.data.length; i++) image.data[i] = (Math.round((image.data[i] / 255) * 31) * 255) / 31;
  return Buffer.from(encode(image, { zlib: { level: 9 } }));
}

function write(name, bytes, most) {
  if (bytes.length > most) throw new Error(`${name}: ${bytes.length} bytes, expected at most ${most}`);
  writeFileSync(join(pictures, name), bytes);
  console.log(`docs/pictures/${name}: ${statSync(join(pictures, name)).size} bytes`);
}

/** The chunks of a PNG. */
function chunks(png) {
  const found = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    found.push({ type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return found;
}
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** PNGs of one size as an animation that repeats: PNG's own chunks acTL, fcTL and fdAT (PNG, third edition). */
function animated(frames) {
  const [header] = chunks(frames[0]).filter(({ type }) => type === 'IHDR');
  const control = Buffer.alloc(8);
  control.writeUInt32BE(frames.length, 0);
  const parts = [Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', header.data), chunk('acTL', control)];
  let sequence = 0;
  frames.forEach((frame, k) => {
    const place = Buffer.alloc(26);
    place.writeUInt32BE(sequence++, 0);
    header.data.copy(place, 4, 0, 8);
    place.writeUInt16BE(k === frames.length - 1 ? 2 * FRAME_MS : FRAME_MS, 20);
    place.writeUInt16BE(1000, 22);
    parts.push(chunk('fcTL', place));
    const data = Buffer.concat(chunks(frame).flatMap(({ type, data: bytes }) => (type === 'IDAT' ? [bytes] : [])));
    if (k === 0) parts.push(chunk('IDAT', data));
    else {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(sequence++, 0);
      parts.push(chunk('fdAT', Buffer.concat([number, data])));
    }
  });
  return Buffer.concat([...parts, chunk('IEND', Buffer.alloc(0))]);
}

const temporary = mkdtempSync(join(tmpdir(), 'gvsl-walks-'));
const gvsl = (...words) =>
  execFileSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...words], {
    cwd: temporary,
    stdio: ['ignore', 'ignore', 'inherit'],
  });

// two runs to show: the demo's cohort in small, by GVSL and by restoration alone
gvsl(...'phantom patients --kind heart-ct --subjects 10 --seed 3 --spacing 8'.split(' '));
gvsl(...'prepare patients cohort --modality ct --spacing 8 --crop none'.split(' '));
writeFileSync(join(temporary, 'log.yaml'), 'log: { everySteps: 1, evaluateEverySteps: 20, picturesEverySteps: 60 }\n');
const steps = '--steps 120 --batch 2 --width 0.125 --patch 16,24,24 --lr 1e-3 --config log.yaml'.split(' ');
for (const method of wanted('runs') ? ['gvsl', 'without-affine'] : [])
  gvsl('pretrain', 'cohort', '--method', method, '--out', `runs/${method}`, ...steps);

const server = await servePage(join(root, 'dist', 'page'), 0, wanted('runs') ? { runs: join(temporary, 'runs') } : {});
const browser = await chromium.launch({ executablePath: CHROMIUM, args: SOFTWARE_WEBGL });
try {
  const page = await browser.newPage({ viewport: { width: 1180, height: 720 }, colorScheme: 'dark' });
  await page.goto(server.url);
  await page.waitForFunction(() => globalThis.gvsl?.ready, undefined, { timeout: 120_000 });
  const says = (id, pattern) =>
    page.waitForFunction(([name, text]) => new RegExp(text).test(document.getElementById(name).textContent), [id, pattern], {
      timeout: 120_000,
    });
  await page.selectOption('#backend', 'cpu');
  /** What a person sees of a section, once it has settled. */
  const frame = async (frames, settleMs = 700) => {
    await page.waitForTimeout(settleMs);
    frames.push(small(await page.screenshot()));
  };

  if (wanted('similarity')) {
    const similarity = [];
    await page.click('#tour-compare');
    await says('compare-said', 'between both answers');
    await page.locator('.pair').first().scrollIntoViewIfNeeded();
    const asked = page.locator('#viewer-fixed');
    const { width, height } = await asked.boundingBox();
    const where = [
      [0.3, 0.27],
      [0.24, 0.22],
      [0.2, 0.27],
      [0.27, 0.33],
      [0.33, 0.24],
    ];
    for (const [x, y] of where) {
      const before = await page.locator('#compare-said').textContent();
      await asked.click({ position: { x: x * width, y: y * height } });
      await page.waitForFunction((text) => document.getElementById('compare-said').textContent !== text, before).catch(() => {});
      await frame(similarity);
    }
    await page.selectOption('#follow', 'best');
    await frame(similarity);
    await page.selectOption('#kind', 'global');
    await frame(similarity, 2500);
    write('walk-similarity.png', animated(similarity), MAX_WALK);
  }

  if (wanted('teach')) {
    // where a person would draw: the example's first patient, drawn as compute/open.ts draws it
    const { kind, spacingMm, pose } = DEMO_SETTINGS.phantoms;
    const { labels } = renderSubject({ kind, seed: EXAMPLE_SEED, subject: 0, spacingMm: spacingMm / 2, pose });
    const toPhysical = voxelToPhysical(labels.geometry);
    const [nx, ny] = labels.geometry.size;
    /** Points of a structure, at even distances among its voxels. */
    const pointsOf = (code, count) => {
      const voxels = [...labels.data.keys()].filter((v) => labels.data[v] === code);
      return Array.from({ length: count }, (_, k) => {
        const v = voxels[Math.floor(((k + 0.5) * voxels.length) / count)];
        return applyAffine(toPhysical, [v % nx, Math.floor(v / nx) % ny, Math.floor(v / (nx * ny))]);
      });
    };
    const teach = [];
    await page.click('#navigation a[href="#teach"]');
    await page.fill('#teach-size', '3');
    const draw = async (name, points, each = 1) => {
      await page.getByLabel(name).first().check();
      for (const [k, point] of points.entries()) {
        await page.evaluate((at) => globalThis.gvsl.teaching.viewer.lookAt(at), point);
        await page.locator('#teach-viewer').press(' ');
        if ((k + 1) % each === 0) await frame(teach);
      }
    };
    await frame(teach);
    await page.uncheck('#teach-auto');
    await draw('draw structure', pointsOf(LEFT_VENTRICLE, 3));
    await draw('draw background', pointsOf(0, 2));
    const middle = pointsOf(LEFT_VENTRICLE, 3)[1];
    const learn = async () => {
      await page.click('#teach-learn');
      await page.waitForTimeout(1500);
      await says('teach-status', 'learnt in');
      await page.evaluate((at) => globalThis.gvsl.teaching.viewer.lookAt(at), middle);
      await frame(teach, 1000);
    };
    await learn();
    // it has found more than the ventricle: what else is bright, and its wall, are background
    const others = [...new Set(labels.data)].filter((code) => code !== 0 && code !== LEFT_VENTRICLE);
    await draw(
      'draw background',
      others.flatMap((code) => pointsOf(code, 1)),
      4,
    );
    await draw('draw background', pointsOf(MYOCARDIUM, 3), 3);
    await draw('draw structure', pointsOf(LEFT_VENTRICLE, 5).slice(1, 4), 3);
    await learn();
    write('walk-teach.png', animated(teach), MAX_WALK);
  }

  if (wanted('runs')) {
    await page.setViewportSize({ width: 1180, height: 900 });
    await page.goto(`${server.url}#runs?run=gvsl&run=without-affine&charts=main`);
    await says('runs-title', '2 runs compared');
    await page.waitForTimeout(1500);
    write('runs.png', small(await page.screenshot()), MAX_PICTURE);
  }
} finally {
  await server.close();
  await browser.close();
  rmSync(temporary, { recursive: true, force: true });
}
