/** `gvsl inspect`: what image files hold, and what `gvsl prepare` would say about them. */
import type { Command } from 'commander';
import { REASONS } from '../../cohort/reasons.ts';
import { UsageError } from '../../common/errors.ts';
import { action, type CommandResult } from '../run-command.ts';
import { collect, type SelectionFlags, selectionOf } from '../selection-options.ts';

interface Flags extends SelectionFlags {
  readonly modality?: string;
}

async function run(paths: readonly string[], flags: Flags): Promise<CommandResult> {
  if (paths.length === 0) throw new UsageError('name at least one image file or folder');
  const { modality = null } = flags;
  if (modality !== null && modality !== 'ct' && modality !== 'mr')
    throw new UsageError(`--modality ${modality}: expected ct or mr`);
  const selection = selectionOf(flags);
  if (selection.channel !== null && !/^\d+$/.test(selection.channel))
    throw new UsageError(`--channel ${selection.channel}: expected a number from 0 on`);
  const { inspectImages } = await import('../inspect.ts');
  return inspectImages(paths, { modality, selection });
}

export function registerInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description('show size, spacing, orientation, intensities and warnings of image files')
    .argument('<paths...>', 'image files, DICOM folders, or folders to search')
    .option('--modality <ct|mr>', 'also show what `gvsl prepare` would skip or refuse with this modality')
    .option('--match <pattern>', 'in folders: only images whose file names match, such as *_T1w.nii.gz', collect)
    .option('--exclude <pattern>', 'in folders: skip matching files', collect)
    .option('--allow <reasons>', `what \`gvsl prepare\` is told to include: ${Object.keys(REASONS).join(', ')}`, collect)
    .option('--channel <n>', 'channel to show of multi-channel images, from 0 (default: the first)')
    .addHelpText(
      'after',
      '\nExit code 1 if any image is refused; the others are shown.\n\nExamples:\n  gvsl inspect scans/ patient.nii.gz\n  gvsl inspect scans/ --modality ct',
    );
  action(command, run);
}
