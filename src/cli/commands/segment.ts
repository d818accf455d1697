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
        'segment scans with a trained network; label maps are on the grid of each scan, with the label codes of training',
      )
      .argument('<input...>', 'images in any supported format, folders of images, DICOM folders'),
    'output folder; results of an earlier call are replaced',
  )
    .option('--probabilities', 'also write class probabilities')
    .option('--dicom', 'also write a DICOM Segmentation object for DICOM folders')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  gvsl segment scans/case_7.nii.gz --model runs/segment --out labels',
        '  gvsl segment dicom/patient-3 --model runs/segment --out labels --dicom',
        '',
        'Writes NAME.nii.gz for each image (nnU-Net: case_7.nii.gz for case_7_0000.nii.gz; shared names are prefixed with their folders)',
        'and segment.json. Exit code 1 if an image failed; failures are listed at the end. Score results with gvsl evaluate.',
      ].join('\n'),
    );
  action(command, run);
}
