/** `gvsl prepare`: a folder of scans becomes a cohort that training reads. */
import type { Command } from 'commander';
import { MR_SCALES, type PrepareOptions } from '../../cohort/prepare-options.ts';
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
  readonly part?: string;
  readonly merge?: boolean;
  readonly classes?: string;
  readonly classColumn?: string;
  readonly match?: readonly string[];
  readonly exclude?: readonly string[];
  readonly allow?: readonly string[];
  readonly channel?: string;
  readonly channels?: string;
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
  if (value === undefined) throw new UsageError(`${option} ${text ?? 'is missing'}: expected one of ${values.join(', ')}`);
  return value;
}

function parseFlags(flags: Flags): { options: PrepareOptions; workers?: number } {
  const options: PrepareOptions = {
    modality: choice('--modality', flags.modality, ['ct', 'mr']),
    spacingMm: three('--spacing', flags.spacing, false),
    size: flags.size === undefined ? null : three('--size', flags.size, true),
    crop: choice('--crop', flags.crop, ['foreground', 'none']),
    intensity: choice('--intensity', flags.intensity, MR_SCALES),
  };
  if (options.spacingMm.some((s) => s < 0.05 || s > 50))
    throw new UsageError(`--spacing ${flags.spacing}: expected millimetres from 0.05 to 50`);
  if (options.modality === 'ct' && options.intensity !== 'minmax')
    throw new UsageError(`--intensity ${options.intensity} is only valid for mr: CT has a fixed scale, (HU + 1024) / 2048`);
  if (flags.workers === undefined) return { options };
  return { options, workers: wholeNumber('--workers', flags.workers, 1, 256) };
}

async function run(source: string, out: string, flags: Flags): Promise<CommandResult> {
  const { classes, classColumn, part, merge } = flags;
  const { parsePart } = await import('../../platform/node/parts.ts');
  const told = {
    source,
    out,
    ...parseFlags(flags),
    ...(classes === undefined ? {} : { classes }),
    ...(classColumn === undefined ? {} : { classColumn }),
    ...(part === undefined ? {} : { part: parsePart(part) }),
    ...(merge === undefined ? {} : { merge }),
    selection: selectionOf(flags),
  };
  const { prepare } = await import('../prepare.ts');
  return prepare(told);
}

export function registerPrepare(program: Command): void {
  const command = program
    .command('prepare')
    .description('prepare a folder of scans as a training cohort: reorient to RAS, resample, scale intensities to [0, 1], crop')
    .argument(
      '<source>',
      'folder in nnU-Net or Decathlon layout, any folder with images and DICOM series, or a MONAI datalist in JSON',
    )
    .argument('<out>', 'output folder of the cohort; an interrupted call continues there')
    .option(
      '--modality <ct|mr>',
      'ct: (HU + 1024) / 2048, clipped to [0, 1]; mr: see --intensity; clipped at 0 unless signed (required)',
    )
    .option('--spacing <mm>', 'target spacing, one number or x,y,z', '1')
    .option('--size <voxels>', 'centre-crop or pad every image to this size, after --crop; one number or x,y,z')
    .option('--crop <foreground|none>', 'foreground: crop to the patient with a margin of 5 mm', 'foreground')
    .option(
      '--intensity <scale>',
      'mr only: minmax, from minimum to maximum; percentile, from percentile 0.5 to 99.5; signed, the same with negative values kept, for z-scores',
      'minmax',
    )
    .option(
      '--classes <file>',
      'CSV table with columns case and label, the class of each subject (default: labels.csv in the source)',
    )
    .option('--class-column <name>', 'class column of the table (default: label or class)')
    .option(
      '--match <pattern>',
      'only images whose file names match, such as *_T1w.nii.gz; patterns with a slash match paths, such as sub-*/**; repeatable',
      collect,
    )
    .option('--exclude <pattern>', 'skip matching files, including label maps; repeatable', collect)
    .option('--allow <reasons>', `include what would be skipped or refused: ${Object.keys(REASONS).join(', ')}`, collect)
    .option('--channel <n>', 'channel to use of multi-channel images: its number, from 0, or its name in dataset.json')
    .option(
      '--channels <list>',
      'channels to prepare together: all, or numbers or names such as 0,2 or T1,FLAIR; the first one gives the grid, and the others are resampled to it',
    )
    .option('--workers <n>', 'images to process in parallel (default: as processors and memory allow)')
    .option('--part <i/n>', 'prepare part I of N (from 1) alone, for job arrays; any part may run anywhere, twice, or again')
    .option('--merge', 'make the cohort of what the parts have prepared; the other options as for the parts')
    .addHelpText(
      'after',
      `\nSkipped or refused by default and listed at the end; include with --allow:\n${describeReasons()}\n\nExit code 1 if a file was refused; the cohort with the others is complete.\n\nExamples:\n  gvsl prepare scans cohort --modality ct --spacing 1.5\n  gvsl prepare bids cohort --modality mr --match '*_T1w.nii.gz'\n  gvsl prepare scans cohort --modality ct --part 3/100   # 100 jobs, then:\n  gvsl prepare scans cohort --modality ct --merge`,
    );
  action(command, run);
}
