/**
 * A model for models/: the weights of a run in half precision, its configuration, and its card.
 *
 *   npm run build:ts && node scripts/make-model.mjs scripts/models/NAME.json --model RUN [--results FOLDER]
 *
 * The JSON file says what the card says (docs/file-formats.md), but for hashes and figures. A score with `file` takes them from a document of
 * `gvsl evaluate --out FILE.json` in FOLDER: the mean over cases of `measure` (dice, hd95Mm, ...), or of one `label`. `labelNames` names label codes
 * whose data set has no names.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readModel, resolveModel, writeModel } from '../dist/index.js';
import { cardSchema, shippedModels } from '../dist/model/node/shipped.js';

const {
  positionals: [draftFile],
  values,
} = parseArgs({ allowPositionals: true, options: { model: { type: 'string' }, results: { type: 'string', default: '.' } } });
const name = basename(draftFile, '.json');
const out = fileURLToPath(new URL(`../models/${name}`, import.meta.url));
mkdirSync(out, { recursive: true });

const { scores, labelNames = {}, ...draft } = JSON.parse(readFileSync(draftFile, 'utf8'));

const { configuration: stored, parameters } = await readModel(await resolveModel(values.model));
// files of this repository are named from its root, wherever it lies here
const root = fileURLToPath(new URL('..', import.meta.url));
const configuration = JSON.parse(JSON.stringify(stored), (_, value) =>
  typeof value === 'string' && value.startsWith(root) ? value.slice(root.length) : value,
);
const { task } = configuration;
const named = task?.kind === 'segmentation' && {
  task: { ...task, labels: task.labels.map(({ code, name: before }) => ({ code, name: labelNames[code] ?? before })) },
};
await writeModel(out, { ...configuration, ...named }, parameters.values(), 'F16');

const rounded = (value) => +value.toPrecision(4);
function scored({ file, label, measure, title, ...score }) {
  if (file === undefined) return { measure: title ?? measure, ...score };
  const { mean, summary } = JSON.parse(readFileSync(join(values.results, file), 'utf8'));
  const found = label === undefined ? mean[measure] : summary.find((one) => one.label === label).measures[measure];
  return {
    measure: title ?? measure,
    ...score,
    subjects: found.count,
    mean: rounded(found.mean),
    interval: found.low === null ? null : [rounded(found.low), rounded(found.high)],
  };
}
const fileOf = (file) => {
  const bytes = readFileSync(join(out, file));
  return [file, { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }];
};
const card = cardSchema.parse({
  format: 'gvsl-model-card',
  formatVersion: 1,
  name,
  ...draft,
  scores: scores.map(scored),
  files: Object.fromEntries(['model.safetensors', 'config.json'].map(fileOf)),
});
writeFileSync(join(out, 'card.json'), `${JSON.stringify(card, null, 2)}\n`);
console.log(`${out}: ${Object.values(card.files).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)} bytes`);

// the table in docs/models.md
const page = fileURLToPath(new URL('../docs/models.md', import.meta.url));
const figure = ({ mean, interval }) =>
  `${mean.toFixed(3)}${interval ? ` (${interval.map((end) => end.toFixed(3)).join(' to ')})` : ''}`;
const rows = (await shippedModels()).map(({ card: { name, title, data, licence, scores, files } }) => {
  const size = Object.values(files).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const trained = data.map((one) => `${one.name}, ${one.subjects} subjects`).join('; ');
  const results = scores.map((score) => `${score.measure}: ${figure(score)}, ${score.subjects} ${score.on}`).join('<br>');
  return `| \`${name}\` | ${title} | ${trained} | ${results} | ${licence} | ${(size / 1e6).toFixed(1)} MB |`;
});
const table = [
  '| name | what | trained on | scores (95 % interval) | licence | size |',
  '| --- | --- | --- | --- | --- | ---: |',
  ...rows,
].join('\n');
const text = readFileSync(page, 'utf8');
writeFileSync(
  page,
  text.replace(/(<!-- models -->\n)[\s\S]*?(\n?<!-- \/models -->)/, (_, begin, end) => `${begin}\n${table}\n${end}`),
);
