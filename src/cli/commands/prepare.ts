/** `gvsl prepare`: a folder of scans becomes a cohort that training reads. */
import type { Command } from 'commander';
import { countClasses, describeClasses } from '../../cohort/classes.ts';
import type { Cohort } from '../../cohort/cohort.ts';
import { type PrepareReport, prepareCohort } from '../../cohort/prepare.ts';
import { UsageError } from '../../errors/errors.ts';
import { formatDuration } from '../../errors/format-duration.ts';
import type { Xyz } from '../../geometry/volume.ts';
import { createProgress } from '../../node/progress.ts';
import type { PrepareOptions } from '../../preparation/prepare-options.ts';
import { action, type CommandResult } from '../run-command.ts';
import { formatTable } from '../table.ts';

interface Flags {
  readonly modality?: string;
  readonly spacing: string;
  readonly size?: string;
  readonly crop: string;
  readonly intensity: string;
  readonly workers?: string;
  readonly classes?: string;
  readonly classColumn?: string;
}

/** `1` or `1,1,2` (x, y, z) as three positive numbers. */
function three(option: string, text: string, whole: boolean): Xyz {
  const values = text.split(/[,x]/).map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
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
  const workers = Number(flags.workers);
  if (!Number.isInteger(workers) || workers < 1 || workers > 256)
    throw new UsageError(`--workers ${flags.workers}: expected a whole number from 1 to 256`);
  return { options, workers };
}

async function run(source: string, out: string, flags: Flags): Promise<CommandResult> {
  const call = parseFlags(flags);
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  const startedMs = performance.now();
  try {
    const report = await prepareCohort({
      source,
      out,
      ...call,
      ...(flags.classes === undefined ? {} : { classes: flags.classes }),
      ...(flags.classColumn === undefined ? {} : { classColumn: flags.classColumn }),
      progress: createProgress(),
      signal: stop.signal,
    });
    const timeMs = Math.round(performance.now() - startedMs);
    const { cohort, kept, layout } = report;
    const refused = cohort.problems.filter((p) => p.kind === 'refused').length;
    return {
      json: {
        folder: out,
        layout,
        timeMs,
        prepared: cohort.subjects.length,
        kept,
        refused,
        classes: countClasses(cohort.subjects.map((subject) => subject.class)).classes,
        ...withoutFolder(cohort),
      },
      text: asText(report, timeMs),
      exitCode: cohort.subjects.length > 0 ? 0 : 1,
    };
  } finally {
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
  }
}

const withoutFolder = ({ options, subjects, problems }: Cohort): Omit<Cohort, 'folder'> => ({ options, subjects, problems });

/** More subjects than this are summed up instead of listed. */
const LISTED = 60;
/** A remark that this many files share is shown with its first files only. */
const SHOWN = 5;

const times = (values: readonly number[]): string => values.map((v) => +v.toPrecision(4)).join('x');

function asText({ cohort, kept, layout }: PrepareReport, timeMs: number): string {
  const { subjects, problems, folder } = cohort;
  const parts: string[] = [];
  if (subjects.length > 0 && subjects.length <= LISTED) {
    const rows = subjects.map((s) => [
      s.id,
      s.sourceOrientation,
      times(s.sourceGeometry.size),
      times(s.sourceGeometry.spacingMm),
      times(s.geometry.size),
      `${+s.intensity.low.toPrecision(4)} .. ${+s.intensity.high.toPrecision(4)}`,
      s.labelCodes ? String(s.labelCodes.filter((code) => code !== 0).length) : '',
      s.landmarks.length ? String(s.landmarks.length) : '',
    ]);
    parts.push(
      formatTable(['subject', 'axes', 'size', 'spacing mm', 'stored size', 'window', 'labels', 'landmarks'], rows, [6, 7]),
      '',
    );
  }
  if (problems.length > 0) {
    parts.push(`${problems.length} problems:`);
    const same = new Map<string, string[]>();
    for (const { source, kind, message } of problems) {
      const line = kind === 'refused' ? `refused: ${message}` : message;
      same.set(line, [...(same.get(line) ?? []), source]);
    }
    for (const [line, sources] of same) {
      parts.push(`  ${line}`, ...sources.slice(0, SHOWN).map((source) => `    ${source}`));
      if (sources.length > SHOWN) parts.push(`    and ${sources.length - SHOWN} more`);
    }
    parts.push('');
  }
  const refused = problems.filter((p) => p.kind === 'refused').length;
  const labelled = subjects.filter((s) => s.labelCodes).length;
  const classes = describeClasses(countClasses(subjects.map((s) => s.class)));
  const facts = [
    `${subjects.length} prepared${kept ? ` (${kept} of them before)` : ''}`,
    `${refused} refused`,
    `${labelled} with labels`,
    ...(classes ? [classes] : []),
    `${layout} layout`,
    formatDuration(timeMs),
  ];
  parts.push(subjects.length > 0 ? `${folder}: ${facts.join(', ')}` : `nothing could be prepared: ${facts.slice(1).join(', ')}`);
  return parts.join('\n');
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
    .option('--workers <n>', 'images at the same time (default: what processors and memory allow)')
    .addHelpText(
      'after',
      '\nRefused files and everything odd are listed at the end. Exit code 1 if nothing could be prepared.\n\nExample:\n  gvsl prepare scans cohort --modality ct --spacing 1.5',
    );
  action(command, run);
}
