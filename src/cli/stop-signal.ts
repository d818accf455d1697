/**
 * Ctrl-C. Most commands end at once (exit code 130), and what they were writing is removed; those that can be continued take it as a wish and
 * end where they can be continued from. A second one ends the process at once.
 */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** What schedulers send some time before a job's time is over (`sbatch --signal=USR1@120`). Elsewhere than here it is the debugger's, and there is none on Windows. */
const WARNINGS: readonly NodeJS.Signals[] = process.platform === 'win32' ? [] : ['SIGUSR1'];

/** By the shell's convention. Leaving this way, unlike by the signal itself, lets `files.ts` remove what is unfinished. */
const endAtOnce = (signal: NodeJS.Signals): void => process.exit(128 + constants.signals[signal]);

/** What a signal means until a command says otherwise. */
export function endOnSignal(): void {
  for (const signal of SIGNALS) if (!process.listeners(signal).includes(endAtOnce)) process.on(signal, endAtOnce);
}

/** Aborted by the first SIGINT, SIGTERM or SIGUSR1. @param saying what is told then; '' for nothing */
export function stopSignal(saying = 'stopping after this step (press again to stop at once)'): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) return;
    if (saying !== '') process.stderr.write(`\n${saying}\n`);
    for (const signal of SIGNALS) process.off(signal, stop);
    endOnSignal();
    controller.abort();
  };
  for (const signal of SIGNALS) {
    process.off(signal, endAtOnce);
    process.on(signal, stop);
  }
  for (const signal of WARNINGS) process.on(signal, stop);
  return controller.signal;
}
