/** `gvsl segment`: a trained network's structures in new scans, on the scans' own grids. */
import { type Command, Option } from 'commander';
import { UsageError } from '../../errors/errors.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options {
  readonly model: string;
  readonly out: string;
  readonly modality?: 'ct' | 'mr';
  readonly series?: string;
  readonly window?: string;
  readonly overlap: string;
  readonly probabilities?: boolean;
  readonly dicom?: boolean;
  readonly backend: 'auto' | 'cpu' | 'reference';
  readonly threads?: string;
}

/** A share from 0 to 0.9. */
export function readOverlap(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 0.9))
    throw new UsageError(`--overlap ${text}: expected a share from 0 to 0.9`);
  return value;
}

async function run(inputs: string[], options: Options): Promise<CommandResult> {
  const { createBackend } = await import('../../node/backends.ts');
  const { createProgress, formatDuration } = await import('../../node/progress.ts');
  const { segmentImages } = await import('../../transfer/segment.ts');
  const { positiveInteger } = await import('../numbers.ts');
  const { formatTable } = await import('../table.ts');
  const { backend, threads, overlap, ...call } = options;
  const startedMs = performance.now();
  const report = await segmentImages({
    ...call,
    inputs,
    overlap: readOverlap(overlap),
    backend: createBackend(backend, threads === undefined ? undefined : positiveInteger('--threads', threads)),
    progress: createProgress(),
  });
  const timeMs = Math.round(performance.now() - startedMs);
  const rows = report.images.flatMap(({ name, structures }) =>
    structures.map(({ code, name: structure, voxels, volumeMl }) => [
      name,
      String(code),
      structure,
      String(voxels),
      volumeMl.toFixed(2),
    ]),
  );
  const remarks = report.images.flatMap(({ path, remarks: odd }) => odd.map((remark) => `  ${path}: ${remark}`));
  return {
    json: { ...report, out: options.out, timeMs },
    text: [
      formatTable(['image', 'code', 'structure', 'voxels', 'mL'], rows, [3, 4]),
      ...(remarks.length > 0 ? ['', 'Remarks:', ...remarks] : []),
      '',
      `${options.out}: ${report.images.flatMap(({ files }) => files).length} files, segment.json (${formatDuration(timeMs)})`,
    ].join('\n'),
  };
}

/** Adds `gvsl segment`. */
export function registerSegment(program: Command): void {
  const command = program
    .command('segment')
    .description(
      "find a trained network's structures in scans; results lie on each scan's own grid, with the label codes of training",
    )
    .argument('<input...>', 'images of any format that gvsl inspect reads, folders of images, DICOM folders')
    .requiredOption('--model <model>', 'model folder, or a run (its best state)')
    .requiredOption('--out <folder>', 'folder for the results; only files of the same names are replaced in it')
    .option('--probabilities', 'also write the probability of every class')
    .option('--dicom', 'for DICOM folders also write a DICOM Segmentation object')
    .option('--series <which>', 'of a DICOM folder with several series: its number as listed, or its UID')
    .addOption(
      new Option('--modality <modality>', 'what the images are; only needed for a model that does not say').choices(['ct', 'mr']),
    )
    .option('--window <size>', 'voxels that the network sees at a time: one side, or z,y,x (default: the crops of training)')
    .option('--overlap <share>', 'least share of a side that neighbouring windows have in common', '0.5')
    .addOption(new Option('--backend <name>', 'where to compute').choices(['auto', 'cpu', 'reference']).default('auto'))
    .option('--threads <n>', 'threads of the CPU backend (default: all cores)')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  gvsl segment scans/case_7.nii.gz --model runs/segment --out labels',
        '  gvsl segment dicom/patient-3 --model runs/segment --out labels --dicom',
        '',
        'Writes NAME.nii.gz for each image (nnU-Net: case_7_0000.nii.gz gives case_7.nii.gz) and segment.json. Score them with gvsl evaluate.',
      ].join('\n'),
    );
  action(command, run);
}
