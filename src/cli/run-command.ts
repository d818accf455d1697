/** What every command shares: `--json`, exit codes, and errors without stack traces. */
import type { Command } from 'commander';
import { RunError, UsageError } from '../common/errors.ts';
import { defectText, systemError } from '../platform/node/machine.ts';
import { showOptionsOf, withOptionNames } from './option-names.ts';
import { endOnSignal } from './stop-signal.ts';

/** What a command hands back: a document for `--json`, and the same for people. */
export interface CommandResult {
  /** Printed as one JSON document on stdout with `--json`. */
  readonly json: unknown;
  /** Printed on stdout without `--json`. */
  readonly text: string;
  /** 0 done, 1 the work failed (its report is still printed). Default 0. */
  readonly exitCode?: 0 | 1;
}

/** The message for a person: the user's errors and the system's own (ENOENT, ENOSPC, ...) need no stack. */
function describe(error: unknown): { message: string; exitCode: 1 | 2 } {
  if (error instanceof UsageError) return { message: error.message, exitCode: 2 };
  if (error instanceof RunError) return { message: error.message, exitCode: 1 };
  const system = systemError(error);
  if (system) return { message: system.message, exitCode: 1 };
  return { message: defectText(error), exitCode: 1 };
}

/** Adds `--json` and an action that obeys the conventions; `work` gets the command's arguments and options as commander gives them. */
export function action<Arguments extends unknown[]>(
  command: Command,
  work: (...args: Arguments) => Promise<CommandResult>,
): Command {
  return command.option('--json', 'print one JSON document on stdout').action(async (...args: unknown[]) => {
    const json = Boolean(command.opts().json);
    endOnSignal();
    showOptionsOf(command);
    try {
      const result = await work(...(args as Arguments));
      process.exitCode = result.exitCode ?? 0;
      process.stdout.write(`${withOptionNames(json ? JSON.stringify(result.json, null, 2) : result.text)}\n`);
    } catch (error) {
      const { message: said, exitCode } = describe(error);
      const message = withOptionNames(said);
      process.exitCode = exitCode;
      process.stderr.write(`gvsl ${command.name()}: ${message}\n`);
      if (json) process.stdout.write(`${JSON.stringify({ error: message, exitCode }, null, 2)}\n`);
    }
  });
}
