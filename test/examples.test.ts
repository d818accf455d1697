/** The examples, run as their users run them: the built package, imported by its name, on small synthetic data. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM } from '../scripts/chromium.mjs';
import { readImage } from '../src/images/node/read.ts';
import { writeImage } from '../src/images/node/write.ts';
import { ALL_HEADS } from '../src/model/architecture.ts';
import type { ModelConfiguration } from '../src/model/configuration.ts';
import { writeTinyModel } from '../src/model/node/interchange/testing/tiny-model.ts';
import { readSafetensors } from '../src/model/node/safetensors.ts';
import { renderSubject } from '../src/phantom/subject.ts';
import { writeTinyCohort } from '../src/training/testing/tiny-cohort.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const example = (name: string): string => join(root, 'examples', name);
const isBuilt = existsSync(join(root, 'dist/index.js'));

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

/** What an example prints. It must end well, and quietly. */
async function run(name: string, ...args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [example(name), ...args], { cwd: root });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(code, err).toBe(0);
  return out;
}

describe.skipIf(!isBuilt)(`the examples${isBuilt ? '' : ': need npm run build'}`, () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-examples-'));
    await mkdir(at('scans'));
    for (const [name, subject] of [
      ['a', 1],
      ['b', 2],
    ] as const)
      await writeImage(at('scans', `${name}.nii.gz`), renderSubject({ kind: 'heart-ct', seed: 3, subject, spacingMm: 10 }).image);
    const preprocessing: ModelConfiguration['preprocessing'] = {
      modality: 'ct',
      spacingMm: [10, 10, 10],
      intensity: 'minmax',
      crop: 'none',
    };
    const labels = [0, 1].map((code) => ({ code, name: code === 0 ? 'background' : 'heart' }));
    const patch: [number, number, number] = [16, 16, 16];
    await writeTinyModel(at('segmenter'), { segmentation: 2 }, { preprocessing, task: { kind: 'segmentation', labels, patch } });
    await writeTinyModel(at('matcher'), ALL_HEADS, { preprocessing, patch });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('segment a folder', async () => {
    const out = await run('segment-folder.mjs', at('segmenter'), at('scans'), at('labels'));
    expect(out).toMatch(/^a {2}heart {2}\d+\.\d mL\nb {2}heart {2}\d+\.\d mL\n$/);
    expect((await readImage(at('labels', 'b.nii.gz'))).volume.geometry.size).toHaveLength(3);
  });

  it('compare two patients', async () => {
    const out = await run('compare-patients.mjs', at('matcher'), at('scans', 'a.nii.gz'), at('scans', 'b.nii.gz'));
    expect(out).toMatch(
      /similarity of the global features: 0\.\d{4}\n.*correlation, deformable: \d\.\d{4}\nthe corner of a, .* in b\n$/s,
    );
  });

  it('train a network of one’s own', async () => {
    const out = await run('own-network.mjs', '30');
    const losses = [...out.matchAll(/loss (\d\.\d+)/g)].map(([, loss]) => Number(loss));
    expect(losses.at(-1)).toBeLessThan(0.7 * losses[0]);
    expect(Number(/([\d.]+) % of the voxels/.exec(out)![1])).toBeGreaterThan(80);
  });

  it('pre-train in a new way, the same from its own thread, without, and resumed', async () => {
    await writeTinyCohort(at('cohort'), 4);
    const out = await run('own-method/pretrain.mjs', at('cohort'), at('masked'), '6');
    expect(out).toMatch(/^6 steps, loss \d\.\d{4}, held-out loss \d\.\d{4}\n$/);
    const record = JSON.parse(await readFile(at('masked', 'run.json'), 'utf8')) as Record<string, unknown>;
    expect(record).toMatchObject({ kind: 'pre-training', method: 'masked', configuration: { maskedShare: 0.5 } });

    const { pretrain } = (await import(pathToFileURL(join(root, 'dist/index.js')).href)) as typeof import('../src/index.ts');
    const { method } = (await import(pathToFileURL(example('own-method/method.mjs')).href)) as {
      method: import('../src/methods.ts').PretrainingMethod;
    };
    const { module: _module, ...here } = method;
    const configuration = {
      steps: 3,
      maskedShare: 0.5,
      model: { width: 0.125 },
      data: { patch: 16, heldOut: 1 },
      log: { evaluateEverySteps: 5 },
    };
    const call = { method: here, cohort: at('cohort'), out: at('resumed') };
    expect((await pretrain({ ...call, configuration })).finished).toBe(true);
    await pretrain({ ...call, configuration: { ...configuration, steps: 6 }, resume: true });
    const [whole, resumed] = await Promise.all(
      ['masked', 'resumed'].map((run_) => readSafetensors(at(run_, 'last', 'model.safetensors'))),
    );
    expect([...resumed.tensors.values()]).toEqual([...whole.tensors.values()]);
    await expect(pretrain({ cohort: at('cohort'), out: at('resumed'), resume: true })).rejects.toThrow(
      /is a run of the method masked, not of gvsl; continue it with the library/,
    );
  });

  it('segment from CommonJS', async () => {
    expect(await run('commonjs.cjs', at('segmenter'), at('scans', 'a.nii.gz'))).toMatch(/^heart: \d+ voxels\n$/);
  });

  describe('in a browser', () => {
    let server: Server;
    beforeAll(async () => {
      // as after npm install gvsl
      await cp(example('browser'), at('browser'), { recursive: true });
      await mkdir(at('browser', 'node_modules'));
      await symlink(root, at('browser', 'node_modules', 'gvsl'), 'dir');
      await build({ root: at('browser'), logLevel: 'error' });
      const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };
      server = createServer(async (request, response) => {
        const name = request.url === '/' ? '/index.html' : request.url!;
        const content = await readFile(at('browser', 'dist', name)).catch(() => undefined);
        response.writeHead(content ? 200 : 404, { 'content-type': types[extname(name)] ?? 'application/octet-stream' });
        response.end(content);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    });
    afterAll(() => server?.close());

    it('is built by Vite', async () => {
      const page = await readFile(at('browser', 'dist', 'index.html'), 'utf8');
      expect(page).toMatch(/src="\.\/assets\/index-.*\.js"/);
    });

    it.skipIf(!CHROMIUM)(`segments as Node does${CHROMIUM ? '' : ': needs Chromium'}`, async () => {
      const browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
      try {
        const page = await browser.newPage();
        const { port } = server.address() as { port: number };
        await page.goto(`http://127.0.0.1:${port}/`);
        await page.locator('#model').setInputFiles(['config.json', 'model.safetensors'].map((name) => at('segmenter', name)));
        await page.locator('#scan').setInputFiles(at('scans', 'a.nii.gz'));
        await page.locator('#segment').click();
        const status = (): Promise<string | null> => page.locator('#status').textContent();
        await expect.poll(status, { timeout: 120_000 }).toMatch(/heart: \d+ voxels|failed/);
        expect(`${await status()}\n`).toBe(await run('commonjs.cjs', at('segmenter'), at('scans', 'a.nii.gz')));
      } finally {
        await browser.close();
      }
    });
  });
});
