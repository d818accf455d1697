/**
 * What each part of the preset `few-labels` gives, and what it leaves out: trainings that differ from it in one thing, judged on the validation
 * subjects of a split (docs/transfer.md). The split's test subjects are left out: no training tests on them.
 *
 *   node scripts/measure-recipe.mjs COHORT OUT --split FILE [--labels 16] [--steps 1000] [--seeds 1,2] [--patch 32,48,32] [--jobs 2]
 *
 * COHORT was made by `gvsl prepare`; its sources must still be where they were. An interrupted call continues, and another with more seeds adds them. Each
 * training is a process of one thread. OUT/table.md has the results, OUT/recipe.json the scores of each subject.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openCohort, scoreSegmentations, segmentImages } from '../dist/index.js';
import { bootstrapDifference } from '../dist/metrics.js';
import { PRESETS } from '../dist/training/task/presets.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    split: { type: 'string' },
    labels: { type: 'string', default: '16' },
    steps: { type: 'string', default: '1000' },
    seeds: { type: 'string', default: '1,2' },
    patch: { type: 'string', default: '32,48,32' },
    jobs: { type: 'string', default: '2' },
  },
});
const [cohortFolder, out] = positionals;
if (cohortFolder === undefined || out === undefined || values.split === undefined)
  throw new Error('expected COHORT OUT --split FILE');
const steps = Number(values.steps);
const seeds = values.seeds.split(',').map(Number);
const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

/** The preset, on the cohort's split: rows change it by key. */
const FEW_LABELS = PRESETS['few-labels'].configuration(steps, 0);
const PRESET = {
  ...FEW_LABELS,
  threads: 1,
  model: { width: 0.25 },
  data: {
    ...FEW_LABELS.data,
    patch: values.patch.split(',').map(Number),
    split: resolve(out, 'split.json'),
    labels: values.labels === 'all' ? 'all' : Number(values.labels),
  },
  log: { everySteps: 50, evaluateEverySteps: steps, picturesEverySteps: 0, checkpointEverySteps: Math.ceil(steps / 4) },
};
const { augmentation, ...withoutAugmentation } = PRESET.data;
const data = (changes) => ({ data: { ...PRESET.data, ...changes } });
/** Name, what is changed, and the axes mirrored when segmenting. */
const ROWS = [
  ['preset `few-labels`', {}],
  ['Dice alone, without cross-entropy', { loss: { kind: 'dice' } }],
  ['one crop a step', { batch: 1 }],
  ['four crops a step', { batch: 4 }],
  ['rate 1e-4 (the default)', { learningRate: 1e-4 }],
  ['rate that does not fall', { learningRateDecaySteps: 0 }],
  ['crops anywhere, none on foreground', data({ foregroundShare: 0 })],
  ['no augmentation', data({ augmentation: { enabled: false } })],
  ['augmentation of the defaults', { data: withoutAugmentation }],
  ['flips in y and z', data({ augmentation: { ...augmentation, flips: ['y', 'z'] } })],
  ['the same, mirrored when segmenting', data({ augmentation: { ...augmentation, flips: ['y', 'z'] } }), ['y', 'z']],
  ['100 steps of warm-up', { warmupSteps: 100, learningRateDecaySteps: steps - 100 }],
  ['moving average of weights, 0.99', { emaDecay: 0.99 }],
  ['gradients clipped to norm 1', { gradientClip: 1 }],
  ['half of the steps', { steps: steps / 2, learningRateDecaySteps: steps / 2 }],
  ['twice the steps', { steps: 2 * steps, learningRateDecaySteps: 2 * steps }],
  ['four times the steps', { steps: 4 * steps, learningRateDecaySteps: 4 * steps }],
  ['width 0.5', { model: { width: 0.5 } }],
];
/** A name for each training: rows that change the same share one. */
const nameOf = (changes) => {
  const row = ROWS.findIndex(([, each]) => JSON.stringify(each) === JSON.stringify(changes));
  return ROWS[row][0].replaceAll(/[^a-zA-Z0-9.]+/g, '-').replaceAll(/^-|-$/g, '');
};

const cohort = await openCohort(cohortFolder);
const { training, validation } = JSON.parse(await readFile(values.split, 'utf8'));
const judged = cohort.subjects.filter(({ id }) => validation.includes(id));
const codes = [...new Set(judged.flatMap(({ labelCodes }) => labelCodes))].filter((code) => code !== 0);
const references = join(out, 'references');
await mkdir(references, { recursive: true });
await writeFile(join(out, 'split.json'), JSON.stringify({ training, validation, test: [] }));
for (const { id, labelSource } of judged)
  if (!existsSync(join(references, `${id}.nii.gz`))) await symlink(labelSource, join(references, `${id}.nii.gz`));

