/** `gvsl doctor`: what does this machine offer, and what would one gain? */
import type { Command } from 'commander';
import { action } from '../run-command.ts';

/** Adds `gvsl doctor`. */
export function registerDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description('check this machine: Node, processor, kernel builds, memory, GPU, image reading; and suggest fixes')
    .addHelpText('after', '\nExample:\n  gvsl doctor\n\nExit code 1 if a required check fails.');
  action(command, async () => {
    const { bestBuild } = await import('../../platform/node/cpu-host.ts');
    const { checksText, probesOf, reportOf, runChecks } = await import('../bench/doctor.ts');
    const checks = await runChecks(probesOf());
    const report = reportOf(checks, bestBuild());
    return { json: report, text: checksText(checks), exitCode: report.ok ? 0 : 1 };
  });
}
