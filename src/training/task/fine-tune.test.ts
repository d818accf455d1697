import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesOfNetwork, networkOfFiles, type TrainedNetwork, trainedNetwork } from '../../apply/network.ts';
import type { MemorySubject } from '../../cohort/memory-subjects.ts';
import { readLabelCrop, readWhole } from '../../cohort/node/crops.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { SILENT } from '../../common/progress.ts';
import { toZyx } from '../../geometry/volume.ts';
import { writeTinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { readModel } from '../../model/node/model-folder.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { train } from '../node/task/train.ts';
import { writeTinyCohort } from '../testing/tiny-cohort.ts';
import { type FineTuneRequest, FineTuning } from './fine-tune.ts';

const LABELS = [
  { code: 0, name: 'background' },
  { code: 500, name: 'ball' },
];
const CONFIGURATION = {
  steps: 6,
  batch: 2,
  learningRate: 1e-3,
  learningRateDecaySteps: 6,
  loss: { kind: 'diceCrossEntropy' as const },
  data: { patch: 16, foregroundShare: 0.5 },
};

describe('FineTuning', () => {
  let folder: string;
  let network: TrainedNetwork;
  let subjects: MemorySubject[];
  const parts = { training: ['tiny_0', 'tiny_1', 'tiny_2'], validation: ['tiny_3'], test: [] };
  const named = (ids: readonly string[]): MemorySubject[] => ids.map((id) => subjects.find(({ subject }) => subject.id === id)!);
  const request = async (validation: readonly string[] = parts.validation): Promise<FineTuneRequest> => {
    const backend = await createBackend('cpu', 1);
    const all = { bytes: backend.memoryLimitBytes, limit: 'all' };
    return {
      network,
      backend,
      memory: { session: () => all, results: () => all },
      training: named(parts.training),
      validation: named(validation),
      labels: LABELS,
      configuration: CONFIGURATION,
    };
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-fine-tune-'));
    await writeTinyCohort(join(folder, 'cohort'), 4);
    const cohort = await openCohort(join(folder, 'cohort'));
    subjects = await Promise.all(
      cohort.subjects.map(async (subject) => ({
        subject,
        channels: [{ geometry: subject.geometry, data: await readWhole(cohort, subject) }],
        labels: {
          geometry: subject.geometry,
          data: (await readLabelCrop(cohort, subject, [0, 0, 0], toZyx(subject.geometry.size)))!,
        },
      })),
    );
    const { modality, spacingMm, intensity, crop } = cohort.options;
    await writeTinyModel(
      join(folder, 'model'),
      { matching: true },
      { preprocessing: { modality, spacingMm: [...spacingMm] as [number, number, number], intensity, crop } },
    );
    const { configuration, parameters } = await readModel(join(folder, 'model'));
    network = trainedNetwork('model', configuration, parameters);
    await writeFile(join(folder, 'split.json'), JSON.stringify(parts));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('gives the parameters of `gvsl train`, bit for bit, also when it was stopped and went on', async () => {
    await train({
      cohort: join(folder, 'cohort'),
      out: join(folder, 'run'),
      configuration: {
        ...CONFIGURATION,
        init: join(folder, 'model'),
        threads: 1,
        data: { ...CONFIGURATION.data, split: join(folder, 'split.json') },
        log: { evaluateEverySteps: 3, picturesEverySteps: 0 },
      },
      progress: SILENT,
    });
    const theirs = trainedNetwork('last', ...(await readModelOf(join(folder, 'run', 'last'))));
    const tuning = await FineTuning.open(await request([]));
    expect(await tuning.secondsPerStep()).toBeGreaterThan(0);
    const aborter = new AbortController();
    const call = { steps: 6, evaluateEvery: 3, onEvaluation: () => {} };
    const stopped = tuning.run({
      ...call,
      onStep: ({ step }) => {
        if (step === 4) aborter.abort(new Error('stop'));
      },
      signal: aborter.signal,
    });
    await expect(stopped).rejects.toThrow('stop');
    expect(tuning.step).toBe(4);
    await tuning.run({ ...call, onStep: () => {} });
    const ours = await tuning.network();
    expect(ours.step).toBe(6);
    await tuning.close();
    expect(Buffer.from(ours.network.parameters.buffer).equals(Buffer.from(theirs.parameters.buffer))).toBe(true);
    // and is a model that segments, through its files
    const again = networkOfFiles(filesOfNetwork(ours.network));
    expect(again.configuration.task).toEqual(ours.network.configuration.task);
    expect(again.configuration.training).toMatchObject({ steps: 6, batch: 2 });
  }, 120_000);

  it('judges on images that trained nothing, keeps the best state, and starts from a head of the same classes', async () => {
    const tuning = await FineTuning.open(await request());
    const judged: number[] = [];
    const losses: number[] = [];
    await tuning.run({
      steps: 12,
      evaluateEvery: 4,
      onStep: ({ loss }) => void losses.push(loss.total),
      onEvaluation: (step, { pictures, summary }) => {
        judged.push(step);
        expect(pictures[0].picture.width).toBeGreaterThan(100);
        expect(summary.subjects).toBe(1);
      },
    });
    expect(judged).toEqual([4, 8, 12]);
    const { network: tuned, step } = await tuning.network();
    expect(judged).toContain(step);
    await tuning.close();
    const more = await FineTuning.open({ ...(await request()), network: tuned });
    const after: number[] = [];
    await more.run({ steps: 1, evaluateEvery: 0, onStep: ({ loss }) => void after.push(loss.total), onEvaluation: () => {} });
    await more.close();
    expect(after[0]).toBeLessThan(losses[0]);
    const nothing = { ...(await request()), labels: [LABELS[0], { code: 3, name: 'absent' }] };
    await expect(FineTuning.open(nothing)).rejects.toThrow(/no image to train on has a labelled voxel/);
  }, 120_000);
});

async function readModelOf(path: string) {
  const { configuration, parameters } = await readModel(path);
  return [configuration, parameters] as const;
}
