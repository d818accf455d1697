/** `gvsl doctor`: what does this machine offer, and what would one gain? */
import type { Command } from 'commander';
import { action } from '../run-command.ts';

/** Adds `gvsl doctor`. */
export function registerDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description(
      'check what this machine offers: Node, processor, builds of the kernels, memory, GPU, image reading; and say what would help',
    )
    .addHelpText('after', '\nExample:\n  gvsl doctor\n\nExit code 1 if something is missing that gvsl cannot work without.');
  action(command, async () => {
    const { bestBuild } = await import('../../platform/node/cpu-host.ts');
    const { checksText, probesOf, reportOf, runChecks } = await import('../bench/doctor.ts');
    const checks = await runChecks(probesOf());
    const report = reportOf(checks, bestBuild());
    return { json: report, text: checksText(checks), exitCode: report.ok ? 0 : 1 };
  });
}
