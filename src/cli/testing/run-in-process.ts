/** A command run in the test's own process, as quick as its work: what it printed, and the exit code that it chose. */
import { CommanderError } from 'commander';
import { vi } from 'vitest';
import { createProgram } from '../program.ts';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function gvsl(...args: readonly string[]): Promise<Ended> {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += String(text);
      return true;
    }),
  );
  const before = process.exitCode;
  process.exitCode = 0;
  try {
    const program = await createProgram(args);
    await program.parseAsync(args, { from: 'user' });
    return { code: Number(process.exitCode), ...said };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { code: error.exitCode === 0 ? 0 : 2, ...said };
  } finally {
    process.exitCode = before;
    for (const signal of ['SIGINT', 'SIGTERM']) process.removeAllListeners(signal);
    for (const spy of spies) spy.mockRestore();
  }
}
