/** A question to whoever sits at the terminal. */
import { createInterface } from 'node:readline/promises';

/**
 * Asks, and resolves to whether the answer was yes; anything else, Enter and the end of the input are no, and so is a stop.
 * @param interrupted told of Ctrl-C, which the terminal keeps to itself while it asks
 */
export async function askYes(
  question: string,
  signal: AbortSignal,
  {
    input = process.stdin as NodeJS.ReadableStream,
    output = process.stderr as NodeJS.WritableStream,
    interrupted = (): void => void process.kill(process.pid, 'SIGINT'),
  } = {},
): Promise<boolean> {
  const terminal = createInterface({ input, output });
  terminal.on('SIGINT', interrupted);
  const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  try {
    return /^\s*y/i.test(await Promise.race([terminal.question(`${question} [y/N] `, { signal }), ended]));
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  } finally {
    terminal.close();
  }
}
