/**
 * Whether suggested subjects are worth more labels than random ones (docs/prediction.md): a model is pre-trained briefly on a cohort without labels,
 * subjects are suggested and drawn, a network is fine-tuned from the model with each choice, and all are scored on the same test subjects.
 *
 *   node scripts/measure-suggestions.mjs COHORT OUT [--numbers 4,8,16] [--seeds 5] [--test 40] [--steps 150] [--pretrain-steps 300] [--width 0.125]
 *
 * Every subject of COHORT has a label map; to suggest, nobody is told. Suggestions are the same for every seed, which then differs in the training
 * alone; random subjects are drawn anew by each seed. An interrupted call continues; OUT/table.md has what is done so far.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCohort, pretrain, suggestSubjects, train } from '../dist/index.js';
import { cohortPart, measurementOptions } from './cohort-part.mjs';

const { positionals, values } = measurementOptions({
  numbers: [4, 8, 16],
  seeds: 5,
  test: 40,
  steps: 150,
  'pretrain-steps': 300,
  width: 0.125,
  patch: [32, 48, 32],
});
const [cohortFolder, out] = positionals;
const { steps, width, seeds, patch } = values;
const said = ({ text }) => text && !text.startsWith('loss') && process.stderr.write(`${text}\n`);

/** A generator of whole numbers below n that follows from its seed (mulberry32). */
function generator(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
function shuffled(items, seed) {
  const next = generator(seed);
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = next(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

const cohort = await openCohort(cohortFolder);
const labelled = cohort.subjects.filter(({ labelCodes }) => labelCodes !== null).map(({ id }) => id);
const drawn = shuffled(labelled, 2024);
const [test, pool] = [drawn.slice(0, values.test), drawn.slice(values.test)];

// what may be labelled, as a cohort by itself: test subjects are neither pre-trained on nor suggested
const poolFolder = join(out, 'pool');
await cohortPart(cohortFolder, poolFolder, pool);
const model = join(out, 'pretrained');
await pretrain({
  cohort: poolFolder,
  out: model,
  configuration: {
    steps: values['pretrain-steps'],
    threads: 2,
    model: { width },
    data: { patch, heldOut: 0 },
    log: { everySteps: 50, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 50 },
  },
  resume: existsSync(join(model, 'run.json')),
  progress: said,
});

const ways = ['coverage', 'k-centre', 'random'];
const scores = new Map();
const table = async () => {
  const cell = (way, n) => {
    const of = [...scores].filter(([key]) => key.startsWith(`${way}-${n}-`)).map(([, dice]) => dice);
    if (of.length === 0) return '-';
    const mean = of.reduce((sum, value) => sum + value, 0) / of.length;
    const deviation = Math.sqrt(of.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, of.length - 1));
    return `${mean.toFixed(4)} +- ${deviation.toFixed(4)} (${of.length})`;
  };
  const text = [
    `mean Dice of ${test.length} test subjects +- standard deviation over seeds (number of seeds done)`,
    '',
    `| labelled subjects | ${ways.join(' | ')} |`,
    `| --- | ${ways.map(() => '---').join(' | ')} |`,
    ...values.numbers.map((n) => `| ${n} | ${ways.map((way) => cell(way, n)).join(' | ')} |`),
    '',
  ].join('\n');
  await writeFile(join(out, 'table.md'), text);
  return text;
};
// by seed outermost, so that every number has some seeds when time runs out
for (let seed = 1; seed <= seeds; seed++)
  for (const n of values.numbers)
    for (const way of ways) {
      const name = `${way}-${n}-${seed}`;
      const run = join(out, 'runs', name);
      if (!existsSync(join(run, 'test.json'))) {
        const chosen =
          way === 'random'
            ? shuffled(pool, 7919 * seed).slice(0, n)
            : (
                await suggestSubjects({
                  cohort: poolFolder,
                  model,
                  n,
                  strategy: way,
                  labelled: [],
                  out: join(out, way),
                  threads: 2,
                })
              ).suggested.map(({ id }) => id);
        await mkdir(join(out, 'splits'), { recursive: true });
        const split = join(out, 'splits', `${name}.json`);
        await writeFile(split, JSON.stringify({ training: chosen, validation: [], test }));
        await train({
          cohort: cohortFolder,
          out: run,
          configuration: {
            init: model,
            seed,
            steps,
            batch: 2,
            learningRate: 1e-3,
            learningRateDecaySteps: steps,
            threads: 2,
            loss: { kind: 'diceCrossEntropy' },
            data: { patch, split, foregroundShare: 0.33 },
            log: { everySteps: 50, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 50 },
          },
          resume: existsSync(join(run, 'run.json')),
          progress: said,
        });
      }
      scores.set(name, JSON.parse(await readFile(join(run, 'test.json'), 'utf8')).summary.dice);
      await table();
    }
process.stdout.write(await table());
