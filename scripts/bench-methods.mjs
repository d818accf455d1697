/**
 * What a sample of a step costs with each method of pre-training, relative to GVSL: time of its gradient, and the session's memory.
 *
 *   node scripts/bench-methods.mjs [--size 64] [--width 0.25] [--threads 1] [--rounds 6]
 *
 * Run after a build, alone on the machine. The methods take turns; the least of all rounds counts. SimCLR takes a batch of 4 at once: its time
 * is a sample's, its memory the batch's. Values of the inputs are arbitrary, which no kernel's time depends on.
 */
import { parseArgs } from 'node:util';
import { METHODS } from '../dist/methods/registry.js';
import { initialParameters } from '../dist/model/parameters.js';
import { createBackend } from '../dist/platform/node/backends.js';

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '64' },
    width: { type: 'string', default: '0.25' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '6' },
  },
});
const backend = await createBackend('cpu', Number(options.threads));
console.error(backend.description);

const rows = [];
for (const { name, preset, load } of METHODS) {
  if (preset) continue;
  const method = await load();
  const patch = Number(options.size);
  const batch = method.takes === 'batch' ? 4 : 1;
  const configuration = method.schema.parse({ batch, model: { width: Number(options.width) }, data: { patch } });
  const { program, table } = method.program(configuration);
  const session = await backend.open(program);
  for (const state of ['parameters', ...(method.carried ?? [])]) await session.writeState(state, initialParameters(table, 1));
  const { inputs } = program.graphs.get('gradient');
  const values = Object.fromEntries(
    [...inputs].map(([input, { shape }]) => {
      const length = shape.reduce((product, side) => product * side, 1);
      return [input, Float32Array.from({ length }, (_, i) => 0.5 + 0.5 * Math.sin(0.37 * i))];
    }),
  );
  rows.push({ name, batch, session, values, bytes: backend.memoryBytes(program), seconds: Number.POSITIVE_INFINITY });
}
for (let round = 0; round < Number(options.rounds); round++)
  for (const row of rows) {
    const started = performance.now();
    await row.session.run('gradient', row.values, ['loss.total']);
    row.seconds = Math.min(row.seconds, (performance.now() - started) / 1000 / row.batch);
  }
const gvsl = rows.find(({ name }) => name === 'gvsl');
console.log('| method | seconds | of GVSL | memory, MB | of GVSL |\n|---|---:|---:|---:|---:|');
for (const { name, seconds, bytes } of rows)
  console.log(
    `| ${name} | ${seconds.toFixed(3)} | ${(seconds / gvsl.seconds).toFixed(2)} | ${Math.round(bytes / 1e6)} | ${(bytes / gvsl.bytes).toFixed(2)} |`,
  );
for (const { session } of rows) await session.close();
