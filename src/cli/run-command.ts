/** What every command shares: `--json`, exit codes, and errors without stack traces. */
import type { Command } from 'commander';
import { OtherRankError, RunError, UsageError } from '../common/errors.ts';
import { defectText, systemError } from '../platform/node/machine.ts';
import { showOptionsOf, withOptionNames } from './option-names.ts';
import { endOnSignal } from './stop-signal.ts';

/** What a command hands back: a document for `--json`, and the same for people. */
export interface CommandResult {
  /** Printed as one JSON document on stdout with `--json`. */
  readonly json: unknown;
  /** Printed on stdout without `--json`. */
  readonly text: string;
  /** 0 done, 1 the work failed (its report is still printed), `STOPPED`. Default 0. */
  readonly exitCode?: 0 | 1 | typeof STOPPED;
  /** Nothing is printed: another rank says it. */
  readonly quiet?: boolean;
}

/** The exit code of a training that was asked to stop, and can be resumed: EX_TEMPFAIL of sysexits.h, which schedulers may requeue. */
export const STOPPED = 75;

/** The message for a person: the user's errors and the system's own (ENOENT, ENOSPC, ...) need no stack. Undefined where another rank says it. */
function describe(error: unknown): { message: string | undefined; exitCode: number } {
  if (error instanceof OtherRankError) return { message: undefined, exitCode: 0 };
  if (error instanceof UsageError) return { message: error.message, exitCode: 2 };
  if (error instanceof RunError) return { message: error.message, exitCode: 1 };
  const system = systemError(error);
  if (system) return { message: system.message, exitCode: 1 };
  return { message: defectText(error), exitCode: 1 };
}

/**
 * Of `--csv --preview` commander takes the second option for the value of the first, and a file of that name would be written.
 * @throws UsageError
 */
function requireValues(command: Command): void {
  const flags = new Set(command.options.flatMap(({ long, short }) => [long, short]));
  for (const option of command.options) {
    const values: unknown[] = [command.getOptionValue(option.attributeName())].flat();
    const taken = values.find((value) => typeof value === 'string' && flags.has(value.split('=', 1)[0]));
    if (taken !== undefined) throw new UsageError(`${option.flags}: expected a value; found the option ${taken}`);
  }
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
      requireValues(command);
      const result = await work(...(args as Arguments));
      // of several ranks, the one that speaks has the exit code: launchers end the others at once when one of them fails
      if (result.quiet) return;
      process.exitCode = result.exitCode ?? 0;
      process.stdout.write(`${withOptionNames(json ? JSON.stringify(result.json, null, 2) : result.text)}\n`);
    } catch (error) {
      const { message: said, exitCode } = describe(error);
      process.exitCode = exitCode;
      if (said === undefined) return;
      const message = withOptionNames(said);
      process.stderr.write(`gvsl ${command.name()}: ${message}\n`);
      if (json) process.stdout.write(`${JSON.stringify({ error: message, exitCode }, null, 2)}\n`);
    }
  });
}
