/** `gvsl prepare`: a folder of scans becomes a cohort that training reads. */
import type { Command } from 'commander';
import type { PrepareOptions } from '../../cohort/prepare-options.ts';
import { REASONS } from '../../cohort/reasons.ts';
import { UsageError } from '../../common/errors.ts';
import type { Xyz } from '../../geometry/volume.ts';
import { numberOf, wholeNumber } from '../numbers.ts';
import { action, type CommandResult } from '../run-command.ts';
import { collect, describeReasons, selectionOf } from '../selection-options.ts';

interface Flags {
  readonly modality?: string;
  readonly spacing: string;
  readonly size?: string;
  readonly crop: string;
  readonly intensity: string;
  readonly workers?: string;
  readonly classes?: string;
  readonly classColumn?: string;
  readonly match?: readonly string[];
  readonly exclude?: readonly string[];
  readonly allow?: readonly string[];
  readonly channel?: string;
}

/** `1` or `1,1,2` (x, y, z) as three positive numbers. */
function three(option: string, text: string, whole: boolean): Xyz {
  const values = text.split(/[,x]/).map((part) => numberOf(part));
  const ok = (v: number): boolean => Number.isFinite(v) && v > 0 && (!whole || (Number.isInteger(v) && v <= 4096));
  if (![1, 3].includes(values.length) || !values.every(ok))
    throw new UsageError(
      `${option} ${text}: expected one positive ${whole ? 'whole number (at most 4096)' : 'number'}, or three as x,y,z`,
    );
  const [x, y = x, z = x] = values;
  return [x, y, z];
}

function choice<Value extends string>(option: string, text: string | undefined, values: readonly Value[]): Value {
  const value = values.find((v) => v === text);
  if (value === undefined) throw new UsageError(`${option} ${text ?? 'is missing'}: expected ${values.join(' or ')}`);
  return value;
}

function parseFlags(flags: Flags): { options: PrepareOptions; workers?: number } {
  const options: PrepareOptions = {
    modality: choice('--modality', flags.modality, ['ct', 'mr']),
    spacingMm: three('--spacing', flags.spacing, false),
    size: flags.size === undefined ? null : three('--size', flags.size, true),
    crop: choice('--crop', flags.crop, ['foreground', 'none']),
    intensity: choice('--intensity', flags.intensity, ['minmax', 'percentile']),
  };
  if (options.spacingMm.some((s) => s < 0.05 || s > 50))
    throw new UsageError(`--spacing ${flags.spacing}: expected millimetres from 0.05 to 50`);
  if (options.modality === 'ct' && options.intensity === 'percentile')
    throw new UsageError('--intensity percentile is for mr: CT has a fixed scale, (HU + 1024) / 2048');
  if (flags.workers === undefined) return { options };
  return { options, workers: wholeNumber('--workers', flags.workers, 1, 256) };
}

async function run(source: string, out: string, flags: Flags): Promise<CommandResult> {
  const { classes, classColumn } = flags;
  const told = {
    source,
    out,
    ...parseFlags(flags),
    ...(classes === undefined ? {} : { classes }),
    ...(classColumn === undefined ? {} : { classColumn }),
    selection: selectionOf(flags),
  };
  const { prepare } = await import('../prepare.ts');
  return prepare(told);
}

export function registerPrepare(program: Command): void {
  const command = program
    .command('prepare')
    .description('prepare a folder of scans as a cohort for training: RAS, resampled, intensities in [0, 1], cropped')
    .argument(
      '<source>',
      "folder: nnU-Net or Decathlon layout, or any folder with images and DICOM series; or MONAI's datalist in JSON",
    )
    .argument('<out>', 'folder of the cohort; an interrupted preparation continues there')
    .option('--modality <ct|mr>', 'ct: (HU + 1024) / 2048, clipped to [0, 1]; mr: clipped at 0, then see --intensity (required)')
    .option('--spacing <mm>', 'voxel size, one number or x,y,z', '1')
    .option('--size <voxels>', 'crop or pad every image about its centre, after --crop; one number or x,y,z')
    .option('--crop <foreground|none>', 'foreground: the patient with 5 mm around', 'foreground')
    .option('--intensity <minmax|percentile>', 'mr only: scale from lowest to highest value, or percentile 0.5 to 99.5', 'minmax')
    .option(
      '--classes <file>',
      'CSV table with the columns case and label: the class of each subject (default: labels.csv in the source)',
    )
    .option('--class-column <name>', "the table's column of classes (default: label or class)")
    .option(
      '--match <pattern>',
      'only images whose file names fit, such as *_T1w.nii.gz; with a slash: their paths, such as sub-*/**; may be repeated',
      collect,
    )
    .option('--exclude <pattern>', 'leave these files alone, label maps too', collect)
    .option('--allow <reasons>', `take what would be left out or refused: ${Object.keys(REASONS).join(', ')}`, collect)
    .option('--channel <n>', 'of images with several channels the one to take: its number, from 0, or its name in dataset.json')
    .option('--workers <n>', 'images at the same time (default: what processors and memory allow)')
    .addHelpText(
      'after',
      `\nLeft out by default, listed at the end, and taken with --allow:\n${describeReasons()}\n\nExit code 1 if a file was refused; the cohort of the others is complete.\n\nExamples:\n  gvsl prepare scans cohort --modality ct --spacing 1.5\n  gvsl prepare bids cohort --modality mr --match '*_T1w.nii.gz'`,
    );
  action(command, run);
}
