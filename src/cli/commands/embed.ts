/** `gvsl embed`: what a backbone sees in an image. */
import type { Command } from 'commander';
import { type ApplyOptions, addApplyOptions, readApplyOptions } from '../apply-options.ts';
import { warningLines } from '../batch-text.ts';
import { action, type CommandResult } from '../run-command.ts';

async function run(input: string, options: ApplyOptions): Promise<CommandResult> {
  const { embedImage } = await import('../../apply/node/embed.ts');
  const report = await embedImage({ ...(await readApplyOptions(options)), input });
  return {
    json: { ...report, out: options.out },
    text: [
      ...warningLines(report.warnings),
      report.local
        ? `${report.image}: local features ${report.local.join(' x ')}, global vector of ${report.global}`
        : `${report.image}: global vector of ${report.global}; the model has no decoder, and so no local features and no picture of them`,
      ...(report.local
        ? [
            `the principal components in the picture explain ${report.explained.map((share) => `${(100 * share).toFixed(0)} %`).join(', ')} of the local features' variance`,
          ]
        : []),
      `${options.out}: ${report.files.join(', ')}`,
    ].join('\n'),
  };
}

/** Adds `gvsl embed`. */
export function registerEmbed(program: Command): void {
  const command = addApplyOptions(
    program
      .command('embed')
      .description('compute local and global features of an image (safetensors) and a picture of them')
      .argument('<input>', 'image in any supported format'),
    'output folder for features.safetensors and features.png',
  ).addHelpText('after', '\nExample:\n  gvsl embed scan.nii.gz --model runs/first --out features');
  action(command, run);
}
