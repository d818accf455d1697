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
    .description('show what image files hold: size, spacing, orientation, values, and warnings about them')
    .argument('<paths...>', 'image files, DICOM folders, or folders that are searched for both')
    .option('--modality <ct|mr>', 'warn of what `gvsl prepare` would leave out or refuse with this modality')
    .option('--match <pattern>', 'in folders: only images whose file names fit, such as *_T1w.nii.gz', collect)
    .option('--exclude <pattern>', 'in folders: leave these files alone', collect)
    .option('--allow <reasons>', `what \`gvsl prepare\` is to take: ${Object.keys(REASONS).join(', ')}`, collect)
    .option('--channel <n>', 'of images with several channels the one to show: its number, from 0 (default: the first)')
    .addHelpText(
      'after',
      '\nExit code 1 if any image is refused; the others are still shown.\n\nExamples:\n  gvsl inspect scans/ patient.nii.gz\n  gvsl inspect scans/ --modality ct',
    );
  action(command, run);
}
