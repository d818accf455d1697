/** Ctrl-C as a wish: the work ends where it can be continued from. A second one ends the process at once. */

/** Aborted by the first SIGINT or SIGTERM. @param saying what is told then */
export function stopSignal(saying = 'stopping after this step (once more: at once)'): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write(`\n${saying}\n`);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return controller.signal;
}
