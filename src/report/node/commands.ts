/** The commands that go on from a run, with its own folders and options in them, ready to be pasted. */
import type { NextCommand } from '../page.ts';
import { type RunRecord, type TaskRecord, valueAt } from '../run-data.ts';

export interface CommandContext {
  /** How the reader calls the program: 'gvsl', or 'node dist/cli/main.js'. */
  readonly program: string;
  /** The run's folder. */
  readonly folder: string;
  readonly run: RunRecord;
  /** Its name among the ways to pre-train. */
  readonly method: string;
  /** Steps done. */
  readonly step: number;
  /** Source files of a held-out pair; undefined if not known. */
  readonly pair: { readonly moving: string; readonly fixed: string } | undefined;
}

/**
 * A word for the shell, quoted where it must be. On Windows for both of its shells: PowerShell takes commas for lists, and no file's name has a
 * double quote.
 */
export function word(text: string, platform: NodeJS.Platform = process.platform): string {
  if (platform === 'win32') return /^[\w+=:./\\-]+$/.test(text) ? text : `"${text}"`;
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const option = (flag: string, value: unknown): string =>
  typeof value === 'number' || typeof value === 'string'
    ? ` ${flag} ${word(String(value))}`
    : Array.isArray(value)
      ? ` ${flag} ${word(value.join(','))}`
      : '';

/** After a training on a task. */
function taskCommands(task: TaskRecord, { program, folder, run, step }: CommandContext): NextCommand[] {
  const more = 2 * Math.max(step, Number(valueAt(run.configuration, 'steps')) || 0);
  const model = word(folder);
  return [
    task.kind === 'segmentation'
      ? {
          title: 'Segment images and evaluate',
          text: 'SCANS is a folder of images, REFERENCES one of label maps of the same names. Uses the best checkpoint.',
          command: `${program} segment SCANS --model ${model} --out labels\n${program} evaluate labels REFERENCES`,
        }
      : {
          title: 'Classify images and evaluate',
          text: 'SCANS is a folder of images, labels.csv a table of their classes. Uses the best checkpoint.',
          command: `${program} classify SCANS --model ${model} --out classes\n${program} evaluate classes/classes.csv labels.csv`,
        },
    {
      title: 'Continue training',
      text: 'Continues exactly where this run stopped, with the same weights, optimiser state, random numbers and log.',
      command: `${program} train ${task.kind} --data ${word(run.cohort?.folder ?? 'COHORT')} --out ${model} --resume --steps ${more || 'N'}`,
    },
  ];
}

export function nextCommands(context: CommandContext): NextCommand[] {
  if (context.run.task) return taskCommands(context.run.task, context);
  const { program, folder, run, step, pair, method } = context;
  const { cohort, configuration } = run;
  const more = 2 * Math.max(step, Number(valueAt(configuration, 'steps')) || 0);
  const spacing = cohort?.spacingMm ?? [];
  const size = new Set(spacing).size === 1 ? spacing[0] : spacing.length > 0 ? spacing : undefined;
  const named = method === 'gvsl' ? '' : ` --method ${word(method)}`;
  const matches =
    run.method === undefined &&
    valueAt(configuration, 'model.heads.matching') !== false &&
    valueAt(configuration, 'data.channels') !== 'all';
  const like = ['patch', 'batch', 'width', 'lr']
    .map((name) => {
      const path = { patch: 'data.patch', width: 'model.width', lr: 'learningRate' }[name] ?? name;
      return option(`--${name}`, valueAt(configuration, path));
    })
    .join('');
  return [
    {
      title: 'Continue training',
      text: 'Continues exactly where this run stopped, with the same weights, optimiser state, random numbers and log.',
      command: `${program} pretrain ${word(cohort?.folder ?? 'COHORT')} --out ${word(folder)} --resume --steps ${more || 'N'}`,
    },
    ...(matches
      ? [
          {
            title: 'Register two images',
            text: 'Writes the warped image, the displacement field, the affine transform and the Jacobian determinant.',
            command: `${program} register --model ${word(folder)} --moving ${word(pair?.moving ?? 'A.nii.gz')} --fixed ${word(pair?.fixed ?? 'B.nii.gz')} --out registered`,
          },
        ]
      : []),
    {
      title: 'Train a segmentation from it',
      text: 'COHORT is made by gvsl prepare from images with label maps; few labels are enough to see what pre-training gives.',
      command: `${program} train segmentation --data COHORT --init ${word(folder)} --out segmentation`,
    },
    {
      title: 'Pre-train on your own scans',
      text: 'SCANS is any folder of NIfTI, NRRD, MetaImage, MGH or DICOM images of one body region.',
      command: [
        `${program} prepare SCANS my-cohort --modality ${cohort?.modality === 'mr' ? 'mr' : 'ct'}${option('--spacing', size)}`,
        `${program} pretrain my-cohort --out my-run${named}${like}`,
        `${program} report my-run`,
      ].join('\n'),
    },
  ];
}
