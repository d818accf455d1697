/** `gvsl prepare`: a folder of scans becomes a cohort that training reads. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { countClasses, describeClasses } from '../../cohort/classes.ts';
import type { Cohort, CohortProblem } from '../../cohort/cohort.ts';
import { countedProblems, type PrepareReport, prepareCohort } from '../../cohort/prepare.ts';
import { UsageError } from '../../errors/errors.ts';
import { formatDuration } from '../../errors/format-duration.ts';
import type { Xyz } from '../../geometry/volume.ts';
import { guardInputs, refuseReplacing } from '../../node/guard.ts';
import { createProgress } from '../../node/progress.ts';
import { REASONS } from '../../preparation/fitness.ts';
import type { PrepareOptions } from '../../preparation/prepare-options.ts';
import { count } from '../batch-text.ts';
import { action, type CommandResult } from '../run-command.ts';
import { collect, describeReasons, selectionOf } from '../selection-options.ts';
import { stopSignal } from '../stop-signal.ts';
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
  readonly match?: readonly string[];
  readonly exclude?: readonly string[];
  readonly allow?: readonly string[];
  readonly channel?: string;
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
  const startedMs = performance.now();
  const inputs = [
    { path: source, what: 'the source' },
    ...(flags.classes === undefined ? [] : [{ path: flags.classes, what: 'the table of classes' }]),
  ];
  const report = await guardInputs(inputs, async () => {
    await refuseReplacing(join(out, 'cohort.json'));
    return prepareCohort({
      source,
      out,
      ...call,
      ...(flags.classes === undefined ? {} : { classes: flags.classes }),
      ...(flags.classColumn === undefined ? {} : { classColumn: flags.classColumn }),
      selection: selectionOf(flags),
      progress: createProgress(),
      signal: stopSignal('stopping; what is prepared stays (once more: at once)'),
    });
  });
  const timeMs = Math.round(performance.now() - startedMs);
  const { cohort, kept, layout, unmatched } = report;
  const ofKind = (...kinds: CohortProblem['kind'][]): number => cohort.problems.filter((p) => kinds.includes(p.kind)).length;
  const refused = ofKind('refused');
  return {
    json: {
      folder: out,
      layout,
      timeMs,
      prepared: cohort.subjects.length,
      kept,
      refused,
      leftOut: ofKind('left-out'),
      unmatched,
      warnings: ofKind('warning', 'duplicate'),
      classes: countClasses(cohort.subjects.map((subject) => subject.class)).classes,
      ...withoutFolder(cohort),
    },
    text: asText(report, timeMs),
    exitCode: cohort.subjects.length > 0 && refused === 0 ? 0 : 1,
  };
}

const withoutFolder = ({ options, subjects, problems }: Cohort): Omit<Cohort, 'folder'> => ({ options, subjects, problems });

/** More subjects than this are summed up instead of listed. */
const LISTED = 60;
/** A message that this many files share is shown with its first files only. */
const SHOWN = 5;

const times = (values: readonly number[]): string => values.map((v) => +v.toPrecision(4)).join('x');

function asText({ cohort, kept, layout, unmatched }: PrepareReport, timeMs: number): string {
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
  const titles = { refused: 'Refused', 'left-out': 'Left out', warning: 'Warnings', duplicate: 'The same image twice' } as const;
  for (const [kind, title] of Object.entries(titles)) {
    const same = new Map<string, string[]>();
    for (const { source, message } of problems.filter((problem) => problem.kind === kind)) {
      const text = kind === 'left-out' ? message.replace(/^left out: /, '') : message;
      same.set(text, [...(same.get(text) ?? []), source]);
    }
    if (same.size === 0) continue;
    parts.push(`${title}:`);
    for (const [line, sources] of same) {
      parts.push(`  ${line}`, ...sources.slice(0, SHOWN).map((source) => `    ${source}`));
      if (sources.length > SHOWN) parts.push(`    and ${sources.length - SHOWN} more`);
    }
    parts.push('');
  }
  const warnings = problems.filter(({ kind }) => kind === 'warning' || kind === 'duplicate').length;
  const labelled = subjects.filter((s) => s.labelCodes).length;
  const empty = subjects.filter((s) => s.labelCodes?.every((code) => code === 0)).length;
  const classes = describeClasses(countClasses(subjects.map((s) => s.class)));
  const facts = [
    `${count(subjects.length, 'image')} prepared${kept ? ` (${kept} of them before)` : ''}`,
    ...countedProblems(problems),
    ...(unmatched > 0 ? [`${unmatched} not matched`] : []),
    `${labelled} with labels${empty ? ` (${empty} of them empty: negatives)` : ''}`,
    ...(classes ? [classes] : []),
    `${layout} layout`,
    formatDuration(timeMs),
    count(warnings, 'warning'),
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
