#!/usr/bin/env node
/** The command line: what the program says goes to its streams, how it ended to the exit code. */
import { CommanderError } from 'commander';
import { createProgram } from './program.ts';

// whoever read what was printed may stop reading, as `| head` does; a full disk behind `>` is told
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`gvsl: what it prints could not be written: ${error.message}\n`);
  process.exit(1);
});
process.stderr.on('error', () => {});

try {
  await createProgram().parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
