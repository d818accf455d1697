/** `gvsl classify`: a trained network's classes for new scans. */
import { type Command, Option } from 'commander';
import { action, type CommandResult } from '../run-command.ts';
import { readOverlap } from './segment.ts';

interface Options {
  readonly model: string;
  readonly out: string;
  readonly modality?: 'ct' | 'mr';
  readonly series?: string;
  readonly window?: string;
  readonly overlap: string;
  readonly backend: 'auto' | 'cpu' | 'reference';
  readonly threads?: string;
}

async function run(inputs: string[], options: Options): Promise<CommandResult> {
  const { createBackend } = await import('../../node/backends.ts');
  const { createProgress } = await import('../../node/progress.ts');
  const { classifyImages } = await import('../../transfer/classify.ts');
  const { positiveInteger } = await import('../numbers.ts');
  const { formatTable } = await import('../table.ts');
  const { backend, threads, overlap, ...call } = options;
  const report = await classifyImages({
    ...call,
    inputs,
    overlap: readOverlap(overlap),
    backend: createBackend(backend, threads === undefined ? undefined : positiveInteger('--threads', threads)),
    progress: createProgress(),
  });
  const rows = report.images.map(({ case: name, prediction, probabilities }) => [
    name,
    prediction,
    ...report.classes.map((label) => probabilities[label]!.toFixed(4)),
  ]);
  const remarks = report.images.flatMap(({ path, remarks: odd }) => odd.map((remark) => `  ${path}: ${remark}`));
  return {
    json: { ...report, out: options.out },
    text: [
      formatTable(
        ['case', 'prediction', ...report.classes.map((label) => `p(${label})`)],
        rows,
        report.classes.map((_, i) => i + 2),
      ),
      ...(remarks.length > 0 ? ['', 'Remarks:', ...remarks] : []),
      '',
      `${options.out}: classes.csv, classes.json`,
    ].join('\n'),
  };
}

/** Adds `gvsl classify`. */
export function registerClassify(program: Command): void {
  const command = program
    .command('classify')
    .description('class probabilities of scans by a trained network, as CSV and JSON')
    .argument('<input...>', 'images of any format that gvsl inspect reads, folders of images, DICOM folders')
    .requiredOption('--model <model>', 'model folder, or a run (its best state)')
    .requiredOption('--out <folder>', 'folder for classes.csv and classes.json')
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
      '\nExample:\n  gvsl classify scans --model runs/opacities --out classes\n  gvsl evaluate classes/classes.csv labels.csv',
    );
  action(command, run);
}
