/** Every named method but GVSL, trained for a few steps on a tiny cohort: what all of them promise. */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT } from '../common/progress.ts';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import { STATES } from '../model/optimizer.ts';
import { initialParameters, valuesOf } from '../model/parameters.ts';
import { pretrain } from '../training/node/pretrain.ts';
import { keptScalars } from '../training/testing/event-records.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import type { Judgement } from './judgement/judge.ts';
import type { PretrainingMethod } from './method.ts';
import { METHODS, methodNamed } from './registry.ts';
import { joinSamples } from './samples.ts';
import type { PretrainingConfiguration } from './schema-parts.ts';

const OTHERS = METHODS.filter(({ name, preset }) => name !== 'gvsl' && preset === undefined);

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-methods-'));
  await writeTinyCohort(at('cohort'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configured = (method: PretrainingMethod, changes: object = {}): PretrainingConfiguration =>
  method.schema.parse({
    steps: 4,
    batch: 2,
    learningRate: 1e-3,
    threads: 1,
    model: { width: 0.125 },
    data: { patch: 16, heldOut: 2 },
    judgement: { examples: 2, probeSubjects: 2 },
    log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 4, checkpointEverySteps: 2 },
    ...changes,
  });

/** Trains; with `until`, stops after so many steps as somebody who presses Ctrl-C does. */
function run(
  method: PretrainingMethod,
  out: string,
  configuration: PretrainingConfiguration,
  { resume = false, until = Number.POSITIVE_INFINITY }: { readonly resume?: boolean; readonly until?: number } = {},
) {
  const controller = new AbortController();
  let steps = 0;
  const advance = (): void => {
    if (++steps === until) controller.abort();
  };
  return pretrain<PretrainingConfiguration, Judgement>({
    method: method as PretrainingMethod<PretrainingConfiguration, Judgement>,
    cohort: at('cohort'),
    out: at(out),
    configuration,
    resume,
    progress: { ...SILENT, advance },
    signal: controller.signal,
  });
}

const stateOf = async (out: string): Promise<Buffer> =>
  Buffer.concat(
    await Promise.all(
      ['model.safetensors', 'config.json', 'state.safetensors', 'state.json'].flatMap((name) =>
        ['last', 'best'].map((which) => readFile(at(out, which, name))),
      ),
    ),
  );

describe.each(OTHERS.map((method) => [method.name, method] as const))('%s', (name, named) => {
  it('is what the list says of it', async () => {
    const method = await named.load();
    expect(method).toMatchObject({ name, title: named.title });
    const { table } = method.program(configured(method));
    const hasDecoder = table.parameters.some((parameter) => parameter.name.startsWith('unet.up'));
    expect(hasDecoder).toBe(named.trains === 'network');
  });

  it('gives the same bytes in one go, resumed, and on two threads; losses are finite', async () => {
    const method = await named.load();
    const whole = await run(method, `${name}-whole`, configured(method));
    expect(whole).toMatchObject({ step: 4, finished: true, skippedSteps: 0 });
    expect(Number.isFinite(whole.loss)).toBe(true);
    await run(method, `${name}-parts`, configured(method), { until: 2 });
    await run(method, `${name}-parts`, configured(method), { resume: true });
    await run(method, `${name}-threads`, configured(method, { threads: 2 }));
    const expected = await stateOf(`${name}-whole`);
    expect((await stateOf(`${name}-parts`)).equals(expected)).toBe(true);
    expect((await stateOf(`${name}-threads`)).equals(expected)).toBe(true);
  });

  it('is judged by held-out loss and a probe of the labels, which chooses the best; with pictures', async () => {
    const text = await readFile(at(`${name}-whole`, 'metrics.jsonl'), 'utf8');
    const evaluations = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ kind }) => kind === 'evaluation');
    expect(evaluations.map(({ step }) => step)).toEqual([0, 2, 4]);
    for (const { heldOut, training, probe, chosenBy } of evaluations) {
      expect(heldOut).toMatchObject({ examples: 2, loss: { total: expect.any(Number) } });
      expect(training.examples).toBe(2);
      expect(probe).toMatchObject({ kind: 'segmentation', fittedOn: 2, subjects: 2 });
      expect(chosenBy).toBe('probe');
    }
    const { best } = JSON.parse(await readFile(at(`${name}-whole`, 'last', 'state.json'), 'utf8'));
    expect(best.score).toBeCloseTo(1 - evaluations.find(({ step }) => step === best.step).probe.dice, 12);
    const picture = await readFile(at(`${name}-whole`, 'pictures', 'step-000004-heldOut-0.png'));
    expect(picture.subarray(1, 4).toString()).toBe('PNG');
  });

  it('learns: on one example its loss falls, and every parameter has a gradient', async () => {
    const method = await named.load();
    const together = method.takes === 'batch';
    const configuration = configured(method, { batch: together ? 2 : 1 });
    const { program, table } = method.program(configuration);
    const { openCohort } = await import('../cohort/node/open-cohort.ts');
    const { cohortReader } = await import('../cohort/node/crops.ts');
    const { adamStep } = await import('../engine/ops/adam/adam.ts');
    const cohort = await openCohort(at('cohort'));
    const reader = cohortReader(cohort);
    const session = await referenceBackend().open(program);
    for (const state of [STATES.parameters, ...(method.carried ?? [])])
      await session.writeState(state, initialParameters(table, 1));
    const refreshed = await method.refresh?.compute(session, configuration, cohort.subjects, reader, 0);
    const make = method.examples(configuration, cohort.subjects, reader, refreshed?.memory);
    const example = together ? joinSamples([await make(0, 0), await make(0, 1)]) : await make(0, 0);
    const losses: number[] = [];
    for (let step = 1; step <= 4; step++) {
      losses.push((await session.run('gradient', example, ['loss.total']))['loss.total'][0]);
      if (step === 1) {
        const gradients = await session.readState(STATES.gradients);
        for (const parameter of table.parameters) {
          const norm = Math.hypot(...valuesOf(gradients, parameter));
          expect(norm, parameter.name).toBeGreaterThan(1e-9);
        }
      }
      await session.run('update', { step: adamStep(1e-3, step) });
    }
    await session.close();
    expect(losses.at(-1)).toBeLessThan(losses[0]);
  });
});

