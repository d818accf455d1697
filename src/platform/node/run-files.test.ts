import { appendFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import type { ListedFile, RunListing } from '../../common/run-listing.ts';
import { lockFolder } from './lock.ts';
import { type PageServer, servePage } from './page-server.ts';
import { MAX_DEPTH } from './run-files.ts';

const LOG = '{"kind":"step","step":1}\n{"kind":"step","step":2}\n';
let base = '';
let runs = '';
let server: PageServer;
let unlock = (): void => {};
const write = async (path: string, text: string): Promise<void> => {
  await mkdir(join(base, path, '..'), { recursive: true });
  await writeFile(join(base, path), text);
};
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'gvsl-runs-'));
  runs = join(base, 'runs');
  await write('page/index.html', 'the page');
  await write('secret/run.json', 'secret');
  await write('runs-beside/run.json', 'secret');
  await write('runs/a b/metrics.jsonl', LOG);
  await write('runs/a b/run.json', '{}');
  await write('runs/a b/model.safetensors', 'secret');
  await write('runs/a b/.hidden.json', 'secret');
  await write('runs/a b/pictures/step-000001-pair-0.png', 'picture');
  await write('runs/a b/report.html', '<script>1</script>');
  await write('runs/study/table.csv', 'method,mode\n');
  await write('runs/study/runs/mae-linear-4-seed1/run.json', '{}');
  await write(`runs/${'deep/'.repeat(MAX_DEPTH + 2)}run.json`, '{}');
  await symlink(join(base, 'secret'), join(runs, 'out'));
  await symlink(join(base, 'secret', 'run.json'), join(runs, 'study', 'out.json'));
  await symlink(join(runs, 'a b', 'run.json'), join(runs, 'study', 'in.json'));
  await symlink(join(runs, 'a b', '.hidden.json'), join(runs, 'study', 'hidden.json'));
  unlock = lockFolder(join(runs, 'a b'));
  server = await servePage(join(base, 'page'), 0, { runs });
});
afterAll(async () => {
  await server.close();
  unlock();
  await rm(base, { recursive: true });
});

