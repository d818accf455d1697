/** What every session keeps, whatever its backend. */
import type { Session } from './backend.ts';

/**
 * The session, but closed once, when what was begun is over, and an error for whoever uses it after that. Calls may overlap: each does
 * its part on the device before it first waits, so they take effect in the order in which they were made.
 */
export function guarded(session: Session): Session {
  const begun = new Set<Promise<unknown>>();
  let closing: Promise<void> | undefined;
  const during = <Arguments extends unknown[], Result>(call: (...args: Arguments) => Promise<Result>) => {
    return async (...args: Arguments): Promise<Result> => {
      if (closing) throw new Error('the session is closed');
      const work = call(...args);
      begun.add(work);
      try {
        return await work;
      } finally {
        begun.delete(work);
      }
    };
  };
  const { view, profile, waits, stateView, runTelling } = session;
  return {
    memoryBytes: session.memoryBytes,
    run: during((...args) => session.run(...args)),
    readState: during((name) => session.readState(name)),
    writeState: during((name, values) => session.writeState(name, values)),
    ...(runTelling && { runTelling: during((...args: Parameters<typeof runTelling>) => runTelling.apply(session, args)) }),
    ...(stateView && {
      stateView: (name: string) => {
        if (closing) throw new Error('the session is closed');
        return stateView.call(session, name);
      },
    }),
    ...(view && { view: during((...args: Parameters<typeof view>) => view.apply(session, args)) }),
    ...(profile && { profile: during((...args: Parameters<typeof profile>) => profile.apply(session, args)) }),
    ...(waits && { waits: during((...args: Parameters<typeof waits>) => waits.apply(session, args)) }),
    close: () => {
      closing ??= Promise.allSettled(begun).then(() => session.close());
      return closing;
    },
  };
}
