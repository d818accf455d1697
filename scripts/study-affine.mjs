/**
 * What teaches the affine head early: the demo's pre-training with one option changed at a time, judged on its held-out patients.
 *
 *   node scripts/study-affine.mjs [--steps 600] [--only as-it-is,pose-0.3] [--folder .cache/study-affine] [--threads auto]
 *
 * Run after a build. Runs that are finished are not made again; one that was stopped goes on. Prints the table of docs/method-fidelity.md.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DEMO_SETTINGS } from '../dist/training/demo-settings.js';

const { phantoms, prepare, pretrain } = DEMO_SETTINGS;
const independent = { data: { spatial: { mode: 'independent' } } };
const posed = (affinePose) => ({ ...independent, loss: { affinePose } });
const VARIANTS = {
  'as-it-is': {},
  'rate-10': { affineRateFactor: 10 },
  independent,
  'pose-0.03': posed(0.03),
  'pose-0.3': posed(0.3),
  'pose-1': posed(1),
  'pose-0.3-rate-0.3': { ...posed(0.3), affineRateFactor: 0.3 },
};
const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '600' },
    only: { type: 'string', default: Object.keys(VARIANTS).join(',') },
    folder: { type: 'string', default: '.cache/study-affine' },
    threads: { type: 'string', default: 'auto' },
  },
});
const steps = Number(options.steps);
const at = (...names) => join(resolve(options.folder), ...names);
const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
function gvsl(...args) {
  const { status } = spawnSync(process.execPath, [cli, ...args.map(String)], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) process.exit(status ?? 1);
}
/** The settings with a variant's keys in their place. */
const merged = (base, over) =>
  Object.fromEntries(
    Object.entries({ ...base, ...over }).map(([key, value]) => [
      key,
      base?.[key] && typeof value === 'object' && !Array.isArray(value) ? merged(base[key], over[key] ?? {}) : value,
    ]),
  );

mkdirSync(at(), { recursive: true });
if (!existsSync(at('cohort', 'cohort.json'))) {
  const { kind, subjects, spacingMm, pose } = phantoms;
  gvsl('phantom', at('scans'), '--kind', kind, '--subjects', subjects, '--spacing', spacingMm, '--pose', pose);
  gvsl('prepare', at('scans'), at('cohort'), '--modality', prepare.modality, '--spacing', prepare.spacingMm[0], '--crop', 'none');
}
const mm = (value) => value.toFixed(2);
console.log('| variant | landmark error before -> after the affine -> after both, mm | folded |');
console.log('| --- | --- | ---: |');
for (const name of options.only.split(',')) {
  if (!(name in VARIANTS)) throw new Error(`--only ${name}: expected some of ${Object.keys(VARIANTS).join(', ')}`);
  const out = at(`${name}-${steps}`);
  const log = { ...pretrain.log, evaluateEverySteps: Math.ceil(steps / 4), picturesEverySteps: 0 };
  const settings = merged({ ...pretrain, steps, learningRateDecaySteps: steps, log }, VARIANTS[name]);
  if (!existsSync(out)) {
    writeFileSync(at(`${name}.json`), JSON.stringify(settings));
    gvsl('pretrain', at('cohort'), '--out', out, '--config', at(`${name}.json`), '--threads', options.threads);
  } else gvsl('pretrain', at('cohort'), '--resume', '--out', out);
  const last = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"kind":"evaluation"'))
    .map((line) => JSON.parse(line))
    .at(-1);
  const { before, affine, after } = last.landmarkErrorMm;
  console.log(`| ${name} | ${mm(before)} -> ${mm(affine)} -> ${mm(after)} | ${(100 * last.foldedShare.after).toFixed(3)} % |`);
}
