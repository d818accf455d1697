/**
 * The paper's table 1 on phantoms: every method of pre-training on four tasks, at equal passes through the encoder.
 *
 *   node scripts/table-1.mjs [--only heart,coronary,opacities,brain|gvsl-options] [--folder .cache/studies/table-1] [--part cohorts] [--reuse]
 *
 * Run after a build. Makes the phantoms, prepares them, and runs the studies of docs/results/table-1 one after another; run again, it goes on where
 * it was stopped. `gvsl-options` compares options of GVSL beyond the paper. `--part cohorts` only makes the cohorts. `--reuse` takes over the trainings
 * whose scores are published in docs/results/table-1, and does the others. It has not been run to its end yet; it should take less than a day on two
 * cores. Started once a core, after the cohorts are made, its processes share the work.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: 'heart,coronary,opacities,brain' },
    folder: { type: 'string', default: '.cache/studies/table-1' },
    part: { type: 'string' },
    reuse: { type: 'boolean', default: false },
  },
});
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const folder = resolve(options.folder);
const at = (...names) => join(folder, ...names);

/** Runs the command line in a folder, to which what it names is relative. Ends this script where it fails. */
function gvsl(cwd, ...args) {
  console.error(`gvsl ${args.join(' ')}`);
  const { status } = spawnSync(process.execPath, [here('../dist/cli/main.js'), ...args], { cwd, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** What is pre-trained with and what the tasks are of are different patients. */
const COHORTS = {
  'heart-unlabelled': { kind: 'heart-ct', subjects: 56, spacing: 6, seed: 31 },
  heart: { kind: 'heart-ct', subjects: 40, spacing: 6, seed: 32 },
  'heart-tuning': { kind: 'heart-ct', subjects: 40, spacing: 6, seed: 36 },
  chests: { kind: 'heart-ct', subjects: 200, spacing: 6, seed: 33, opacities: 0.5 },
  'brain-unlabelled': { kind: 'brain-mr', subjects: 56, spacing: 5, seed: 34 },
  brain: { kind: 'brain-mr', subjects: 40, spacing: 5, seed: 35 },
};
const NEEDS = {
  heart: ['heart-unlabelled', 'heart'],
  coronary: ['heart'],
  opacities: ['chests'],
  brain: ['brain-unlabelled', 'brain'],
  'gvsl-options': ['heart-unlabelled', 'heart-tuning'],
};

const tasks = options.only.split(',');
for (const task of tasks) if (!(task in NEEDS)) throw new Error(`--only ${task}: expected ${Object.keys(NEEDS).join(', ')}`);
mkdirSync(at('cohorts'), { recursive: true });
for (const name of new Set(tasks.flatMap((task) => NEEDS[task]))) {
  const { kind, subjects, spacing, seed, opacities } = COHORTS[name];
  if (existsSync(at('cohorts', name, 'cohort.json'))) continue;
  const more = opacities === undefined ? [] : ['--opacities', String(opacities)];
  const made = ['--kind', kind, '--subjects', String(subjects), '--spacing', String(spacing), '--seed', String(seed), ...more];
  gvsl(folder, 'phantom', at('phantoms', name), ...made);
  const how = kind === 'brain-mr' ? ['--modality', 'mr', '--spacing', '5'] : ['--modality', 'ct', '--spacing', '6'];
  gvsl(folder, 'prepare', at('phantoms', name), at('cohorts', name), ...how, '--crop', 'none');
}
if (options.part !== 'cohorts')
  for (const task of tasks) {
    mkdirSync(at(task), { recursive: true });
    copyFileSync(here(`../docs/results/table-1/${task}.yaml`), at(task, 'study.yaml'));
    const published = here(`../docs/results/table-1/${task}`);
    const reuse = options.reuse && existsSync(join(published, 'study.json')) ? ['--reuse', published] : [];
    gvsl(at(task), 'compare', 'study.yaml', '--out', '.', ...reuse);
  }
