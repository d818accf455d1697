/** `gvsl embed`: what a backbone sees in an image. */
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

async function run(input: string, options: Options): Promise<CommandResult> {
  const { createBackend } = await import('../../node/backends.ts');
  const { createProgress } = await import('../../node/progress.ts');
  const { embedImage } = await import('../../transfer/embed.ts');
  const { positiveInteger } = await import('../numbers.ts');
  const { backend, threads, overlap, ...call } = options;
  const report = await embedImage({
    ...call,
    input,
    overlap: readOverlap(overlap),
    backend: createBackend(backend, threads === undefined ? undefined : positiveInteger('--threads', threads)),
    progress: createProgress(),
  });
  return {
    json: { ...report, out: options.out },
    text: [
      `${report.image}: local features ${report.local.join(' x ')}, global vector of ${report.global}`,
      `the picture's components explain ${report.explained.map((share) => `${(100 * share).toFixed(0)} %`).join(', ')} of the local features' variance`,
      `${options.out}: ${report.files.join(', ')}`,
    ].join('\n'),
  };
}

/** Adds `gvsl embed`. */
export function registerEmbed(program: Command): void {
  const command = program
    .command('embed')
    .description('local and global features of an image (safetensors), and a picture of them')
    .argument('<input>', 'an image of any format that gvsl inspect reads')
    .requiredOption('--model <model>', 'model folder, or a run (its best state)')
    .requiredOption('--out <folder>', 'folder for features.safetensors and features.png')
    .option('--series <which>', 'of a DICOM folder with several series: its number as listed, or its UID')
    .addOption(
      new Option('--modality <modality>', 'what the image is; only needed for a model that does not say').choices(['ct', 'mr']),
    )
    .option('--window <size>', 'voxels that the network sees at a time: one side, or z,y,x (default: the crops of training)')
    .option('--overlap <share>', 'least share of a side that neighbouring windows have in common', '0.5')
    .addOption(new Option('--backend <name>', 'where to compute').choices(['auto', 'cpu', 'reference']).default('auto'))
    .option('--threads <n>', 'threads of the CPU backend (default: all cores)')
    .addHelpText('after', '\nExample:\n  gvsl embed scan.nii.gz --model runs/first --out features');
  action(command, run);
}
