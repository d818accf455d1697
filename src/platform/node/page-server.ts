/** The local server of the page: this machine alone, nothing but the built files and, where they are asked for, a folder of runs. */
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import sirv from 'sirv';
import { RunError } from '../../common/errors.ts';
import { runFiles } from './run-files.ts';

/**
 * Isolation from other origins lets the page's threads share memory. The policy keeps it from talking to anyone but this server, whatever is
 * in a file; 'wasm-unsafe-eval' compiles WebAssembly and nothing else, so text is never run.
 */
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': [
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "connect-src 'self' data: blob:",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
} as const;

/** A running server; `close` it. */
export interface PageServer {
  readonly url: string;
  close(): Promise<void>;
}

/** The names that this machine has for itself. A page elsewhere whose own name was made to lead here (DNS rebinding) asks by that name. */
const isOwnName = (host: string | undefined): boolean => /^(127\.0\.0\.1|localhost)(:\d+)?$/i.test(host ?? '');

export interface PageServing {
  /** A folder of runs and studies, which the page reads. */
  readonly runs?: string | undefined;
  /** false leaves out the headers of isolation: the page then computes with one thread. */
  readonly isolated?: boolean;
}

/**
 * Serves a folder on the loopback interface.
 * @throws RunError if the port is taken, or a folder is missing
 */
export async function servePage(folder: string, port: number, { runs, isolated = true }: PageServing = {}): Promise<PageServer> {
  if (!existsSync(join(folder, 'index.html')))
    throw new RunError(`${folder}: no page in this folder (index.html); build it with npm run build`);
  const headers = Object.fromEntries(Object.entries(HEADERS).filter(([name]) => isolated || !name.startsWith('Cross-Origin-')));
  const serve = sirv(folder, {
    etag: true,
    setHeaders: (response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    },
  });
  const serveRuns = runs === undefined ? undefined : await runFiles(runs);
  // a file of a run that is opened by itself has no origin, which this header does not go with
  const runHeaders = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'Cross-Origin-Opener-Policy'));
  const server: Server = createServer((request, response) => {
    if (!isOwnName(request.headers.host)) {
      response.writeHead(421).end('this server accepts requests from this machine only\n');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end('this server only gives\n');
      return;
    }
    if (request.url?.startsWith('/runs/')) {
      // none is no error: the page asks whether there are runs
      if (!serveRuns) response.writeHead(204, runHeaders).end();
      else
        serveRuns(request, response, runHeaders).catch(() => {
          if (!response.headersSent) response.writeHead(500);
          response.end();
        });
      return;
    }
    serve(request, response, () => {
      response.writeHead(404).end('not found\n');
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new RunError(`\`port\` ${port}: the port is in use; choose another, or 0 for any free port`)
          : error.code === 'EACCES'
            ? new RunError(`\`port\` ${port}: no permission for this port; choose one above 1023`)
            : error,
      );
    });
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
