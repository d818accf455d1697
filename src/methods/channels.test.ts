/** Pre-training on all channels of a cohort at once: what every method promises of it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cohortReader } from '../cohort/node/crops.ts';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { SILENT } from '../common/progress.ts';
import { referenceBackend } from '../engine/backends/reference/backend.ts';
import { firstChannel, splitChannels } from '../geometry/channels.ts';
import type { Zyx } from '../geometry/volume.ts';
import { ncc } from '../metrics/registration/ncc.ts';
import { readModel } from '../model/node/model-folder.ts';
import { STATES } from '../model/optimizer.ts';
import { initialParameters, STEM } from '../model/parameters.ts';
import { pretrain } from '../training/node/pretrain.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import { gvsl } from './gvsl/method.ts';
import type { PretrainingMethod } from './method.ts';
import { METHODS } from './registry.ts';
import type { PretrainingConfiguration } from './schema-parts.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-all-channels-'));
  await writeTinyCohort(at('cohort'), 6, 18, undefined, 2);
  await writeTinyCohort(at('one'), 6, 18);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const PATCH: Zyx = [16, 16, 16];
const configured = (method: PretrainingMethod, changes: object = {}, data: object = {}): PretrainingConfiguration =>
  method.schema.parse({
    steps: 2,
    batch: 2,
    threads: 1,
    model: { width: 0.125 },
    data: { patch: 16, heldOut: 2, channels: 'all', ...data },
    judgement: { examples: 1, probeSubjects: 1 },
    log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 2, checkpointEverySteps: 1 },
    ...changes,
  });
const state = async (out: string): Promise<Buffer> =>
  Buffer.concat(await Promise.all(['model.safetensors', 'state.safetensors'].map((name) => readFile(at(out, 'last', name)))));
const subjectsOf = async () => {
  const cohort = await openCohort(at('cohort'));
  return { subjects: cohort.subjects, all: cohortReader(cohort, 'all'), first: cohortReader(cohort) };
};

const ALL = METHODS.filter(({ preset }) => preset === undefined).map((method) => [method.name, method] as const);

describe.each(ALL)('%s', (name, named) => {
  it('sees all channels, restores all, is judged by all; stopped and resumed on two threads it has the same bytes', async () => {
    const method = await named.load();
    const run = (out: string, changes: object = {}, resume = false, signal?: AbortSignal) =>
      pretrain<PretrainingConfiguration, object>({
        method: method as PretrainingMethod<PretrainingConfiguration, object>,
        cohort: at('cohort'),
        out: at(out),
        configuration: configured(method, changes),
        resume,
        progress: SILENT,
        ...(signal && { signal }),
      });
    const whole = await run(`${name}-whole`);
    expect(whole).toMatchObject({ step: 2, finished: true, skippedSteps: 0 });
    expect(whole.evaluation).not.toBeNull();
    await run(`${name}-parts`, {}, false, AbortSignal.abort());
    await run(`${name}-parts`, { threads: 2 }, true);
    expect((await state(`${name}-parts`)).equals(await state(`${name}-whole`))).toBe(true);

    const { parameters, configuration } = await readModel(at(`${name}-whole`, 'last'));
    expect(parameters.get(STEM)!.shape).toEqual([8, 2, 3, 3, 3]);
    const restores = parameters.get('res_conv.3.weight');
    if (restores) expect(restores.shape[0]).toBe(2);
    expect(configuration.architecture.inputChannels).toBe(2);
    expect(configuration.preprocessing?.channels?.map((channel) => channel.name)).toEqual(['bright', 'dark']);
  });

  it('shows of the first channel what it would show of it alone, and the others in the same places', async () => {
    const method = await named.load();
    if (method.refresh) return; // its crops depend on what the network makes of them
    const { subjects, all, first } = await subjectsOf();
    // of two views the second is drawn after all changes of the first
    const shown = ['view1', 'view2'];
    const examples = (reader: typeof all) => method.examples(configured(method), subjects, reader);
    for (let step = 0; step < 3; step++) {
      const [together, alone] = [await examples(all)(step, 0), await examples(first)(step, 0)];
      for (const [key, values] of Object.entries(alone)) {
        if (key === shown[1]) continue;
        const of = together[key];
        if (values.length % 16 ** 3 !== 0 || key === 'truth') expect(of, key).toEqual(values);
        else {
          expect(of, key).toHaveLength(2 * values.length);
          expect(firstChannel(of, PATCH), key).toEqual(values);
        }
      }
      const clean = together.target ?? together.moving;
      // the dark channel is 1 minus the bright one inside the volume, however both are turned; beside it both are 0
      if (clean) {
        const [bright, dark] = splitChannels(clean, PATCH);
        const sums = bright.map((value, i) => value + dark[i]);
        expect(sums.filter((sum) => Math.abs(sum - 1) < 2e-3).length).toBeGreaterThan(0.2 * sums.length);
        expect(Math.max(...sums)).toBeLessThan(1 + 2e-3);
      }
    }
  });
});

it('compares each channel of a pair with itself: the loss is 1 minus the mean of their correlations', async () => {
  const { subjects, all } = await subjectsOf();
  const configuration = gvsl.schema.parse(configured(gvsl as unknown as PretrainingMethod, {}, { damage: { enabled: false } }));
  const { program, table } = gvsl.program(configuration, { inputChannels: 2 });
  const example = await gvsl.examples(configuration, subjects, all)(0, 0);
  const session = await referenceBackend().open(program);
  await session.writeState(STATES.parameters, initialParameters(table, 1));
  const { 'loss.ncc': loss } = await session.run('gradient', example, ['loss.ncc']);
  const found = loss[0];
  const { warped } = await session.run('match', { moving: example.moving, fixed: example.fixed });
  const [fixed, moved] = [example.fixed, warped].map((image) => splitChannels(image, PATCH));
  const mean = (ncc(moved[0], fixed[0], PATCH) + ncc(moved[1], fixed[1], PATCH)) / 2;
  expect(found).toBeCloseTo(1 - mean, 5);
  await session.close();
});

it('with one channel there is nothing to choose: the same bytes', async () => {
  const method = gvsl as unknown as PretrainingMethod;
  for (const channels of ['one', 'all'] as const)
    await pretrain<PretrainingConfiguration, object>({
      method: method as PretrainingMethod<PretrainingConfiguration, object>,
      cohort: at('one'),
      out: at(`one-${channels}`),
      configuration: configured(method, {}, { channels, damage: { shufflingBoxes: 5 } }),
      resume: false,
      progress: SILENT,
    });
  expect((await state('one-all')).equals(await state('one-one'))).toBe(true);
});

it('refuses a method of the caller that makes networks of one channel', async () => {
  const denoising = await METHODS[0].load();
  const own: PretrainingMethod = {
    ...denoising,
    name: 'own',
    program: (configuration, variant) => denoising.program(configuration, { ...variant, inputChannels: 1 }),
  };
  await expect(
    pretrain<PretrainingConfiguration, object>({
      method: own as PretrainingMethod<PretrainingConfiguration, object>,
      cohort: at('cohort'),
      out: at('own'),
      configuration: configured(denoising),
      resume: false,
      progress: SILENT,
    }),
  ).rejects.toThrow(/`data\.channels` all: the method own makes a network of 1 input channel, and the cohort has 2/);
});
