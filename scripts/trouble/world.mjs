/** A small world for trouble: scans of phantoms, a cohort, a pre-trained and two trained networks. Everything follows from the seed 1. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun } from './support.mjs';

/** Options of a training that takes a second or two. */
export const SMALL = ['--patch', '8', '--width', '0.125', '--batch', '1', '--threads', '1', '--lr', '1e-3'];

/** Everything is logged, evaluated and saved as often as can be. */
export const OFTEN =
  'log: { everySteps: 1, evaluateEverySteps: 3, evaluatePairs: 1, checkpointEverySteps: 2, picturesEverySteps: 6 }\n';

/**
 * Writes a world into `folder`: source/ (nnU-Net layout, with labels, landmarks and classes), cohort/, model/ and, if `tasks`, segmenter/
 * and classifier/. @returns the paths of all
 */
export function makeWorld(folder, { subjects = 5, spacing = 8, tasks = false } = {}) {
  const at = (...names) => join(folder, ...names);
  mustRun([
    'phantom',
    at('source'),
    '--kind',
    'heart-ct',
    '--subjects',
    String(subjects),
    '--spacing',
    String(spacing),
    '--opacities',
    '0.5',
  ]);
  mustRun(['prepare', at('source'), at('cohort'), '--modality', 'ct', '--spacing', String(spacing)]);
  writeFileSync(at('often.yaml'), `${OFTEN}data: { heldOut: 2 }\n`);
  writeFileSync(
    at('task.yaml'),
    'log: { everySteps: 1, evaluateEverySteps: 3, checkpointEverySteps: 2 }\ndata: { validation: 1, test: 1 }\n',
  );
  mustRun(['pretrain', at('cohort'), '--out', at('model'), '--steps', '4', ...SMALL, '--config', at('often.yaml')]);
  if (tasks)
    for (const [task, name] of [
      ['segmentation', 'segmenter'],
      ['classification', 'classifier'],
    ])
      mustRun([
        'train',
        task,
        '--data',
        at('cohort'),
        '--init',
        at('model'),
        '--out',
        at(name),
        '--steps',
        '4',
        ...SMALL,
        '--config',
        at('task.yaml'),
      ]);
  return Object.fromEntries(
    ['source', 'cohort', 'model', 'segmenter', 'classifier', 'often.yaml', 'task.yaml'].map((name) => [
      name.replace('.yaml', ''),
      at(name),
    ]),
  );
}

/** A study of two methods on a world's cohort, in a few seconds. @returns its file */
export function makeStudy(folder, world) {
  const path = join(folder, 'study.yaml');
  const short =
    '{ steps: 4, threads: 1, model: { width: 0.125 }, batch: 1, learningRate: 1e-3, data: { patch: 8, heldOut: 2 }, log: { everySteps: 1, evaluateEverySteps: 2, checkpointEverySteps: 1, evaluatePairs: 1 } }';
  const transfer =
    '{ steps: 4, threads: 1, model: { width: 0.125 }, batch: 1, learningRate: 1e-3, data: { patch: 8, validation: 1, test: 2 }, log: { everySteps: 1, evaluateEverySteps: 2, checkpointEverySteps: 1 } }';
  writeFileSync(
    path,
    `cohort: ${world.cohort}\nmethods: [scratch, gvsl]\nmodes: [linear, finetune]\nlabels: [2]\nseeds: [1]\npretraining:\n  configuration: ${short}\ntransfer:\n  configuration: ${transfer}\n`,
  );
  return path;
}

/** Every command that writes, as a call whose results lie in `out` below the current folder. */
export function commandsThatWrite(world, study) {
  const scan = (n) => join(world.source, 'imagesTr', `heart_00${n}_0000.nii.gz`);
  const labels = (n) => join(world.source, 'labelsTr', `heart_00${n}.nii.gz`);
  const one = ['--threads', '1'];
  return [
    { name: 'phantom', args: ['phantom', 'out', '--kind', 'heart-ct', '--subjects', '3', '--spacing', '10'] },
    { name: 'prepare', args: ['prepare', world.source, 'out', '--modality', 'ct', '--spacing', '8'] },
    { name: 'pretrain', args: ['pretrain', world.cohort, '--out', 'out', '--steps', '6', ...SMALL, '--config', world.often] },
    {
      name: 'train',
      args: [
        'train',
        'segmentation',
        '--data',
        world.cohort,
        '--init',
        world.model,
        '--out',
        'out',
        '--steps',
        '6',
        ...SMALL,
        '--config',
        world.task,
      ],
    },
    {
      name: 'segment',
      args: ['segment', join(world.source, 'imagesTr'), '--model', world.segmenter, '--out', 'out', '--probabilities', ...one],
    },
    { name: 'classify', args: ['classify', join(world.source, 'imagesTr'), '--model', world.classifier, '--out', 'out', ...one] },
    { name: 'embed', args: ['embed', scan(0), '--model', world.model, '--out', 'out', ...one] },
    {
      name: 'register',
      args: [
        'register',
        '--model',
        world.model,
        '--moving',
        scan(0),
        '--fixed',
        scan(1),
        '--moving-labels',
        labels(0),
        '--out',
        'out',
        ...one,
      ],
    },
    { name: 'evaluate', args: ['evaluate', labels(0), labels(0), '--out', 'out/scores.csv'] },
    { name: 'report', args: ['report', world.model, '--out', 'out/report.html'] },
    {
      name: 'export',
      args: [
        'export',
        world.model,
        '--onnx',
        'out/m.onnx',
        '--pth',
        'out/m.pth',
        '--safetensors',
        'out/m.safetensors',
        '--huggingface',
        'out/hub',
      ],
    },
    { name: 'import', args: ['import', join(world.model, 'last', 'model.safetensors'), '--out', 'out'] },
    { name: 'compare', args: ['compare', study, '--out', 'out'] },
  ];
}
