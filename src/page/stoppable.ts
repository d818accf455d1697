/** A backend whose work can be stopped, and which refuses beforehand what does not fit into its memory. */

import { WorkError } from '../common/errors.ts';
import { formatBytes } from '../common/format-bytes.ts';
import type { Backend, Session } from '../engine/backend.ts';
import type { Program } from '../engine/graph.ts';

/** How long a worker may be deaf: waiting for a turn costs some milliseconds. */
const TURN_EVERY_MS = 50;
let turnedMs = 0;

/** Lets messages in, and throws if one of them was to stop: a worker that only awaits results never hears it. */
export async function listen(signal: AbortSignal): Promise<void> {
  if (performance.now() - turnedMs > TURN_EVERY_MS) {
    await new Promise((resolve) => setTimeout(resolve));
    turnedMs = performance.now();
  }
  signal.throwIfAborted();
}

/** The same backend; its sessions stop between two runs of a graph. */
export function stoppable(backend: Backend, signal: AbortSignal): Backend {
  return {
    name: backend.name,
    description: backend.description,
    memoryLimitBytes: backend.memoryLimitBytes,
    memoryBytes: (program) => backend.memoryBytes(program),
    open: async (program: Program): Promise<Session> => {
      const needed = backend.memoryBytes(program);
      if (needed > backend.memoryLimitBytes)
        throw new WorkError(
          `the network needs ${formatBytes(needed)} of memory, and ${backend.description} can take ${formatBytes(backend.memoryLimitBytes)}`,
        );
      await listen(signal);
      const session = await backend.open(program);
      return {
        memoryBytes: session.memoryBytes,
        run: async (...call) => {
          await listen(signal);
          return session.run(...call);
        },
        readState: (name) => session.readState(name),
        writeState: (name, values) => session.writeState(name, values),
        close: () => session.close(),
      };
    },
  };
}
