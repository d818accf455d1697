/** Tracking, against a server that follows MLflow's REST API and refuses what MLflow refuses; and without it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../../common/errors.ts';
import { writeTinyCohort } from '../../testing/tiny-cohort.ts';
import { pretrain } from '../pretrain.ts';
import { openTracker, type TrackerCall } from './tracker.ts';

interface StoredRun {
  status: string;
  name: string;
  endTime: number | undefined;
  readonly metrics: { key: string; value: number; step: number; timestamp: number }[];
  readonly params: Map<string, string>;
  readonly tags: Map<string, string>;
}

/** What a server of MLflow keeps, by its REST API 2.0: what is wrong is refused with its error codes. */
class FakeMlflow {
  readonly experiments = new Map<string, string>();
  readonly runs = new Map<string, StoredRun>();
  readonly artifacts = new Map<string, Buffer>();
  readonly authorizations = new Set<string>();
  readonly calls: string[] = [];
  /** Answers that come first, whatever is asked. */
  readonly trouble: number[] = [];
  artifactRoot = 'mlflow-artifacts:';

  answer(method: string, url: URL, body: Buffer): [number, object] {
    const refuse = (status: number, code: string, message = code): [number, object] => [status, { error_code: code, message }];
    const [path] = url.href.slice(url.origin.length).split('?');
    this.calls.push(`${method} ${path}`);
    const status = this.trouble.shift();
    if (status !== undefined) return refuse(status, status === 403 ? 'PERMISSION_DENIED' : 'INTERNAL_ERROR');
    const artifact = /^\/api\/2\.0\/mlflow-artifacts\/artifacts\/(.+)$/.exec(path)?.[1];
    if (artifact !== undefined && method === 'PUT') {
      if (artifact.split('/').includes('..')) return refuse(400, 'INVALID_PARAMETER_VALUE');
      this.artifacts.set(decodeURIComponent(artifact), body);
      return [200, {}];
    }
    const call = path.replace('/api/2.0/mlflow/', '');
    if (method === 'GET' && call === 'experiments/get-by-name') {
      const id = this.experiments.get(url.searchParams.get('experiment_name')!);
      return id === undefined ? refuse(404, 'RESOURCE_DOES_NOT_EXIST') : [200, { experiment: { experiment_id: id } }];
    }
    if (method !== 'POST') return refuse(404, 'ENDPOINT_NOT_FOUND');
    const given = JSON.parse(body.toString()) as Record<string, unknown>;
    if (call === 'experiments/create') {
      if (this.experiments.has(given.name as string)) return refuse(400, 'RESOURCE_ALREADY_EXISTS');
      const id = String(this.experiments.size + 1);
      this.experiments.set(given.name as string, id);
      return [200, { experiment_id: id }];
    }
    if (call === 'runs/create') {
      if (![...this.experiments.values()].includes(given.experiment_id as string)) return refuse(404, 'RESOURCE_DOES_NOT_EXIST');
      if (!Number.isInteger(given.start_time)) return refuse(400, 'INVALID_PARAMETER_VALUE', 'start_time');
      const id = `run${this.runs.size}`;
      const tags = new Map((given.tags as { key: string; value: string }[]).map(({ key, value }) => [key, value]));
      const name = given.run_name as string;
      this.runs.set(id, { status: 'RUNNING', name, endTime: undefined, metrics: [], params: new Map(), tags });
      const info = { run_id: id, status: 'RUNNING', artifact_uri: `${this.artifactRoot}/${given.experiment_id}/${id}/artifacts` };
      return [200, { run: { info, data: {} } }];
    }
    const run = this.runs.get(given.run_id as string);
    if (!run) return refuse(404, 'RESOURCE_DOES_NOT_EXIST');
    if (call === 'runs/update') {
      if (!['RUNNING', 'FINISHED', 'FAILED', 'KILLED'].includes(given.status as string))
        return refuse(400, 'INVALID_PARAMETER_VALUE');
      run.status = given.status as string;
      run.endTime = given.end_time as number | undefined;
      return [200, { run_info: {} }];
    }
    if (call === 'runs/log-batch') {
      const { metrics = [], params = [] } = given as {
        metrics?: StoredRun['metrics'];
        params?: { key: string; value: string }[];
      };
      if (metrics.length > 1000 || params.length > 100) return refuse(400, 'INVALID_PARAMETER_VALUE', 'too many');
      for (const { key, value, step, timestamp } of metrics)
        if (
          !/^[\w\-. :/]{1,250}$/.test(key) ||
          !Number.isFinite(value) ||
          !Number.isInteger(step) ||
          !Number.isInteger(timestamp)
        )
          return refuse(400, 'INVALID_PARAMETER_VALUE', key);
      for (const { key, value } of params) {
        if (!/^[\w\-. :/]{1,250}$/.test(key) || typeof value !== 'string' || value.length > 500)
          return refuse(400, 'INVALID_PARAMETER_VALUE', key);
        if (run.params.has(key) && run.params.get(key) !== value)
          return refuse(400, 'INVALID_PARAMETER_VALUE', `${key} was set before`);
        run.params.set(key, value);
      }
      run.metrics.push(...metrics);
      return [200, {}];
    }
    return refuse(404, 'ENDPOINT_NOT_FOUND');
  }
}

