#!/usr/bin/env node
/** The command line: what the program says goes to its streams, how it ended to the exit code. */
import { systemError } from '../platform/node/machine.ts';

// whoever read what was printed may stop reading, as `| head` does; a full disk behind `>` is told
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`gvsl: cannot write output: ${error.message}\n`);
  process.exit(1);
});
process.stderr.on('error', () => {});

try {
  // loaded here, so that a machine that cannot even open these files is told as well
  const { createProgram } = await import('./program.ts');
  const args = process.argv.slice(2);
  const program = await createProgram(args);
  await program.parseAsync(args, { from: 'user' });
} catch (error) {
  const { code, exitCode } = error as { code?: unknown; exitCode?: number };
  const trouble = systemError(error);
  if (trouble) process.stderr.write(`gvsl: ${trouble.message}\n`);
  else if (!String(code).startsWith('commander.')) throw error;
  process.exitCode = trouble ? 1 : exitCode === 0 ? 0 : 2;
}
