/**
 * What better predictions gain on a cohort with label maps (docs/prediction.md): a cross-validation and models of other seeds are trained briefly, then
 * test subjects that none of them saw are segmented in every way and scored.
 *
 *   node scripts/measure-predictions.mjs COHORT OUT [--test 60] [--folds 4] [--labels 16] [--steps 400] [--width 0.25] [--patch 32,48,32]
 *     [--scored 60]
 *
 * COHORT was made by `gvsl prepare`; its sources must still be where they were. An interrupted call continues. OUT/table.md has the results.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crossValidate, openCohort, scoreSegmentations, segmentImages, train } from '../dist/index.js';
import { bootstrapDifference } from '../dist/metrics.js';
import { cohortPart, measurementOptions } from './cohort-part.mjs';

const { positionals, values } = measurementOptions({
  test: 60,
  folds: 4,
  labels: 16,
  steps: 400,
  width: 0.25,
  patch: [32, 48, 32],
  scored: 60,
});
const [cohortFolder, out] = positionals;
const { steps, folds } = values;
const cohort = await openCohort(cohortFolder);
const said = ({ text }) => text && process.stderr.write(`${text}\n`);

/** Subjects are drawn by the split's seed; `--labels` of them train and validate, in folds or at once. */
const configured = (seed, data) => ({
  seed,
  steps,
  batch: 2,
  learningRate: 1e-3,
  learningRateDecaySteps: steps,
  threads: 2,
  model: { width: values.width },
  loss: { kind: 'diceCrossEntropy' },
  data: { patch: values.patch, foregroundShare: 0.33, augmentation: { flips: ['y', 'z'] }, ...data },
  log: { everySteps: 50, evaluateEverySteps: steps / 4, picturesEverySteps: 0, checkpointEverySteps: 100 },
});
/** Models of fold 1 that differ in the seed alone. */
const SEEDS = 3;
const counts = { test: values.test, validation: 0 };

// a cohort of these subjects alone
const small = join(out, 'cohort');
const labelled = cohort.subjects.filter(({ labelCodes }) => labelCodes !== null).map(({ id }) => id);
await cohortPart(cohortFolder, small, labelled.slice(0, values.labels + counts.test));

const going = (folder) => existsSync(join(folder, 'run.json')) || existsSync(join(folder, 'fold-1', 'run.json'));
const crossValidated = join(out, 'folds');
if (!existsSync(join(crossValidated, 'cross-validation.json')))
  await crossValidate({
    cohort: small,
    out: crossValidated,
    configuration: configured(1, { ...counts, folds }),
    resume: going(crossValidated),
    progress: said,
  });
const fold = (k) => join(crossValidated, `fold-${k}`);
const seeds = [fold(1)];
for (let seed = 2; seed <= SEEDS; seed++) {
  const run = join(out, `seed-${seed}`);
  seeds.push(run);
  const configuration = configured(seed, { ...counts, folds, fold: 1 });
  if (!existsSync(join(run, 'test.json')))
    await train({ cohort: small, out: run, configuration, resume: going(run), progress: said });
}
const { split } = JSON.parse(await readFile(join(crossValidated, 'fold-1', 'run.json'), 'utf8'));
const tested = cohort.subjects.filter(({ id }) => split.test.slice(0, values.scored).includes(id));

const ways = {
  'one model (fold 1)': { model: fold(1), postProcessing: false },
  'one model, post-processing as stored': { model: fold(1) },
  'one model, largest part of each': { model: fold(1), postProcessing: false, keepLargest: true },
  [`${folds} folds`]: { model: crossValidated, postProcessing: false },
  [`${SEEDS} seeds of fold 1`]: { model: seeds, postProcessing: false },
  'one model, mirrored in y, z': { model: fold(1), postProcessing: false, mirror: ['y', 'z'] },
  [`${folds} folds, mirrored in y, z`]: { model: crossValidated, postProcessing: false, mirror: ['y', 'z'] },
  [`${folds} folds, mirrored in y, z, post-processing as stored`]: { model: crossValidated, mirror: ['y', 'z'] },
};
const files = await (async () => {
  const references = join(out, 'references');
  await mkdir(references, { recursive: true });
  for (const { id, labelSource } of tested)
    if (!existsSync(join(references, `${id}.nii.gz`))) await symlink(labelSource, join(references, `${id}.nii.gz`));
  return references;
})();
const rows = [];
const table = async () => {
  const text = [
    `${tested.length} test subjects; ${values.labels} labelled ones in ${folds} folds; ${steps} steps of batch 2 at width ${values.width}`,
    '',
    '| | mean Dice | gain (95 % interval) | HD95 mm |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
  await writeFile(join(out, 'table.md'), text);
  return text;
};
let baseline;
for (const [name, way] of Object.entries(ways)) {
  const folder = join(out, 'predictions', name.replaceAll(/[^a-z0-9]+/gi, '-'));
  const scoresFile = join(folder, 'scores.json');
  if (!existsSync(scoresFile)) {
    const started = performance.now();
    await segmentImages({
      ...way,

      inputs: tested.map(({ source }) => source),
      out: folder,
      threads: 2,
      overwrite: true,
    });
    const seconds = (performance.now() - started) / 1000 / tested.length;
    const scores = await scoreSegmentations({ predictions: folder, references: files });
    await writeFile(scoresFile, JSON.stringify({ seconds, scores }));
  }
  const { scores } = JSON.parse(await readFile(scoresFile, 'utf8'));
  const mean = (measure) =>
    new Map(
      scores.cases.map(({ case: id, labels }) => {
        const known = labels.map((label) => label[measure]).filter((value) => value !== null);
        return [id, known.reduce((sum, value) => sum + value, 0) / known.length];
      }),
    );
  const [dice, hd95] = [mean('dice'), mean('hd95Mm')];
  baseline ??= dice;
  const ids = [...dice.keys()];
  const gain = bootstrapDifference(
    ids.map((id) => baseline.get(id)),
    ids.map((id) => dice.get(id)),
  );
  const average = (of) => [...of.values()].reduce((sum, value) => sum + value, 0) / of.size;
  rows.push(
    `| ${name} | ${average(dice).toFixed(4)} | ${gain.mean >= 0 ? '+' : ''}${gain.mean.toFixed(4)} (${gain.low.toFixed(4)} to ${gain.high.toFixed(4)}) | ${average(hd95).toFixed(2)} |`,
  );
  await table();
}
process.stdout.write(await table());
