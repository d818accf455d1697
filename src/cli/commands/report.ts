/** `gvsl report`: a run as one HTML page. */
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { programName } from '../program-name.ts';
import { action } from '../run-command.ts';

/** Adds `gvsl report`. */
export function registerReport(program: Command): void {
  const command = program
    .command('report')
    .description('write an HTML report of a run: results on held-out subjects, pictures, curves, next steps')
    .argument('<run>', 'run folder, finished or not')
    .option('--out <file>', 'HTML file (default: report.html in the run)')
    .option('--title <text>', 'title of the report')
    .addHelpText(
      'after',
      '\nThe file is self-contained and loads nothing from the network.\n\nExample:\n  gvsl report runs/first --out first.html',
    );
  action(command, async (run: string, { out, title }: { out?: string; title?: string }) => {
    const { writeReport } = await import('../../report/node/write-report.ts');
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
