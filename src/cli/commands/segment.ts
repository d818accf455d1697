/** `gvsl segment`: a trained network's structures in new scans, on the scans' own grids. */
import type { Command } from 'commander';
import { type ApplyOptions, addApplyOptions, readApplyOptions } from '../apply-options.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options extends ApplyOptions {
  readonly probabilities?: boolean;
  readonly dicom?: boolean;
}

async function run(inputs: string[], options: Options): Promise<CommandResult> {
  const { formatDuration } = await import('../../errors/format-duration.ts');
  const { segmentImages } = await import('../../transfer/segment.ts');
  const { formatTable } = await import('../table.ts');
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
  const command = addApplyOptions(
    program
      .command('segment')
      .description(
        "find a trained network's structures in scans; results lie on each scan's own grid, with the label codes of training",
      )
      .argument('<input...>', 'images of any format that gvsl inspect reads, folders of images, DICOM folders'),
    'folder for the results; only files of the same names are replaced in it',
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
        'Writes NAME.nii.gz for each image (nnU-Net: case_7_0000.nii.gz gives case_7.nii.gz) and segment.json. Score them with gvsl evaluate.',
      ].join('\n'),
    );
  action(command, run);
}
