/** `gvsl report`: a run as one HTML page. */
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { programName } from '../program-name.ts';
import { action } from '../run-command.ts';

/** Adds `gvsl report`. */
export function registerReport(program: Command): void {
  const command = program
    .command('report')
    .description('write a run as one HTML file: figures on held-out subjects, pictures, curves, and how to go on')
    .argument('<run>', 'folder of a run, finished or not')
    .option('--out <file>', 'the HTML file (default: report.html in the run)')
    .option('--title <text>', 'its title')
    .addHelpText(
      'after',
      '\nThe file holds everything that it shows and loads nothing: send it, keep it, open it anywhere.\n\nExample:\n  gvsl report runs/first --out first.html',
    );
  action(command, async (run: string, { out, title }: { out?: string; title?: string }) => {
    const { writeReport } = await import('../../report/write-report.ts');
    const given = { ...(out === undefined ? {} : { out }), ...(title === undefined ? {} : { title }) };
    const { guardInputs, modelInputs, refuseReplacing } = await import('../../platform/node/guard.ts');
    const result = await guardInputs(await modelInputs(run, 'the run'), async () => {
      if (out !== undefined) await refuseReplacing(out);
      return writeReport({ run, program: programName(), ...given });
    });
    return {
      json: result,
      text: `${result.out}: ${(result.sizeBytes / 1e6).toFixed(1)} MB, after step ${result.step}\n${pathToFileURL(result.out).href}`,
    };
  });
}