let folder = '';
let store: FakeMlflow;
let server: Server | undefined;
/** Begins to serve; gives the address. */
async function serve(port = 0): Promise<string> {
  server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      store.authorizations.add(request.headers.authorization ?? 'none');
      const [status, body] = store.answer(request.method!, new URL(request.url!, 'http://x'), Buffer.concat(pieces));
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server!.listen(port, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
async function stop(): Promise<void> {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
}
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-mlflow-'));
  store = new FakeMlflow();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await stop();
  await rm(folder, { recursive: true });
});

function callOf(address: string, said: string[] = [], more: Partial<TrackerCall> = {}): TrackerCall {
  return {
    address,
    out: folder,
    kind: 'pre-training',
    configuration: { steps: 3, data: { patch: [16, 16, 16] }, long: 'x'.repeat(900) },
    tags: { 'gvsl.cohort': 'hearts' },
    resume: false,
    say: (line) => said.push(line),
    patienceMs: { pause: 20, close: 100 },
    ...more,
  };
}

describe('a tracked run', () => {
  it('sends values, parameters, tags, pictures and its end', async () => {
    vi.stubEnv('MLFLOW_TRACKING_TOKEN', 'secret');
    vi.stubEnv('MLFLOW_EXPERIMENT_NAME', 'hearts');
    const said: string[] = [];
    const tracker = await openTracker(callOf(await serve(), said));
    for (let step = 1; step <= 1500; step++)
      tracker.scalars(step, { 'loss/total': 1 / step, 'odd|name': step, none: Number.NaN });
    tracker.picture(1500, 'pairs/axial', Uint8Array.of(1, 2, 3));
    tracker.ended('FINISHED');
    await tracker.close();
    expect(said).toEqual([]);
    expect([...store.experiments]).toEqual([['hearts', '1']]);
    const [run] = store.runs.values();
    expect(run).toMatchObject({ status: 'FINISHED', name: folder });
    expect(run.endTime).toBeGreaterThan(0);
    expect(run.metrics).toHaveLength(3000);
    expect(run.metrics.at(-1)).toMatchObject({ key: 'odd_name', value: 1500, step: 1500 });
    expect(run.params.get('data.patch')).toBe('[16,16,16]');
    expect(run.tags.get('gvsl.cohort')).toBe('hearts');
    expect([...store.artifacts.keys()]).toEqual(['1/run0/artifacts/pictures/pairs-axial-0001500.png']);
    expect([...store.authorizations]).toEqual(['Bearer secret']);
    const record = await readFile(join(folder, 'mlflow.json'), 'utf8');
    expect(record).not.toContain('secret');
  });

  it('goes on as the same run when it is resumed; with what was not sent', async () => {
    const address = await serve();
    const first = await openTracker(callOf(address));
    first.scalars(1, { loss: 1 });
    // until it is known there
    await vi.waitFor(() => expect([...store.runs.values()][0]?.metrics).toHaveLength(1));
    const port = Number(new URL(address).port);
    await stop();
    const said: string[] = [];
    first.scalars(2, { loss: 2 });
    first.ended('KILLED');
    await first.close();
    await serve(port);
    const second = await openTracker(callOf(address, said, { resume: true }));
    second.scalars(3, { loss: 3 });
    second.ended('FINISHED');
    await second.close();
    expect(store.runs.size).toBe(1);
    expect(store.runs.get('run0')!.metrics.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(store.runs.get('run0')!.status).toBe('FINISHED');
    expect(said).toEqual([]);
  });

  it('warns once of a server that is away, and sends all when it is back', async () => {
    const address = await serve();
    store.trouble.push(500, 503, 429);
    const said: string[] = [];
    const tracker = await openTracker(callOf(address, said));
    for (let step = 1; step <= 5; step++) tracker.scalars(step, { loss: step });
    await vi.waitFor(() => expect([...store.runs.values()][0]?.metrics).toHaveLength(5), { timeout: 5000 });
    tracker.ended('FINISHED');
    await tracker.close();
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/500 INTERNAL_ERROR.*the training goes on/);
  });

  it('gives up on a server that refuses, and on one that never comes', async () => {
    const address = await serve();
    store.trouble.push(403);
    const said: string[] = [];
    const refused = await openTracker(callOf(address, said));
    refused.scalars(1, { loss: 1 });
    await refused.close();
    expect(said).toEqual([expect.stringMatching(/403 PERMISSION_DENIED.*goes on without it/)]);
    expect(store.calls).toHaveLength(1);
    await stop();
    said.length = 0;
    const absent = await openTracker(callOf(address, said));
    absent.scalars(1, { loss: 1 });
    absent.ended('FINISHED');
    await absent.close();
    expect(said).toEqual([
      expect.stringMatching(/goes on, and what it logs is kept and sent later/),
      expect.stringContaining('1 values could not be sent; they are in'),
    ]);
  });

  it('makes a new run where the old one is gone, and sends no artifacts where the server passes none on', async () => {
    store.artifactRoot = 's3://bucket';
    const address = await serve();
    const first = await openTracker(callOf(address));
    first.scalars(1, { loss: 1 });
    await first.close();
    expect(store.runs.get('run0')!.status).toBe('FAILED');
    store.runs.clear();
    const said: string[] = [];
    const again = await openTracker(callOf(address, said, { resume: true }));
    again.picture(1, 'a', Uint8Array.of(1));
    again.ended('FINISHED');
    await again.close();
    expect(said).toEqual([expect.stringContaining('no longer there')]);
    expect(store.runs.size).toBe(1);
    expect(store.artifacts.size).toBe(0);
  });

  it.each(['localhost:5000', 'ftp://server', 'nowhere'])('refuses the address %s', async (address) => {
    await expect(openTracker(callOf(address))).rejects.toThrow(UsageError);
  });

  it('logs in with name and password of the address, which are kept nowhere', async () => {
    const address = (await serve()).replace('http://', 'http://me:word@');
    const said: string[] = [];
    store.trouble.push(500);
    const tracker = await openTracker(callOf(address, said));
    await tracker.close();
    expect([...store.authorizations]).toEqual([`Basic ${Buffer.from('me:word').toString('base64')}`]);
    expect(said.join() + (await readFile(join(folder, 'mlflow.json'), 'utf8'))).not.toContain('word');
  });
});

