/**
 * What mirroring and several models gain in classification (docs/prediction.md): synthetic chests with and without opacities; test subjects that no
 * training saw are classified in every way.
 *
 *   node scripts/measure-classification.mjs OUT [--subjects 200] [--validation 40] [--test 60] [--steps 1000] [--batch 8] [--seeds 2]
 *
 * Run after a build. An interrupted call continues. OUT/table.md has the results: areas under the ROC curve, differences by DeLong's test.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { classifyImages, openCohort, train } from '../dist/index.js';
import { delongArea, delongTest } from '../dist/metrics.js';
import { measurementOptions } from './cohort-part.mjs';

const { positionals, values } = measurementOptions({
  subjects: 200,
  validation: 40,
  test: 60,
  steps: 1000,
  batch: 8,
  seeds: 2,
});
const [out] = positionals;
const command = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
function gvsl(...args) {
  const { status } = spawnSync(process.execPath, [command, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
const [phantoms, prepared] = [join(out, 'phantoms'), join(out, 'cohort')];
if (!existsSync(join(prepared, 'cohort.json'))) {
  const made = ['--kind', 'heart-ct', '--opacities', '0.5', '--spacing', '6', '--subjects', String(values.subjects)];
  gvsl('phantom', phantoms, ...made, '--seed', '21');
  gvsl('prepare', phantoms, prepared, '--modality', 'ct', '--spacing', '6', '--crop', 'none');
}

const spatial = {
  rotationRadians: 0.15,
  scale: [0.9, 1.1],
  shearRadians: 0.05,
  translationShare: 0.05,
  elasticAlphaVoxels: [0, 50],
};
const configured = (seed) => ({
  task: 'classification',
  seed,
  steps: values.steps,
  batch: values.batch,
  learningRate: 1e-4,
  threads: 2,
  model: { width: 0.25 },
  data: {
    patch: [32, 48, 48],
    validation: values.validation,
    test: values.test,
    // densities are what tells: no changes of intensity
    augmentation: { enabled: true, flips: ['x', 'y'], intensityProbability: 0, spatial },
  },
  log: { everySteps: 50, evaluateEverySteps: values.steps / 5, picturesEverySteps: 0, checkpointEverySteps: 100 },
});
const runs = [];
for (let seed = 1; seed <= values.seeds; seed++) {
  const run = join(out, `seed-${seed}`);
  runs.push(run);
  if (existsSync(join(run, 'test.json'))) continue;
  await train({
    cohort: prepared,
    out: run,
    configuration: configured(seed),
    resume: existsSync(join(run, 'last')),
    progress: ({ text }) => text && process.stderr.write(`${text}\n`),
  });
}

const { split } = JSON.parse(await readFile(join(runs[0], 'run.json'), 'utf8'));
const tested = (await openCohort(prepared)).subjects.filter(({ id }) => split.test.includes(id));
const truths = new Map(tested.map((subject) => [subject.id, subject.class]));
const ways = {
  'one model': { model: runs[0] },
  'one model, mirrored in x': { model: runs[0], mirror: ['x'] },
  'one model, mirrored in x, y': { model: runs[0], mirror: ['x', 'y'] },
  [`${runs.length} seeds`]: { model: runs },
  [`${runs.length} seeds, mirrored in x, y`]: { model: runs, mirror: ['x', 'y'] },
};
const lines = [
  `${tested.length} test subjects; ${values.steps} steps of batch ${values.batch} at width 0.25`,
  '',
  '| | AUC | gain (95 % interval) | p |',
  '| --- | --- | --- | --- |',
];
let baseline;
for (const [name, way] of Object.entries(ways)) {
  const folder = join(out, 'classes', name.replaceAll(/[^a-z0-9]+/gi, '-'));
  const inputs = tested.map(({ source }) => source);
  const { classes, images } = await classifyImages({ ...way, inputs, out: folder, threads: 2, overwrite: true });
  const cases = images.map(({ case: id, probabilities }) => ({
    id,
    truth: classes.indexOf(truths.get(id)),
    probabilities: [probabilities[classes[1]]],
  }));
  if (cases.some(({ truth }) => truth < 0)) throw new Error(`${folder}: a case without a class`);
  baseline ??= cases;
  const test = baseline === cases ? null : delongTest([baseline], [cases]);
  const gain =
    test && `${test.difference.mean.toFixed(4)} (${test.difference.low.toFixed(4)} to ${test.difference.high.toFixed(4)})`;
  lines.push(`| ${name} | ${delongArea([cases]).mean.toFixed(4)} | ${gain ?? ''} | ${test?.p?.toFixed(3) ?? ''} |`);
}
await writeFile(join(out, 'table.md'), `${lines.join('\n')}\n`);
process.stdout.write(`${lines.join('\n')}\n`);
