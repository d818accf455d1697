import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { type PageServer, servePage } from './page-server.ts';

let folder = '';
let server: PageServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-page-'));
  await writeFile(join(folder, 'index.html'), 'the page');
  await writeFile(join(folder, '..', 'gvsl-secret'), 'secret');
  server = await servePage(folder, 0);
});
afterAll(async () => {
  await server.close();
  await rm(join(folder, '..', 'gvsl-secret'));
  await rm(folder, { recursive: true });
});

/** A request as it is, without a client that tidies the path. */
const raw = (path: string, host: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    socket.on('data', (piece) => {
      text += piece;
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });

describe('servePage', () => {
  it('serves the folder, with a policy that runs no text', async () => {
    const answer = await fetch(server.url);
    expect(await answer.text()).toBe('the page');
    const policy = answer.headers.get('Content-Security-Policy')!;
    expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval';");
    expect(policy).not.toContain("'unsafe-eval'");
  });

  it('answers to its own names alone: a page elsewhere may have its name lead here', async () => {
    expect(await raw('/', '127.0.0.1:1234')).toMatch(/^HTTP\/1.1 200/);
    expect(await raw('/', 'localhost')).toMatch(/^HTTP\/1.1 200/);
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80', '', '[::1].x'])
      expect(await raw('/', host), host).toMatch(/^HTTP\/1.1 (421|400)/);
  });

  it.each(['/../gvsl-secret', '/%2e%2e/gvsl-secret', '/..%2fgvsl-secret', '/..%5cgvsl-secret', '//gvsl-secret', '/%00', '/%ff'])(
    'leads nowhere else by %s',
    async (path) => {
      const answer = await raw(path, 'localhost');
      expect(answer).toMatch(/^HTTP\/1.1 (404|400)/);
      expect(answer).not.toContain('secret');
    },
  );

  it('says in words what is wrong with a port or a folder', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    await expect(servePage(folder, port)).rejects.toThrow(/the port is in use/);
    await new Promise((resolve) => taken.close(resolve));
    await expect(servePage(join(folder, 'none'), 0)).rejects.toThrow(RunError);
    await expect(servePage(tmpdir(), 0)).rejects.toThrow('no page in this folder');
  });
});
