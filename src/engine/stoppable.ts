/** Work that can be stopped between two runs of a graph. */
import type { Backend, Session } from './backend.ts';

/** How long a thread may be deaf: waiting for a turn costs some milliseconds. */
const TURN_EVERY_MS = 50;
let turnedMs = 0;

/** Lets messages in, and throws the signal's reason if one of them was to stop: a thread that only awaits results never hears it. */
export async function listen(signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return;
  if (performance.now() - turnedMs > TURN_EVERY_MS) {
    await new Promise((resolve) => setTimeout(resolve));
    turnedMs = performance.now();
  }
  signal.throwIfAborted();
}

/** The same session, which looks at the signal before each run. */
export function stoppableSession(session: Session, signal: AbortSignal | undefined): Session {
  if (!signal) return session;
  const { view } = session;
  return {
    memoryBytes: session.memoryBytes,
    run: async (...call) => {
      await listen(signal);
      return session.run(...call);
    },
    ...(view && {
      view: async (...call: Parameters<typeof view>) => {
        await listen(signal);
        return view.apply(session, call);
      },
    }),
    readState: (name) => session.readState(name),
    writeState: (name, values) => session.writeState(name, values),
    close: () => session.close(),
  };
}

/** The same backend, whose sessions look at the signal before each run. */
export const stoppable = (backend: Backend, signal: AbortSignal | undefined): Backend =>
  signal
    ? {
        ...backend,
        open: async (program) => {
          await listen(signal);
          return stoppableSession(await backend.open(program), signal);
        },
      }
    : backend;
