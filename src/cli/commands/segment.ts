/** `gvsl segment`: a trained network's structures in new scans, on the scans' own grids. */
import type { Command } from 'commander';
import { type ApplyOptions, addApplyOptions, readApplyOptions } from '../apply-options.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options extends ApplyOptions {
  readonly probabilities?: boolean;
  readonly dicom?: boolean;
}

async function run(inputs: string[], options: Options): Promise<CommandResult> {
  const { formatDuration } = await import('../../common/format-duration.ts');
  const { segmentImages } = await import('../../apply/node/segment.ts');
  const { formatTable } = await import('../table.ts');
  const { batchText, count } = await import('../batch-text.ts');
  const startedMs = performance.now();
  const report = await segmentImages({
    ...(await readApplyOptions(options)),
    inputs,
    probabilities: options.probabilities ?? false,
    dicom: options.dicom ?? false,
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
  const files = report.images.flatMap((image) => image.files).length;
  return {
    json: { ...report, out: options.out, timeMs },
    text: batchText(
      report,
      formatTable(['image', 'code', 'structure', 'voxels', 'mL'], rows, [3, 4]),
      `${options.out}: ${count(files, 'file')}, segment.json (${formatDuration(timeMs)})`,
    ),
    exitCode: report.failed.length > 0 ? 1 : 0,
  };
}

/** Adds `gvsl segment`. */
export function registerSegment(program: Command): void {
  const command = addApplyOptions(
    program
      .command('segment')
      .description(
        "find a trained network's structures in scans; results lie on each scan's own grid, with the label codes of training",
      )
      .argument('<input...>', 'images of any format that gvsl inspect reads, folders of images, DICOM folders'),
    'folder for the results; what an earlier call wrote there under the same names is replaced',
  )
    .option('--probabilities', 'also write the probability of every class')
    .option('--dicom', 'for DICOM folders also write a DICOM Segmentation object')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  gvsl segment scans/case_7.nii.gz --model runs/segment --out labels',
        '  gvsl segment dicom/patient-3 --model runs/segment --out labels --dicom',
        '',
        'Writes NAME.nii.gz for each image (nnU-Net: case_7_0000.nii.gz gives case_7.nii.gz; names that two images share begin with their folders)',
        'and segment.json. Images that fail are listed at the end, and the exit code is 1. Score the others with gvsl evaluate.',
      ].join('\n'),
    );
  action(command, run);
}