/** One training as a process. @returns its run */
async function train(changes, seed) {
  const run = join(out, 'runs', `${nameOf(changes)}-seed${seed}`);
  if (existsSync(join(run, 'last', 'model.safetensors')) && existsSync(join(run, 'done'))) return run;
  const file = `${run}.json`;
  await mkdir(join(out, 'runs'), { recursive: true });
  const isBegun = existsSync(join(run, 'run.json'));
  await writeFile(file, JSON.stringify({ ...PRESET, ...changes, seed }));
  const call = isBegun ? ['--resume'] : ['--config', file, '--init', 'scratch'];
  const child = spawn(process.execPath, [MAIN, 'train', 'segmentation', '--data', cohortFolder, '--out', run, ...call], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const code = await new Promise((ended) => child.once('exit', ended));
  if (code !== 0) throw new Error(`${run}: exit code ${code}`);
  await writeFile(join(run, 'done'), '');
  return run;
}

/** Dice by subject, mean over structures, of a run's last state on the subjects' own grids. */
async function diceOf(run, mirror) {
  const folder = join(out, 'labels', `${basename(run)}${mirror ? '-mirrored' : ''}`);
  const file = join(folder, 'scores.json');
  if (!existsSync(file)) {
    const inputs = judged.map(({ source }) => source);
    const how = { postProcessing: false, threads: 1, overwrite: true, ...(mirror && { mirror }) };
    await segmentImages({ model: join(run, 'last'), inputs, out: folder, ...how });
    // codes are named, or the speckle of a network that has hardly learnt passes for an image
    const scores = await scoreSegmentations({ predictions: folder, references, labels: codes });
    if (scores.failed.length > 0) throw new Error(`${scores.failed[0].path}: ${scores.failed[0].reason}`);
    await writeFile(file, JSON.stringify(scores));
  }
  const { cases } = JSON.parse(await readFile(file, 'utf8'));
  const mean = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  return Object.fromEntries(
    cases.map(({ case: id, labels }) => [id, mean(labels.map(({ dice }) => dice).filter((dice) => dice !== null))]),
  );
}

const results = [];
async function table() {
  const baseline = results.find(({ name }) => name === ROWS[0][0]);
  const mean = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const lines = ROWS.flatMap(([name]) => results.filter((result) => result.name === name)).map(({ name, scores }) => {
    const known = Object.keys(scores).filter((seed) => baseline?.scores[seed]);
    const pairs = Object.keys(baseline?.scores[known[0]] ?? {}).map((id) => [
      mean(known.map((seed) => baseline.scores[seed][id])),
      mean(known.map((seed) => scores[seed][id])),
    ]);
    const gain =
      known.length > 0 && name !== ROWS[0][0] && bootstrapDifference(...[0, 1].map((k) => pairs.map((pair) => pair[k])));
    const signed = (value) => `${value >= 0 ? '+' : ''}${value.toFixed(3)}`;
    const each = Object.values(scores).map((bySubject) => mean(Object.values(bySubject)));
    return `| ${name} | ${each.map((value) => value.toFixed(3)).join(', ')} | ${gain ? `${signed(gain.mean)} (${signed(gain.low)} to ${signed(gain.high)})` : ''} |`;
  });
  const head = `${judged.length} validation subjects; ${values.labels} labelled subjects; ${steps} steps where nothing else is said; Dice of the last state by seed (${seeds.join(', ')})`;
  await writeFile(
    join(out, 'table.md'),
    [
      head,
      '',
      '| what is changed | Dice, by seed | difference to the preset (95 % interval over subjects) |',
      '| --- | --- | --- |',
      ...lines,
      '',
    ].join('\n'),
  );
  await writeFile(join(out, 'recipe.json'), `${JSON.stringify({ preset: PRESET, results }, null, 1)}\n`);
}

// a seed of every row before the next seed
const queue = seeds.flatMap((seed) => ROWS.map((row) => ({ seed, row })));
const running = new Map();
await Promise.all(
  Array.from({ length: Number(values.jobs) }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { seed, row } = next;
      const [name, changes, mirror] = row;
      const key = `${nameOf(changes)}-${seed}`;
      // two rows may share a training
      running.set(key, running.get(key) ?? train(changes, seed));
      const scores = await diceOf(await running.get(key), mirror);
      let result = results.find((each) => each.name === name);
      if (!result) {
        result = { name, changes, ...(mirror && { mirror }), scores: {} };
        results.push(result);
      }
      result.scores[seed] = scores;
      await table();
    }
  }),
);
process.stdout.write(await readFile(join(out, 'table.md'), 'utf8'));
