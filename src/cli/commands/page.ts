/** `gvsl page`: the page that segments, registers, shows features, trains and shows runs in a browser, served to this machine alone. */
import type { Command } from 'commander';
import { action, type CommandResult } from '../run-command.ts';

/** Adds `gvsl page`. */
export function registerPage(program: Command): void {
  const command = program
    .command('page')
    .description(
      'serve a local web page that segments, registers, shows features and trains in the browser, on its GPU or CPU, and shows runs and studies; nothing is uploaded',
    )
    .option('--port <n>', 'port on 127.0.0.1; 0 for any free port', '8420')
    .option('--runs <dir>', 'a run, a study, or a folder of them: the page shows and follows them; read-only')
    .addHelpText(
      'after',
      '\nExamples:\n  gvsl page\n  gvsl page --runs runs\n\nWith --runs, whoever has an account on this machine can read logs and pictures of the folder while it is served.\nStop it with Ctrl-C.',
    );
  action(command, async ({ port, runs }: { port: string; runs?: string }): Promise<CommandResult> => {
    const { RunError } = await import('../../common/errors.ts');
    const { existsSync } = await import('node:fs');
    const { fileURLToPath } = await import('node:url');
    const { servePage } = await import('../../platform/node/page-server.ts');
    const { createProgress } = await import('../progress.ts');
    const { stopSignal } = await import('../stop-signal.ts');
    const { wholeNumber } = await import('../numbers.ts');
    const number = wholeNumber('--port', port, 0, 65_535);
    const folder = fileURLToPath(new URL('../../page/', import.meta.url));
    if (!existsSync(`${folder}index.html`)) throw new RunError(`${folder}: the page is not built; run npm run build`);
    const signal = stopSignal('closing');
    const server = await servePage(folder, number, { runs });
    const url = runs === undefined ? server.url : `${server.url}#runs`;
    createProgress().say(`serving the page at ${url} (stop with Ctrl-C)`);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await server.close();
    return { json: { url }, text: 'closed' };
  });
}