it.each([
  ['simsiam', { predictor: false }],
  ['byol', { predictor: false, target: { tau: 0 } }],
])('%s that was made to collapse is stopped by the alarm, in words', async (name, changes) => {
  const method = await methodNamed(name)!.load();
  const configuration = configured(method, {
    ...changes,
    steps: 200,
    learningRate: 3e-3,
    alarm: { collapseBelow: 0.1, collapseSteps: 3 },
    log: { everySteps: 1, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 0 },
  });
  await expect(run(method, `${name}-collapse`, configuration)).rejects.toThrow(
    /^step \d+: `spread` was below 0\.1 for 3 steps in a row: the network has collapsed/,
  );
  const { step } = JSON.parse(await readFile(at(`${name}-collapse`, 'last', 'state.json'), 'utf8'));
  expect(step).toBeLessThan(200);
  // as the message says
  const further = { ...configuration, steps: step + 1, alarm: { collapseBelow: 0.1, collapseSteps: 0 } };
  expect(await run(method, `${name}-collapse`, further, { resume: true })).toMatchObject({ step: step + 1, finished: true });
});

it('deep-cluster refuses more clusters than crops, and leaves nothing behind', async () => {
  const method = await methodNamed('deep-cluster')!.load();
  const configuration = configured(method, { clusters: { count: 1000 } });
  await expect(run(method, 'too-many', configuration)).rejects.toThrow(
    /`clusters\.count` 1000: \d+ training subjects give \d+ crops/,
  );
  await expect(readFile(at('too-many', 'run.json'))).rejects.toThrow('ENOENT');
});

it('deep-cluster that is killed after a clustering and resumed has each step once in its events', async () => {
  const method = await methodNamed('deep-cluster')!.load();
  const log = { everySteps: 1, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 0 };
  const until = (steps: number) => configured(method, { steps, clusters: { count: 2, everySteps: 2 }, log });
  await run(method, 'killed', until(4));
  await cp(at('killed', 'last'), at('last-of-4'), { recursive: true });
  await run(method, 'killed', until(6), { resume: true });
  // what a killed process leaves: the log of later steps, and the checkpoint before them
  await rm(at('killed', 'last'), { recursive: true });
  await cp(at('last-of-4'), at('killed', 'last'), { recursive: true });
  await run(method, 'killed', until(6), { resume: true });
  const files = (await readdir(at('killed', 'events'))).sort().map((name) => at('killed', 'events', name));
  const kept = keptScalars(files);
  expect(kept.get('loss/total')!.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(kept.get('clusters/inertia')!.map(({ step }) => step)).toEqual([1, 3, 5]);
});

it('knows its methods by name', () => {
  expect(methodNamed('mae')?.title).toBe('MAE');
  expect(methodNamed('colourisation')).toBeUndefined();
  expect(new Set(METHODS.map(({ name }) => name)).size).toBe(METHODS.length);
});
