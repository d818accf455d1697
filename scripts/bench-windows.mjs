/**
 * What a window costs in segmentation: its time when several are run at once, and the time of its kernels.
 *
 *   node scripts/bench-windows.mjs [--size 48] [--width 0.25] [--classes 9] [--threads 1] [--rounds 12] [--windows 1,2,4,8] [--dist OTHER/dist]
 *
 * Run after a build, alone on the machine. The numbers of windows take turns; the least of all rounds counts. `--dist` measures another build.
 * The network is random, and the images are arbitrary: no kernel's time depends on either.
 */
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '48' },
    width: { type: 'string', default: '0.25' },
    classes: { type: 'string', default: '9' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '12' },
    windows: { type: 'string', default: '1,2,4,8' },
    dist: { type: 'string', default: fileURLToPath(new URL('../dist', import.meta.url)) },
  },
});
const load = (name) => import(pathToFileURL(resolve(options.dist, name)).href);
const { NO_HEADS, scaledArchitecture } = await load('model/architecture.js');
const { Graph } = await load('engine/graph.js');
const { segmentationProbabilities } = await load('model/heads.js');
const { initialParameters, parameterNodes, parameterTable } = await load('model/parameters.js');
const { unet } = await load('model/unet.js');
const { createBackend } = await load('platform/node/backends.js');

const side = Number(options.size);
const table = parameterTable(scaledArchitecture(Number(options.width), { ...NO_HEADS, segmentation: Number(options.classes) }));
const backend = await createBackend('cpu', Number(options.threads));
console.error(`${backend.description}; Node ${process.version}`);

const rows = [];
for (const windows of options.windows.split(',').map(Number)) {
  const graph = new Graph();
  const parameters = parameterNodes(graph, 'parameters', table);
  const { local } = unet(graph, parameters, graph.input('image', [windows, 1, side, side, side]));
  graph.output('probabilities', segmentationProbabilities(graph, parameters, local));
  const session = await backend.open({
    states: new Map([['parameters', [table.flatLength]]]),
    graphs: new Map([['predict', graph]]),
  });
  await session.writeState('parameters', initialParameters(table, 1));
  const image = Float32Array.from({ length: windows * side ** 3 }, (_, i) => 0.5 + 0.5 * Math.sin(0.37 * i));
  rows.push({ windows, session, image, seconds: Number.POSITIVE_INFINITY });
}
for (let round = 0; round < Number(options.rounds); round++)
  for (const row of rows) {
    const started = performance.now();
    await row.session.view('predict', { image: row.image }, 'probabilities');
    row.seconds = Math.min(row.seconds, (performance.now() - started) / 1000 / row.windows);
  }
for (const { windows, seconds } of rows) console.log(`${windows} at once: ${(1000 * seconds).toFixed(1)} ms a window`);

const [{ session, image }] = rows;
const kernels = new Map();
for (let round = 0; round < 3; round++) {
  const once = new Map();
  for (const { kernel, seconds } of await session.profile('predict', { image }))
    once.set(kernel, (once.get(kernel) ?? 0) + seconds);
  for (const [kernel, seconds] of once) kernels.set(kernel, Math.min(seconds, kernels.get(kernel) ?? Number.POSITIVE_INFINITY));
}
for (const [kernel, seconds] of [...kernels].sort((a, b) => b[1] - a[1]).slice(0, 10))
  console.log(`${kernel}: ${(1000 * seconds).toFixed(1)} ms`);
for (const row of rows) await row.session.close();
