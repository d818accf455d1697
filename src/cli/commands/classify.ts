/** `gvsl classify`: a trained network's classes for new scans. */
import type { Command } from 'commander';
import { addTaskOptions, MIRROR, readMirror, readTaskOptions, type TaskOptions } from '../apply-options.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options extends TaskOptions {
  readonly mirror?: string;
}

async function run(inputs: string[], options: Options): Promise<CommandResult> {
  const { classifyImages } = await import('../../apply/node/classify.ts');
  const { partFile } = await import('../../apply/node/inputs.ts');
  const { formatTable } = await import('../table.ts');
  const { batchExitCode, batchText } = await import('../batch-text.ts');
  const { mirror } = options;
  const task = await readTaskOptions(inputs, options);
  const report = await classifyImages({
    ...task,
    ...(mirror === undefined ? {} : { mirror: readMirror(mirror) }),
  });
  const rows = report.images.map(({ case: name, prediction, probabilities }) => [
    name,
    prediction,
    ...report.classes.map((label) => probabilities[label].toFixed(4)),
  ]);
  return {
    json: { ...report, out: options.out },
    text: batchText(
      report,
      formatTable(
        ['case', 'prediction', ...report.classes.map((label) => `p(${label})`)],
        rows,
        report.classes.map((_, i) => i + 2),
      ),
      `${options.out}: ${partFile('classes.csv', task.part)}, ${partFile('classes.json', task.part)}`,
    ),
    exitCode: batchExitCode(report, task.part),
  };
}

/** Adds `gvsl classify`. */
export function registerClassify(program: Command): void {
  const command = addTaskOptions(
    program
      .command('classify')
      .description('classify scans with a trained network and write class probabilities as CSV and JSON')
      .argument('[input...]', 'images in any supported format, folders of images, DICOM folders'),
    'output folder for classes.csv and classes.json',
  )
    .option('--mirror <axes>', MIRROR)
    .addHelpText(
      'after',
      '\nExamples:\n  gvsl classify scans --model runs/opacities --out classes\n  gvsl classify scans --model runs/folds --mirror y,z --out classes\n  gvsl evaluate classes/classes.csv labels.csv',
    );
  action(command, run);
}
