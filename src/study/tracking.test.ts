/** A study on a server that follows MLflow's REST API and refuses what MLflow refuses; and on one that is away. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SILENT } from '../common/progress.ts';
import { FakeMlflow, FakeServer } from '../training/testing/fake-mlflow.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import { compare } from './compare.ts';
import { studySchema } from './configuration.ts';
import type { StudyCall } from './runs.ts';

let folder = '';
let store: FakeMlflow;
const server = new FakeServer();
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-study-mlflow-'));
  store = new FakeMlflow();
  await writeTinyCohort(join(folder, 'cohort'), 6);
});
afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const tiny = { steps: 2, threads: 1, model: { width: 0.125 } };
const study = () =>
  studySchema.parse({
    name: 'hearts',
    cohort: join(folder, 'cohort'),
    methods: ['scratch', 'denoising'],
    modes: ['finetune'],
    labels: [2],
    seeds: [1],
    pretraining: { configuration: { ...tiny, data: { patch: 16, heldOut: 0 } } },
    transfer: {
      configuration: {
        ...tiny,
        data: { patch: 16, validation: 1, test: 1 },
        log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 0 },
      },
    },
  });
const FOLDERS = ['pretrained/denoising', 'runs/scratch-finetune-2-seed1', 'runs/denoising-finetune-2-seed1'];
const run = (address: string, said: string[] = [], more: Partial<StudyCall> = {}) =>
  compare({
    study: study(),
    out: join(folder, 'out'),
    mlflow: address,
    progress: { ...SILENT, say: (line) => said.push(line) },
    timing: { beatMs: 1000, silenceMs: 10_000, waitMs: 50 },
    ...more,
  });
const named = (name: string) => [...store.runs.values()].filter((one) => one.name === name);

/** One run for the study, one for each training, each with its values, and all children of the first. */
function expectWhole(): void {
  expect([...store.runs.values()].map(({ name }) => name).sort()).toEqual(['hearts', ...FOLDERS].sort());
  const [parentId] = [...store.runs].find(([, { name }]) => name === 'hearts')!;
  for (const name of FOLDERS) {
    const [child] = named(name);
    expect(child.tags.get('mlflow.parentRunId')).toBe(parentId);
    expect(child.status).toBe('FINISHED');
    expect(child.params.get('data.patch')).toBe('16');
  }
  const [parent] = named('hearts');
  expect(parent.status).toBe('FINISHED');
  expect(parent.metrics.map(({ key }) => key)).toContain('score/denoising/finetune/2');
  const artifacts = [...store.artifacts.keys()].map((path) => path.split('/').slice(1).join('/'));
  for (const file of ['table.md', 'table.csv', 'study.json', 'labels.svg'])
    expect(artifacts).toContain(`${parentId}/artifacts/${file}`);
}

describe('a tracked study', () => {
  it('is one run with a run for each training, its table and figures; again, nothing is made twice', async () => {
    const address = await server.serve(store);
    const said: string[] = [];
    await run(address, said);
    expectWhole();
    // of the study itself: its pre-training sees who is tested on
    expect(said.filter((line) => line.includes('warning'))).toEqual([expect.stringContaining('1 of 1 test subjects')]);
    const [child] = named(FOLDERS[2]);
    expect(child.metrics.filter(({ key }) => key.startsWith('loss')).length).toBeGreaterThan(0);
    const before = child.metrics.length;
    await run(address);
    expectWhole();
    expect(named(FOLDERS[2])[0].metrics).toHaveLength(before);
  }, 60_000);

  it('loses no training to a server that is away; the next call sends what was left, once', async () => {
    const address = await server.serve(store);
    await server.stop();
    const said: string[] = [];
    const report = await run(address, said);
    expect(report.rows).toHaveLength(2);
    expect(store.runs.size).toBe(0);
    expect(said.join('\n')).toContain('the same command with `table` and `mlflow` sends what is missing');
    const { unsent } = JSON.parse(await readFile(join(folder, 'out', FOLDERS[1], 'mlflow.json'), 'utf8'));
    expect(unsent.length).toBeGreaterThan(0);
    await server.serve(store, Number(new URL(address).port));
    await run(address, [], { table: true });
    expectWhole();
    expect(named(FOLDERS[1])[0].metrics.map(({ key }) => key)).toEqual(expect.arrayContaining(['loss/total']));
  }, 120_000);

  it('is shared by processes that each log their own trainings', async () => {
    const address = await server.serve(store);
    await Promise.all([run(address), run(address)]);
    expectWhole();
  }, 60_000);

  it('refuses what is no address before anything is trained', async () => {
    await expect(run('localhost')).rejects.toThrow('`mlflow` localhost: expected the address of an MLflow server');
  });
});
