/** A small world for trouble: scans of phantoms, a cohort, a pre-trained and two trained networks, a study. Everything follows from seeds. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun } from './support.mjs';

/** Options of a training that takes a second or two. */
export const SMALL = words('--patch 8 --width 0.125 --batch 1 --threads 1 --lr 1e-3');
const STEPS = ['--steps', '6'];

/** Everything is logged, evaluated and saved as often as can be. */
const OFTEN =
  'log: { everySteps: 1, evaluateEverySteps: 3, evaluatePairs: 1, checkpointEverySteps: 2, picturesEverySteps: 6 }\ndata: { heldOut: 2 }\n';
const TASK = 'log: { everySteps: 1, evaluateEverySteps: 3, checkpointEverySteps: 2 }\ndata: { validation: 1, test: 1 }\n';
const SHORT = 'steps: 4, threads: 1, model: { width: 0.125 }, batch: 1, learningRate: 1e-3';
const STUDY = `methods: [scratch, gvsl]
modes: [linear, finetune]
labels: [2]
seeds: [1]
pretraining:
  configuration: { ${SHORT}, data: { patch: 8, heldOut: 2 }, log: { everySteps: 1, evaluateEverySteps: 2, checkpointEverySteps: 1, evaluatePairs: 1 } }
transfer:
  configuration: { ${SHORT}, data: { patch: 8, validation: 1, test: 2 }, log: { everySteps: 1, evaluateEverySteps: 2, checkpointEverySteps: 1 } }
`;

function words(text) {
  return text.split(' ');
}

/**
 * Writes a world into `folder` (or into `given`, where one that is there already is used again): source/ (nnU-Net layout, with labels,
 * landmarks and classes), cohort/, model/, segmenter/, classifier/, configurations and study.yaml. @returns the paths of all
 */
export function makeWorld(folder, given = '') {
  const root = given || folder;
  const names = ['source', 'cohort', 'model', 'segmenter', 'classifier', 'often.yaml', 'task.yaml', 'study.yaml'];
  const world = Object.fromEntries(names.map((name) => [name.replace('.yaml', ''), join(root, name)]));
  const complete = join(root, 'complete');
  if (existsSync(complete)) return world;
  mkdirSync(root, { recursive: true });
  writeFileSync(world.often, OFTEN);
  writeFileSync(world.task, TASK);
  writeFileSync(world.study, `cohort: ${world.cohort}\n${STUDY}`);
  mustRun(['phantom', world.source, ...words('--kind heart-ct --subjects 5 --spacing 8 --opacities 0.5')]);
  mustRun(['prepare', world.source, world.cohort, ...words('--modality ct --spacing 8')]);
  mustRun(['pretrain', world.cohort, '--out', world.model, ...STEPS, ...SMALL, '--config', world.often]);
  for (const [task, out] of [
    ['segmentation', world.segmenter],
    ['classification', world.classifier],
  ])
    mustRun(taskOf(task, world, out));
  writeFileSync(complete, '');
  return world;
}

const taskOf = (task, world, out) => [
  ...['train', task, '--data', world.cohort, '--init', world.model, '--out', out],
  ...[...STEPS, ...SMALL, '--config', world.task],
];

/** Commands that go on with --resume. */
const RESUMED = ['pretrain', 'train'];

/** Killed or failed so early that there is nothing to go on from: --resume may say so. */
export const refusesToResume = ({ status, stderr }) =>
  status === 2 && /--resume/.test(stderr) && /leave --resume out|without --resume|there is no run/.test(stderr);

/**
 * Every command that writes, or those of the list `only` ('prepare,segment'), as a call whose results lie in `out` below the current folder, and
 * whether it goes on with --resume.
 */
export function commandsThatWrite(world, only = '') {
  const scans = join(world.source, 'imagesTr');
  const scan = (n) => join(scans, `heart_00${n}_0000.nii.gz`);
  const labels = (n) => join(world.source, 'labelsTr', `heart_00${n}.nii.gz`);
  const out = words('--out out --threads 1');
  const exported = words('--onnx out/m.onnx --pth out/m.pth --safetensors out/m.safetensors --huggingface out/hub');
  const calls = {
    phantom: words('phantom out --kind heart-ct --subjects 3 --spacing 8'),
    prepare: ['prepare', world.source, ...words('out --modality ct --spacing 6 --workers 2')],
    pretrain: ['pretrain', world.cohort, '--out', 'out', ...STEPS, ...SMALL, '--config', world.often],
    train: taskOf('segmentation', world, 'out'),
    segment: ['segment', scans, '--model', world.segmenter, '--probabilities', ...out],
    classify: ['classify', scans, '--model', world.classifier, ...out],
    embed: ['embed', scan(0), '--model', world.model, ...out],
    register: ['register', '--model', world.model, '--moving', scan(0), '--fixed', scan(1), '--moving-labels', labels(0), ...out],
    evaluate: ['evaluate', labels(0), labels(0), '--out', 'out/scores.csv'],
    report: ['report', world.model, '--out', 'out/report.html'],
    export: ['export', world.model, ...exported],
    import: ['import', join(world.model, 'last', 'model.safetensors'), '--out', 'out'],
    compare: ['compare', world.study, '--out', 'out'],
  };
  return Object.entries(calls)
    .filter(([name]) => only === '' || only.split(',').includes(name))
    .map(([name, args]) => ({ name, args, resumed: RESUMED.includes(name) }));
}
