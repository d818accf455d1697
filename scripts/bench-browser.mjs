/**
 * One window through the same exported backbone in the same browser: gvsl's backends beside onnxruntime-web's (docs/benchmarks.md). Both in one worker,
 * in turn, the first round uncounted, input and output copies included; outputs are compared. Needs Chromium.
 *
 *   npm run build:ts && node scripts/bench-browser.mjs [--backend cpu|webgpu] [--model FOLDER | --width 0.25] [--side 64] [--rounds 7] [--threads all|1]
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { filesOfNetwork, trainedNetwork } from '../dist/apply/network.js';
import { architectureOf, parseModelConfiguration } from '../dist/model/configuration.js';
import { namedTensors } from '../dist/model/named-parameters.js';
import { initialParameters, parameterTable } from '../dist/model/parameters.js';
import { servePage } from '../dist/platform/node/page-server.js';
import { CHROMIUM, SOFTWARE_WEBGPU } from './chromium.mjs';

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cpu' },
    model: { type: 'string' },
    width: { type: 'string' },
    side: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '7' },
    threads: { type: 'string', default: 'all' },
  },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const example = join(root, 'src', 'page', 'public', 'example-model');
const folder = mkdtempSync(join(tmpdir(), 'gvsl-bench-browser-'));
const out = join(folder, 'page');

/** The example's network in another width, its parameters random: what is timed does not depend on them. */
function ofWidth(width) {
  const document = JSON.parse(readFileSync(join(example, 'config.json'), 'utf8'));
  const channels = [32, 64, 128, 256, 512].map((count) => Math.max(8, count * width));
  const configuration = parseModelConfiguration(
    { ...document, architecture: { ...document.architecture, width, channels } },
    'config.json',
  );
  const table = parameterTable(architectureOf(configuration, 'model'));
  const network = trainedNetwork('model', configuration, namedTensors(table, initialParameters(table, 1)), 'ct');
  const { config, weights } = filesOfNetwork(network);
  const made = join(folder, 'made');
  mkdirSync(made);
  writeFileSync(join(made, 'config.json'), config);
  writeFileSync(join(made, 'model.safetensors'), new Uint8Array(weights));
  return made;
}

try {
  const model = values.model ?? (values.width === undefined ? example : ofWidth(Number(values.width)));
  const side = Number(values.side);
  await build({
    configFile: false,
    logLevel: 'error',
    root: join(root, 'scripts', 'bench-browser'),
    base: './',
    build: { outDir: out, emptyOutDir: true, target: 'es2023' },
    worker: { format: 'es' },
  });
  cpSync(model, join(out, 'model'), { recursive: true });
  const onnx = [
    'export',
    model,
    '--part',
    'backbone',
    '--size',
    `${side},${side},${side}`,
    '--onnx',
    join(out, 'model', 'model.onnx'),
  ];
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...onnx], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const runtime = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  mkdirSync(join(out, 'ort'));
  for (const name of readdirSync(runtime))
    if (/^ort(\.all|\.wasm)?\.min\.mjs$|^ort-wasm-simd-threaded.*\.(mjs|wasm)$/.test(name))
      cpSync(join(runtime, name), join(out, 'ort', name));
  const server = await servePage(out, 0, { isolated: values.threads !== '1' });
  // a GPU in software says little of one in hardware, and is the only one in many places
  const args = values.backend === 'webgpu' ? SOFTWARE_WEBGPU : ['--no-sandbox'];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  try {
    const page = await browser.newPage();
    page.on('console', (message) => message.type() === 'error' && console.error(message.text()));
    await page.goto(server.url);
    const request = { backend: values.backend, side, rounds: Number(values.rounds) };
    const { threads, ours, theirs, difference, refused } = await page.evaluate((asked) => globalThis.bench(asked), request);
    const sorted = (times) => times.toSorted((a, b) => a - b);
    const median = (times) => sorted(times)[times.length >> 1];
    const said = (times) => `${median(times).toFixed(0)} ms (least ${sorted(times)[0].toFixed(0)})`;
    const where = values.backend === 'cpu' ? `WebAssembly, ${threads} thread${threads === 1 ? '' : 's'}` : 'WebGPU';
    const what = values.model ?? (values.width ? `width ${values.width}` : 'example model');
    const lines = [`${where}, Chromium ${browser.version()}, ${what}, ${side}^3`, `gvsl ${said(ours)}`];
    if (refused !== undefined) lines.push(`onnxruntime-web does not run it: ${refused}`);
    else {
      const ratios = ours.map((ms, k) => ms / theirs[k]);
      const [least, most] = [sorted(ratios)[0], sorted(ratios).at(-1)];
      lines.push(
        `onnxruntime-web ${said(theirs)}`,
        `ratio gvsl / onnxruntime-web: median ${median(ratios).toFixed(2)} of ${ratios.length} (${least.toFixed(2)} to ${most.toFixed(2)})`,
        `outputs differ by ${difference.toExponential(1)} of their scale`,
      );
      if (!(difference < 1e-4)) process.exitCode = 1;
    }
    console.log(lines.join('; '));
  } finally {
    await browser.close();
    await server.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
