/** Tracking, against a server that follows MLflow's REST API and refuses what MLflow refuses; and without it. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../../common/errors.ts';
import { FakeMlflow, FakeServer } from '../../testing/fake-mlflow.ts';
import { writeTinyCohort } from '../../testing/tiny-cohort.ts';
import { pretrain } from '../pretrain.ts';
import { openTracker, type TrackerCall } from './tracker.ts';

let folder = '';
let store: FakeMlflow;
const server = new FakeServer();
const serve = (port?: number): Promise<string> => server.serve(store, port);
const stop = (): Promise<void> => server.stop();
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
    await vi.waitFor(() => expect([...store.runs.values()][0]?.metrics).toHaveLength(1), { timeout: 60_000 });
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
    await vi.waitFor(() => expect([...store.runs.values()][0]?.metrics).toHaveLength(5), { timeout: 60_000 });
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
    absent.picture(1, 'a', Uint8Array.of(1));
    absent.ended('FINISHED');
    await absent.close();
    expect(said).toEqual([
      expect.stringMatching(/goes on, and what it logs is kept and sent later/),
      expect.stringContaining('could not be sent: 1 value; how the run ended, with its model and scores. It is kept in'),
      expect.stringMatching(/1 picture could not be sent; .*pictures has them/),
    ]);
  });

  it('a file that is larger than the server takes is named, and everything else is sent', async () => {
    await mkdir(join(folder, 'best'));
    await writeFile(join(folder, 'best/model.safetensors'), new Uint8Array(300_000));
    await writeFile(join(folder, 'run.json'), '{}');
    store.largest = 100_000;
    const address = await serve();
    const files = (): string[] => [...store.artifacts.keys()].map((path) => path.replace(/.*artifacts\//, ''));
    for (const [cuts, reason] of [
      [false, /does not take model\/model\.safetensors: 413 REQUEST_LIMIT_EXCEEDED too large$/],
      [true, /could not be sent: model\/model\.safetensors \(.+\)\. It is kept in/],
    ] as const) {
      store.cuts = cuts;
      store.artifacts.clear();
      const said: string[] = [];
      const tracker = await openTracker(callOf(address, said));
      tracker.ended('FINISHED');
      await tracker.close();
      expect(said).toEqual([expect.stringMatching(reason)]);
      expect([...store.runs.values()].at(-1)!.status).toBe('FINISHED');
      expect(files()).toEqual(['run.json']);
    }
    // with a larger limit, what was left goes out
    store.largest = Number.POSITIVE_INFINITY;
    const again = await openTracker(callOf(address, [], { resume: true }));
    again.ended('FINISHED');
    await again.close();
    expect(store.runs.size).toBe(2);
    expect(files().sort()).toEqual(['model/model.safetensors', 'run.json']);
  });

  it('keeps the latest pictures for a server that is away, and says how many were too many', async () => {
    const address = await serve();
    store.trouble.push(...Array<number>(1000).fill(500));
    const said: string[] = [];
    const tracker = await openTracker(callOf(address, said));
    for (let step = 1; step <= 130; step++) tracker.picture(step, 'a', Uint8Array.of(step));
    store.trouble.length = 0;
    tracker.ended('FINISHED');
    await tracker.close();
    const steps = [...store.artifacts.keys()].map((path) => Number(/(\d+)\.png$/.exec(path)![1]));
    expect(steps).toEqual(Array.from({ length: 100 }, (_, i) => 31 + i));
    expect(said.at(-1)).toMatch(/30 pictures could not be sent; .*pictures has them/);
  });

  it('says how to log in where the server asks who it is', async () => {
    const said: string[] = [];
    const address = await serve();
    store.trouble.push(401);
    const tracker = await openTracker(callOf(address, said));
    await tracker.close();
    expect(said).toEqual([expect.stringMatching(/401.*MLFLOW_TRACKING_USERNAME.*goes on without it/)]);
  });

  it('keeps what a training that is killed has not sent', async () => {
    const address = await serve();
    store.trouble.push(...Array<number>(1000).fill(500));
    const killed = await openTracker(callOf(address));
    killed.scalars(1, { loss: 1 });
    const kept = (): Promise<string> => readFile(join(folder, 'mlflow.json'), 'utf8').catch(() => '');
    await vi.waitFor(async () => expect(await kept()).toContain('"loss"'), { timeout: 60_000 });
    store.trouble.length = 0;
    // the server has answered again: what it has is no longer kept
    await vi.waitFor(async () => expect(await kept()).not.toContain('"loss"'), { timeout: 60_000 });
    expect([...store.runs.values()][0].metrics).toMatchObject([{ key: 'loss', value: 1, step: 1 }]);
    await killed.close();
  });

  it('sends what one address has not got to the next, and says where the rest is', async () => {
    const absent = 'http://127.0.0.1:1';
    const first = await openTracker(callOf(absent));
    first.scalars(1, { loss: 1 });
    await first.close();
    const address = await serve();
    const said: string[] = [];
    const second = await openTracker(callOf(address, said, { resume: true }));
    second.ended('FINISHED');
    await second.close();
    expect(said).toEqual([]);
    expect(store.runs.get('run0')!.metrics).toMatchObject([{ key: 'loss', value: 1, step: 1 }]);
    await stop();
    const third = await openTracker(callOf(await serve(), said, { resume: true }));
    await third.close();
    expect(said).toEqual([expect.stringContaining(`the run up to here is on ${address}; what follows`)]);
    expect(store.runs.size).toBe(2);
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
