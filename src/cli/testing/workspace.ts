/** A folder with one small input of every kind that a command takes, made in a second or two. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SILENT } from '../../common/progress.ts';
import type { Volume } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import { ALL_HEADS } from '../../model/architecture.ts';
import type { Task } from '../../model/configuration.ts';
import { writeTinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { markupsJson } from '../../phantom/dataset.ts';
import { pretrain } from '../../training/node/pretrain.ts';
import { parseConfiguration } from '../../training/node/read-configuration.ts';
import { writeTinyCohort } from '../../training/testing/tiny-cohort.ts';

const SIDE = 18;

/** A bright ball, or its label map. */
function ball(value: (distanceMm: number, voxel: number) => number): Volume {
  const data = new Int16Array(SIDE ** 3);
  for (let z = 0, i = 0; z < SIDE; z++)
    for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++, i++) data[i] = value(2 * Math.hypot(x - 9, y - 9, z - 9), i);
  const geometry = {
    size: [SIDE, SIDE, SIDE],
    spacingMm: [2, 2, 2],
    originMm: [0, 0, 0],
    direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  } as const;
  return { geometry, data };
}

const writeNetwork = (folder: string, task: Task | null): Promise<unknown> =>
  writeTinyModel(
    folder,
    task === null ? ALL_HEADS : task.kind === 'segmentation' ? { segmentation: task.labels.length } : { classification: 1 },
    { preprocessing: { modality: 'mr', spacingMm: [2, 2, 2], intensity: 'minmax', crop: 'none' }, task },
  );

/**
 * scans/ (p.nii.gz, q_0000.nii.gz), labels/ (p.nii.gz, q.nii.gz), points/ (p.mrk.json, q.mrk.json), cohort/, run/, models/ (matcher,
 * segmenter, classifier), truth.csv, classes.csv, study.yaml.
 */
export async function writeWorkspace(folder: string): Promise<void> {
  const at = (...names: string[]): string => join(folder, ...names);
  await mkdir(at('points'), { recursive: true });
  await writeFile(
    at('points', 'shift.tfm'),
    '#Insight Transform File V1.0\n#Transform 0\nTransform: TranslationTransform_double_3_3\nParameters: 1 2 3\nFixedParameters: \n',
  );
  for (const name of ['p', 'q']) {
    await writeImage(
      at('scans', `${name}${name === 'q' ? '_0000' : ''}.nii.gz`),
      ball((mm, i) => Math.round(100 + 500 / (1 + Math.exp(mm - 10)) + ((7 * i) % 13))),
    );
    await writeImage(
      at('labels', `${name}.nii.gz`),
      ball((mm) => (mm < 10 ? 500 : 0)),
    );
    await writeFile(
      at('points', `${name}.mrk.json`),
      JSON.stringify(markupsJson([{ name: 'centre', positionMm: [18, 18, 18] }])),
    );
  }
  await writeTinyCohort(at('cohort'), 6, SIDE);
  const patch = [16, 16, 16] as [number, number, number];
  const labels = [0, 500].map((code) => ({ code, name: code === 0 ? 'background' : 'ball' }));
  await writeNetwork(at('models', 'matcher'), null);
  await writeNetwork(at('models', 'segmenter'), { kind: 'segmentation', labels, patch });
  await writeNetwork(at('models', 'classifier'), { kind: 'classification', classes: ['healthy', 'ill'], patch });
  await pretrain({
    cohort: at('cohort'),
    out: at('run'),
    configuration: parseConfiguration(
      { steps: 2, threads: 1, model: { width: 0.125 }, data: { patch: 16, heldOut: 2 }, log: { evaluatePairs: 1 } },
      [],
      'test',
    ),
    resume: false,
    progress: SILENT,
  });
  await writeFile(at('truth.csv'), 'case,label\np,healthy\nq,ill\n');
  await writeFile(at('classes.csv'), 'case,healthy,ill,prediction\np,0.7,0.3,healthy\nq,0.2,0.8,ill\n');
  await writeFile(
    at('study.yaml'),
    [
      'cohort: cohort',
      'methods: [scratch]',
      'modes: [finetune]',
      'seeds: [1]',
      'transfer:',
      '  configuration: { steps: 2, threads: 1, model: { width: 0.125 }, data: { patch: 16, validation: 1, test: 2 } }',
    ].join('\n'),
  );
}
