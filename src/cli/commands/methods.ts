/** `gvsl methods`: the ways to pre-train side by side. */
import type { Command } from 'commander';
import { METHODS } from '../../methods/registry.ts';
import { action } from '../run-command.ts';
import { formatTable } from '../table.ts';

const HELP = `
Examples:
  gvsl methods
  gvsl pretrain --method mae --help   # the options of one of them
  gvsl methods --json`;

const NOTES = `No method needs labels; where a cohort has them, evaluations probe the features with them.
passes: passes through the encoder per sample of a step; \`gvsl compare\` gives every method the same number of them.
encoder: the decoder is not trained, and starts at random when a segmentation is trained.
Of a cohort with several channels, every method sees one at a time, or all together (\`gvsl pretrain --channels all\`).`;

/** Adds `gvsl methods`. */
export function registerMethods(program: Command): void {
  const command = program
    .command('methods')
    .description('list the methods of pre-training: what each sees, trains, needs and costs')
    .addHelpText('after', HELP);
  action(command, async () => {
    const rows = METHODS.map(({ name, trains, passes, sees, needs }) => [name, trains, String(passes), sees, needs]);
    return {
      json: METHODS.map(({ name, title, summary, sees, trains, needs, passes, paper }) => ({
        name,
        title,
        summary,
        sees,
        trains,
        needs,
        labels: false,
        passes,
        paper,
      })),
      text: [
        formatTable(['method', 'trains', 'passes', 'sees', 'needs'], rows, [2]),
        '',
        formatTable(
          ['method', 'task', 'paper'],
          METHODS.map(({ name, summary, paper }) => [name, summary, paper]),
        ),
        '',
        NOTES,
      ].join('\n'),
    };
  });
}
