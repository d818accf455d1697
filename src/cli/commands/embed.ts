/** `gvsl embed`: what a backbone sees in images. */
import type { Command } from 'commander';
import { type ApplyOptions, addApplyOptions, PART, readApplyOptions } from '../apply-options.ts';
import { action, type CommandResult } from '../run-command.ts';

interface Options extends ApplyOptions {
  readonly globalOnly?: boolean;
  readonly part?: string;
}

async function run(inputs: string[], options: Options): Promise<CommandResult> {
  const { embedImages } = await import('../../apply/node/embed.ts');
  const { partFile } = await import('../../apply/node/inputs.ts');
  const { parsePart } = await import('../../platform/node/parts.ts');
  const { formatTable } = await import('../table.ts');
  const { batchExitCode, batchText, count } = await import('../batch-text.ts');
  const { globalOnly = false } = options;
  const part = options.part === undefined ? undefined : parsePart(options.part);
  const report = await embedImages({
    ...(await readApplyOptions(options)),
    inputs,
    globalOnly,
    ...(part && { part }),
  });
  const { images } = report;
  const rows = images.map(({ name, local, explained }) => [
    name,
    local?.join(' x ') ?? '-',
    String(report.global),
    local ? explained.map((share) => `${(100 * share).toFixed(0)} %`).join(', ') : '-',
  ]);
  const files = count(images.flatMap((image) => image.files).length, 'file');
  return {
    json: { ...report, out: options.out },
    text: batchText(
      report,
      formatTable(['image', 'local features', 'global', 'variance in the picture'], rows, [2]),
      `${options.out}: ${globalOnly ? '' : `${files}, `}${partFile('global.csv', part)}, ${partFile('embed.json', part)}`,
    ),
    exitCode: batchExitCode(report, part),
  };
}

/** Adds `gvsl embed`. */
export function registerEmbed(program: Command): void {
  const command = addApplyOptions(
    program
      .command('embed')
      .description('compute local and global features of images (safetensors, CSV) and pictures of them')
      .argument('<input...>', 'images in any supported format, folders of images, DICOM folders'),
    'output folder; results of an earlier call are replaced',
  )
    .option('--global-only', 'write the table of global vectors alone, no local features (several times as large as the images)')
    .option('--part <i/n>', PART)
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  gvsl embed scan.nii.gz --model runs/first --out features',
        '  gvsl embed scans --model runs/first --global-only --part 3/100 --out features',
        '',
        'Writes NAME.safetensors (local, global) and pictures/NAME.png for each image, global.csv with a row for each, and embed.json. A model',
        'without a decoder has no local features, and so no pictures. Exit code 1 if an image failed or there is none; failures are listed at the end.',
      ].join('\n'),
    );
  action(command, run);
}