/** A request as it is, without a client that tidies the path. */
const raw = (path: string, { method = 'GET', host = 'localhost', more = '' } = {}): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () =>
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`),
    );
    socket.on('data', (piece) => {
      text += piece;
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
const at = (path: string): string => `${server.url}runs/${path}`;
const names = (files: readonly ListedFile[]): string[] => files.map(({ name }) => name);

describe('runs that are served', () => {
  it('are listed, with the files that tell of them', async () => {
    const list = (await (await fetch(at('list'))).json()) as RunListing;
    expect(list.name).toBe('runs');
    expect(list.folders.map(({ path }) => path)).toEqual(['a b', 'study', 'study/runs/mae-linear-4-seed1']);
    const [run, study] = list.folders;
    expect(names(run.files)).toEqual(['metrics.jsonl', 'report.html', 'run.json']);
    expect(run.files[0].sizeBytes).toBe(LOG.length);
    expect([run.locked, study.locked]).toEqual([true, false]);
    expect(list.left).toMatch(/more than 8 levels/);
    const pictures = (await (await fetch(at('folder/a%20b/pictures'))).json()) as ListedFile[];
    expect(names(pictures)).toEqual(['step-000001-pair-0.png']);
    for (const none of ['folder/study/pictures', 'folder/out', 'folder/study/table.csv'])
      expect(await (await fetch(at(none))).json(), none).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('are given whatever their names have in them', async () => {
    const name = '2026-11-28T01:10:00 back\\slash 50% #1?';
    await write(`runs/zz/${name}/run.json`, '{"method":"mae"}');
    const path = `zz/${encodeURIComponent(name)}`;
    expect(names((await (await fetch(at(`folder/${path}`))).json()) as ListedFile[])).toEqual(['run.json']);
    expect(await (await fetch(at(`files/${path}/run.json`))).text()).toBe('{"method":"mae"}');
  });

  it('are read in part: what a log has more than before, and its end', async () => {
    const log = at('files/a%20b/metrics.jsonl');
    const part = async (range: string) => {
      const answer = await fetch(log, { headers: { Range: range } });
      return [answer.status, answer.headers.get('content-range'), await answer.text()];
    };
    const [first, second] = LOG.split('\n');
    expect(await part(`bytes=${first.length + 1}-`)).toEqual([206, 'bytes 25-49/50', `${second}\n`]);
    expect(await part('bytes=-6')).toEqual([206, 'bytes 44-49/50', LOG.slice(-6)]);
    expect(await part('bytes=0-0')).toEqual([206, 'bytes 0-0/50', '{']);
    expect(await part('bytes=50-')).toEqual([416, 'bytes */50', '']);
    await appendFile(join(runs, 'a b', 'metrics.jsonl'), '{"kind');
    expect(await part('bytes=50-')).toEqual([206, 'bytes 50-55/56', '{"kind']);
    const whole = await fetch(log);
    expect(await whole.text()).toBe(`${LOG}{"kind`);
    const again = await raw('/runs/files/a%20b/metrics.jsonl', { more: `If-None-Match: ${whole.headers.get('etag')}\r\n` });
    expect(again).toMatch(/^HTTP\/1.1 304/);
    expect(await raw('/runs/files/a%20b/metrics.jsonl', { method: 'HEAD' })).toMatch(/Content-Length: 56\r\n[\s\S]*\r\n\r\n$/);
  });

  it('run no script of theirs in the name of the page', async () => {
    const report = await fetch(at('files/a%20b/report.html'));
    expect(report.headers.get('content-security-policy')).toMatch(/^sandbox allow-scripts allow-popups; default-src 'none'/);
    expect(report.headers.get('x-content-type-options')).toBe('nosniff');
    expect(report.headers.get('cross-origin-resource-policy')).toBe('same-origin');
  });

  it.each([
    '/runs/files/../secret/run.json',
    '/runs/files/a%20b/../../secret/run.json',
    '/runs/files/%2e%2e/secret/run.json',
    '/runs/files/..%2fsecret/run.json',
    '/runs/files/a%20b%2frun.json',
    '/runs/files/a%20b%2Frun.json',
    '/runs/files/a%20b%5crun.json',
    '/runs/files/a%20b\\run.json',
    '/runs/files/%00run.json',
    '/runs/files/%ff/run.json',
    '/runs/files//etc/passwd',
    '/runs/files/C:/run.json',
    '/runs/files/out/run.json',
    '/runs/files/study/out.json',
    '/runs/files/study/hidden.json',
    '/runs/files/../runs-beside/run.json',
    '/runs/files/a%20b/model.safetensors',
    '/runs/files/a%20b/.hidden.json',
    '/runs/files/a%20b/.lock',
    '/runs/files/a%20b',
    '/runs/files/',
    '/runs/folder/../secret',
    '/runs/folder/..',
    '/runs/none',
    '/runs/',
  ])('lead nowhere else by %s', async (path) => {
    const answer = await raw(path);
    expect(answer).toMatch(/^HTTP\/1.1 404/);
    expect(answer).not.toContain('secret');
  });

  it('follow a link that stays inside, and tell nothing of what links lead to', async () => {
    expect(names((await (await fetch(at('folder/study'))).json()) as ListedFile[])).toEqual(['table.csv']);
    expect(await (await fetch(at('files/study/in.json'))).text()).toBe('{}');
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('are not changed by %s', async (method) => {
    for (const path of ['/runs/files/a%20b/run.json', '/runs/list', '/'])
      expect(await raw(path, { method })).toMatch(/^HTTP\/1.1 405/);
  });

  it('are given to this machine by its own names alone', async () => {
    expect(await raw('/runs/list', { host: 'evil.example' })).toMatch(/^HTTP\/1.1 421/);
  });

  it('are nothing where none are served, and refused in words where there are none', async () => {
    const plain = await servePage(join(base, 'page'), 0);
    const answer = await fetch(`${plain.url}runs/list`);
    expect([answer.status, await answer.text()]).toEqual([204, '']);
    await plain.close();
    await expect(servePage(join(base, 'page'), 0, { runs: join(base, 'none') })).rejects.toThrow(/none: no such folder/);
    await expect(servePage(join(base, 'page'), 0, { runs: join(runs, 'a b', 'run.json') })).rejects.toThrow(RunError);
  });
});