it('a pre-training tells the server what metrics.jsonl says, and gives it the model; the result is the same without', async () => {
  const cohort = join(folder, 'cohort');
  await writeTinyCohort(cohort, 4);
  const configuration = {
    steps: 2,
    threads: 1,
    batch: 1,
    model: { width: 0.125 },
    data: { patch: 16, heldOut: 1 },
    log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 2 },
  } as const;
  const mlflow = await serve();
  await pretrain({ cohort, out: join(folder, 'run'), configuration, mlflow });
  await pretrain({ cohort, out: join(folder, 'bare'), configuration });
  const [run] = store.runs.values();
  expect(run.status).toBe('FINISHED');
  expect(run.params.get('model.width')).toBe('0.125');
  const lines = (await readFile(join(folder, 'run/metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const losses = lines.filter(({ kind }) => kind === 'step').map(({ loss }) => loss.total);
  expect(run.metrics.filter(({ key }) => key === 'loss/total').map(({ value }) => value)).toEqual(losses);
  const names = [...store.artifacts.keys()].map((path) => path.replace('1/run0/artifacts/', ''));
  expect(names).toEqual(expect.arrayContaining(['model/model.safetensors', 'model/config.json', 'run.json', 'evaluation.json']));
  expect(names.some((name) => /^pictures\/.*\.png$/.test(name))).toBe(true);
  const model = (of: string) => readFile(join(folder, of, 'best/model.safetensors'));
  expect((await model('run')).equals(await model('bare'))).toBe(true);
  expect(store.artifacts.get('1/run0/artifacts/model/model.safetensors')!.equals(await model('run'))).toBe(true);
}, 120_000);
