/** `gvsl doctor`: what does this machine offer, and what would help? */
import type { Command } from 'commander';
import { action } from '../run-command.ts';

/** Adds `gvsl doctor`. */
export function registerDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description('check this machine: Node, processor, kernel builds, memory, GPU, image reading; and suggest fixes')
    .addHelpText(
      'after',
      '\nExamples:\n  gvsl doctor\n  gvsl doctor --json > doctor.json   # to attach to a report of a problem\n\nExit code 1 if a required check fails.',
    );
  action(command, async () => {
    const { bestBuild } = await import('../../platform/node/cpu-host.ts');
    const { checksText, runChecks } = await import('../doctor/check.ts');
    const { probesOf } = await import('../doctor/probes.ts');
    const { reportOf } = await import('../doctor/report.ts');
    const checks = await runChecks(probesOf());
    const report = reportOf(checks, bestBuild());
    return { json: report, text: checksText(checks), exitCode: report.ok ? 0 : 1 };
  });
}
