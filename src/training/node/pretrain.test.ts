import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT } from '../../common/progress.ts';
import { noWebGpu } from '../../engine/testing/backends.ts';
import { DEFAULT_CONFIGURATION, type PretrainConfiguration } from '../../methods/gvsl/configuration.ts';
import { readModel, resolveModel } from '../../model/node/model-folder.ts';
import { readSafetensors } from '../../model/node/safetensors.ts';
import { nodeWebGpuHost } from '../../platform/node/webgpu-host.ts';
import { methodOfHeads } from '../start.ts';
import { writeTinyCohort } from '../testing/tiny-cohort.ts';
import { pretrain } from './pretrain.ts';
import { parseConfiguration, readRunConfiguration } from './read-configuration.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-pretrain-'));
  await writeTinyCohort(at('cohort'));
  await writeTinyCohort(at('spoilt'), 4, 18, () => Number.NaN);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const configured = (changes: object = {}): PretrainConfiguration =>
  parseConfiguration(
    {
      steps: 6,
      batch: 2,
      learningRate: 1e-3,
      threads: 1,
      maxNonFiniteSteps: 2,
      model: { width: 0.125 },
      data: { patch: 16, heldOut: 2, damage: { shufflingBoxes: 20 } },
      log: { everySteps: 1, evaluateEverySteps: 3, evaluatePairs: 2, picturesEverySteps: 6, checkpointEverySteps: 2 },
      ...changes,
    },
    [],
    'test',
  );

const run = (out: string, configuration: PretrainConfiguration, resume = false, signal?: AbortSignal, cohort = 'cohort') =>
  pretrain({ cohort: at(cohort), out: at(out), configuration, resume, progress: SILENT, ...(signal ? { signal } : {}) });

/** Everything of a run that must not depend on how it came about. */
const stateOf = async (out: string): Promise<Buffer> =>
  Buffer.concat(
    await Promise.all(
      ['model.safetensors', 'config.json', 'state.safetensors', 'state.json'].flatMap((name) =>
        ['last', 'best'].map((which) => readFile(at(out, which, name))),
      ),
    ),
  );
interface StepLine {
  readonly kind: string;
  readonly step: number;
  readonly loss?: Record<string, number>;
  readonly gradientNorm?: Record<string, number>;
  readonly learningRate?: number;
  readonly clipFactor?: number;
}
const lines = async (out: string): Promise<StepLine[]> =>
  (await readFile(at(out, 'metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('pretrain', () => {
  it('gives the same bytes in one go, resumed, and on two threads', async () => {
    const whole = await run('whole', configured());
    expect(whole).toMatchObject({ step: 6, finished: true, skippedSteps: 0 });
    await run('parts', configured({ steps: 3 }));
    await run('parts', configured(), true);
    await run('threads', configured({ threads: 2 }));
    const expected = await stateOf('whole');
    expect((await stateOf('parts')).equals(expected)).toBe(true);
    expect((await stateOf('threads')).equals(expected)).toBe(true);
    const losses = async (out: string) =>
      (await lines(out)).filter(({ kind }) => kind === 'step').map(({ step, loss }) => [step, loss]);
    expect(await losses('parts')).toEqual(await losses('whole'));
    expect((await losses('whole')).map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('gives the same bytes resumed and on two threads with warm-up, decay, clipping, weight decay and an average, and logs what was applied', async () => {
    const rule = { warmupSteps: 4, learningRateDecaySteps: 2, learningRateDecay: 'polynomial', learningRateEnd: 0 };
    const all = { ...rule, gradientClip: 0.5, weightDecay: 0.1, emaDecay: 0.5 };
    await run('rule', configured(all));
    await run('rule-parts', configured({ ...all, steps: 3 }));
    await run('rule-parts', configured(all), true);
    await run('rule-threads', configured({ ...all, threads: 2 }));
    const expected = await stateOf('rule');
    expect((await stateOf('rule-parts')).equals(expected)).toBe(true);
    expect((await stateOf('rule-threads')).equals(expected)).toBe(true);
    expect(expected.equals(await stateOf('whole'))).toBe(false);
    const steps = (await lines('rule')).filter(({ kind }) => kind === 'step');
    expect(steps.map(({ learningRate }) => learningRate! / 1e-3)).toEqual(
      [0.25, 0.5, 0.75, 1, 1, 0.5 ** 0.9].map((rate) => expect.closeTo(rate, 10)),
    );
    for (const { clipFactor, gradientNorm } of steps)
      expect(clipFactor).toBeCloseTo(Math.min(1, 0.5 / Math.hypot(...Object.values(gradientNorm!))), 5);
  });

  it('keeps the average of the weights as the model, judges it, and trains on as without it', async () => {
    await run('averaged', configured({ emaDecay: 0.5 }));
    const [{ parameters }, whole] = await Promise.all(['averaged', 'whole'].map((out) => readModel(at(out, 'last'))));
    const { tensors } = await readSafetensors(at('averaged', 'last', 'state.safetensors'));
    let differing = 0;
    for (const [name, { data }] of whole.parameters) {
      expect(tensors.get(`parameters.${name}`)!.data, name).toEqual(data);
      if (data.some((value, i) => value !== parameters.get(name)!.data[i])) differing++;
    }
    expect(differing).toBeGreaterThan(whole.parameters.size / 2);
    const evaluations = async (out: string) => (await lines(out)).filter(({ kind }) => kind === 'evaluation');
    const [averaged, plain] = await Promise.all(['averaged', 'whole'].map(evaluations));
    expect(averaged[0]).toEqual(plain[0]);
    expect(averaged[1]).not.toEqual(plain[1]);
  });

  it('takes steps over several batches, which are those of a larger batch', async () => {
    const batches = configured({ batch: 1, accumulate: 2 });
    await run('accumulated', batches);
    for (const file of ['model.safetensors', 'state.safetensors'])
      expect((await readFile(at('accumulated', 'last', file))).equals(await readFile(at('whole', 'last', file))), file).toBe(
        true,
      );
    const losses = async (out: string) =>
      (await lines(out)).map(({ step, loss, gradientNorm }) => ({ step, loss, gradientNorm }));
    expect(await losses('accumulated')).toEqual(await losses('whole'));
  });

  it('judges held-out pairs by landmarks and labels, before training too', async () => {
    const evaluations = (await lines('whole')).filter(({ kind }) => kind === 'evaluation');
    expect(evaluations.map(({ step }) => step)).toEqual([0, 3, 6]);
    expect(evaluations[0]).toMatchObject({
      pairs: 2,
      landmarkErrorMm: { before: expect.any(Number) },
      labelDice: { before: expect.any(Number) },
    });
    const details = JSON.parse(await readFile(at('whole', 'evaluation.json'), 'utf8'));
    expect(details.pairs[0].landmarksMm[0]).toMatchObject({ name: 'centre' });
    expect((await readFile(at('whole', details.pairs[0].picture))).subarray(1, 4).toString()).toBe('PNG');
  });

  it('resolves a run to its best model', async () => {
    expect(await resolveModel(at('whole'))).toBe(at('whole', 'best'));
  });

  it.each([['affine'], ['restoration'], ['matching']] as const)('trains without the %s head', async (head) => {
    const heads = { ...DEFAULT_CONFIGURATION.model.heads, [head]: false };
    const result = await run(`without-${head}`, configured({ steps: 2, model: { width: 0.125, heads } }));
    expect(result.finished).toBe(true);
    expect(Number.isFinite(result.loss)).toBe(true);
    if (head !== 'matching') expect(result.evaluation!.ncc.affine === null).toBe(head === 'affine');
    // there is no registration to judge: it is held-out loss and probe, as of any method that restores
    else
      expect(result.evaluation).toMatchObject({
        chosenBy: expect.stringMatching(/probe|held-out loss/),
        heldOut: { examples: 16 },
      });
  });

  it('stops after the step when it is asked to, and goes on from there to the same result', async () => {
    const stop = new AbortController();
    const configuration = configured();
    const stopped = pretrain({
      cohort: at('cohort'),
      out: at('stopped'),
      configuration,
      resume: false,
      signal: stop.signal,
      progress: { ...SILENT, advance: () => stop.abort() },
    });
    // what was judged last is told with the step at which it was
    expect(await stopped).toMatchObject({ step: 1, finished: false, evaluation: { step: 0, pairs: 2 } });
    await run('stopped', configuration, true);
    expect((await stateOf('stopped')).equals(await stateOf('whole'))).toBe(true);
  });

  it('starts from what fits of another model, says what it took, and goes on only from the same one', async () => {
    await writeTinyCohort(at('elsewhere'), 5, 20);
    const stop = new AbortController();
    stop.abort();
    const said: string[] = [];
    const progress = { ...SILENT, say: (text: string) => void said.push(text) };
    const configuration = configured({ init: at('without-restoration'), seed: 7, steps: 3 });
    const call = { cohort: at('elsewhere'), out: at('more'), configuration, progress };
    await pretrain({ ...call, signal: stop.signal });
    const heads = ['f_conv', 'sp_conv', 'out_flow', 'fc_rot', 'fc_scl', 'fc_trans', 'fc_shear'];
    expect(said[0]).toContain(`without-restoration: encoder, decoder, ${heads.join(', ')}; starting anew: res_conv`);
    const record = JSON.parse(await readFile(at('more', 'run.json'), 'utf8'));
    expect(record.start).toEqual({ taken: ['encoder', 'decoder', ...heads], anew: ['res_conv'] });
    const from = await resolveModel(at('without-restoration'));
    const [given, begun] = await Promise.all([from, at('more', 'last')].map(readModel));
    for (const [name, { data }] of begun.parameters)
      if (!name.startsWith('res_conv')) expect(data, name).toEqual(given.parameters.get(name)!.data);
    expect(await pretrain({ ...call, resume: true })).toMatchObject({ step: 3, finished: true });
    const other = { ...configuration, init: at('without-affine') };
    await expect(pretrain({ ...call, configuration: other, resume: true })).rejects.toThrow(
      /init: was .*restoration.*now .*affine/,
    );
    // in one go
    await pretrain({ ...call, out: at('more-at-once') });
    expect((await stateOf('more')).equals(await stateOf('more-at-once'))).toBe(true);
    const wide = configured({ init: at('whole'), model: { width: 0.25 } });
    await expect(run('wider', wide)).rejects.toThrow('has width 0.125: set `model.width` to 0.125');
  });

  it('takes heads of its own method alone, not those that another left under the same names', async () => {
    const stop = new AbortController();
    stop.abort();
    const begin = async (method: string, out: string, init: string): Promise<unknown> => {
      const configuration = { init, steps: 1, threads: 1, model: { width: 0.125 }, data: { patch: 16, heldOut: 1 } };
      await pretrain({ method, cohort: at('cohort'), out: at(out), configuration, signal: stop.signal, progress: SILENT });
      return JSON.parse(await readFile(at(out, 'run.json'), 'utf8')).start;
    };
    const all = { taken: ['encoder', 'decoder', 'res_conv'], anew: [] };
    await begin('denoising', 'denoising', 'scratch');
    expect(await begin('denoising', 'more-denoising', at('denoising'))).toEqual(all);
    expect(await begin('mae', 'mae-denoising', at('denoising'))).toEqual({ taken: ['encoder', 'decoder'], anew: ['res_conv'] });
    expect(await begin('restoration-only', 'of-whole', at('whole'))).toEqual(all);
    expect(methodOfHeads({ task: null, training: null })).toBe('gvsl');
    expect(methodOfHeads({ task: null, training: {} })).toBe(undefined);
  });

  it.skipIf(noWebGpu !== undefined)(
    `goes on where the other backend began, to the same numbers within rounding${noWebGpu === undefined ? '' : `: ${noWebGpu}`}`,
    async () => {
      const quiet = { ...configured().log, evaluateEverySteps: 0, picturesEverySteps: 0 };
      const on = (backend: 'cpu' | 'webgpu' | 'webgpu-f16', steps: number) =>
        configured({ backend, steps, batch: 1, log: quiet });
      await run('cpu-alone', on('cpu', 3));
      // there and back
      await run('changed', on('cpu', 1));
      await run('changed', on('webgpu', 2), true);
      await run('changed', on('cpu', 3), true);
      const losses = async (out: string) => (await lines(out)).flatMap(({ kind, loss }) => (kind === 'step' ? [loss!] : []));
      const alone = await losses('cpu-alone');
      expect(alone).toHaveLength(3);
      const changed = await losses('changed');
      expect(changed).toHaveLength(3);
      for (const [i, loss] of changed.entries())
        for (const [name, value] of Object.entries(loss)) expect(value, `step ${i + 1}, ${name}`).toBeCloseTo(alone[i][name], 3);
      // in half precision, with a scaled loss, nearly so; the scale is part of the state
      await run('half', on('webgpu-f16', 2));
      for (const [i, loss] of (await losses('half')).entries())
        for (const [name, value] of Object.entries(loss)) expect(value, `half, ${name}`).toBeCloseTo(alone[i][name], 2);
      expect(JSON.parse(await readFile(at('half', 'last', 'state.json'), 'utf8'))).toMatchObject({
        adamSteps: 2,
        lossScale: { factor: 65536, steadySteps: 2 },
      });
      // what the CPU did before the change is untouched by it
      expect(changed[0]).toEqual(alone[0]);
    },
    600_000,
  );

  it.skipIf(noWebGpu !== undefined)(
    'ends in words when the GPU is lost, with the last checkpoint intact',
    { timeout: 600_000 },
    async () => {
      const { device } = await nodeWebGpuHost();
      const progress = { ...SILENT, advance: () => device.destroy() };
      const quiet = { ...configured().log, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 1 };
      const configuration = configured({ backend: 'webgpu', steps: 3, batch: 1, log: quiet });
      await expect(pretrain({ cohort: at('cohort'), out: at('lost'), configuration, resume: false, progress })).rejects.toThrow(
        /the GPU was lost .*the last checkpoint is in .*last; continue from it with `resume`/,
      );
      // what was done before the loss is there, and goes on elsewhere
      const goesOn = await run('lost', configured({ backend: 'cpu', steps: 3, batch: 1, log: quiet }), true);
      expect(goesOn).toMatchObject({ step: 3, finished: true });
    },
  );

  it('skips steps that are not finite, says so, and stops after too many with the last good state kept', async () => {
    await expect(
      run(
        'diverged',
        configured({ learningRate: 1e30, log: { ...configured().log, evaluateEverySteps: 0, checkpointEverySteps: 2 } }),
      ),
    ).rejects.toThrow(/2 steps in a row had a non-finite loss or gradient; the last good checkpoint is in/);
    expect(await lines('diverged')).toMatchObject([{ step: 1 }, { step: 2, skipped: true }, { step: 3, skipped: true }]);
    // that of the start: the weights after step 1 make nothing finite
    const { step, skippedSteps } = JSON.parse(await readFile(at('diverged', 'last', 'state.json'), 'utf8'));
    expect([step, skippedSteps]).toEqual([0, 0]);
    // and where it is stopped before that
    const stop = new AbortController();
    let done = 0;
    const progress = { ...SILENT, advance: () => ++done === 2 && stop.abort() };
    const configuration = configured({ learningRate: 1e30, log: { ...configured().log, evaluateEverySteps: 0 } });
    await pretrain({ cohort: at('cohort'), out: at('diverging'), configuration, progress, signal: stop.signal });
    expect(await lines('diverging')).toMatchObject([{ step: 1 }, { step: 2, skipped: true }]);
    expect(JSON.parse(await readFile(at('diverging', 'last', 'state.json'), 'utf8'))).toMatchObject({ step: 0, skippedSteps: 0 });
    // a finite step whose update overflows leaves no checkpoint that nobody can read
    const log = { ...configured().log, evaluateEverySteps: 0, checkpointEverySteps: 1 };
    await expect(run('overflowed', configured({ learningRate: 1e39, log }))).rejects.toThrow(
      /^step 1: the weights are no longer finite, so no checkpoint of them is written; the last good one is in .*last\. Lower/,
    );
    expect(JSON.parse(await readFile(at('overflowed', 'last', 'state.json'), 'utf8'))).toMatchObject({ step: 0 });
  });

  it('refuses a cohort whose voxels are damaged, by the file', async () => {
    await expect(run('spoilt-run', configured(), false, undefined, 'spoilt')).rejects.toThrow(
      /tiny_\d\.npy: holds NaN: the file is damaged; prepare the cohort again/,
    );
  });

  it('refuses a run that is there, a resume under another configuration, too few subjects, and not enough memory', async () => {
    await expect(run('whole', configured())).rejects.toThrow(/already contains a run; continue it with `resume`/);
    await expect(run('whole', configured({ learningRate: 1e-4 }), true)).rejects.toThrow(/learningRate: was 0.001, now 0.0001/);
    await expect(run('whole', configured({ steps: 5 }), true)).rejects.toThrow(/has already done 6 steps/);
    await expect(run('new', configured({ data: { patch: 16, heldOut: 5 } }))).rejects.toThrow(
      /leave 1 for training; at least 2 are needed/,
    );
    await expect(run('large', configured({ model: { width: 1 }, data: { patch: 256, heldOut: 2 } }))).rejects.toThrow(
      /not enough memory: patch 256, batch 2 and width 1 need .* These would fit: `patch` \d+|No single change/,
    );
  });

  /** A tiny run with few parts, and a copy of it for each question. */
  const few = (changes: object = {}) =>
    configured({ steps: 1, batch: 1, log: { ...configured().log, evaluateEverySteps: 0, picturesEverySteps: 0 }, ...changes });
  let copies = 0;
  const copyOf = async (out: string): Promise<string> => {
    const copy = `copy-${copies++}`;
    await cp(at(out), at(copy), { recursive: true });
    return copy;
  };

  it('goes on with the same cohort only, wherever it lies, and names what differs', async () => {
    await run('short', few());
    await writeTinyCohort(at('fewer'), 5);
    await writeTinyCohort(at('larger'), 6, 19);
    await rename(at('cohort'), at('moved'));
    await cp(at('moved'), at('cohort'), { recursive: true });
    const text = await readFile(at('cohort', 'cohort.json'), 'utf8');
    await writeFile(at('cohort', 'cohort.json'), text.replace('"intensity": "minmax"', '"intensity": "percentile"'));
    const resumed = async (cohort: string) => run(await copyOf('short'), few({ steps: 2 }), true, undefined, cohort);
    await expect(resumed('fewer')).rejects.toThrow(
      /the inputs of the run changed:[\s\S]*cohort subjects: was 6, now 5[\s\S]*tiny_5[\s\S]*choose another `out`, or delete/,
    );
    await expect(resumed('larger')).rejects.toThrow(/cohort subjects .*tiny_0, tiny_1, tiny_2 and 3 more/);
    await expect(resumed('cohort')).rejects.toThrow(/cohort options\.intensity: was "minmax", now "percentile"/);
    expect(await resumed('moved')).toMatchObject({ step: 2, finished: true });
    await rm(at('cohort'), { recursive: true });
    await rename(at('moved'), at('cohort'));
  });

  it('goes on from the beginning with its own configuration where it was killed before the first checkpoint', async () => {
    const killed = await copyOf('short');
    for (const name of ['last', 'metrics.jsonl', 'events']) await rm(at(killed, name), { recursive: true });
    const configuration = await readRunConfiguration(at(killed));
    expect(configuration).toEqual(few());
    await expect(run(killed, few({ learningRate: 1 }), true)).rejects.toThrow('learningRate: was 0.001, now 1');
    await expect(run(killed, few(), true, undefined, 'spoilt')).rejects.toThrow('cohort subjects: was 6, now 4');
    expect(await run(killed, configuration, true)).toMatchObject({ step: 1, finished: true });
    for (const name of ['model.safetensors', 'config.json', 'state.safetensors', 'state.json'])
      expect((await readFile(at(killed, 'last', name))).equals(await readFile(at('short', 'last', name))), name).toBe(true);
  });

  it('refuses a checkpoint and a run.json of different runs, and one without the other', async () => {
    await run('other', few({ seed: 2 }));
    const mixed = await copyOf('short');
    await cp(at('other', 'run.json'), at(mixed, 'run.json'));
    await expect(run(mixed, few({ seed: 2 }), true)).rejects.toThrow('belong to different runs');
    await rm(at(mixed, 'run.json'));
    await expect(run(mixed, few(), true)).rejects.toThrow('run.json: missing, so the inputs of the run cannot be checked');
    await rm(at(mixed, 'last'), { recursive: true });
    await expect(run(mixed, few(), true)).rejects.toThrow('no run.json and no checkpoint in it');
  });

  it('goes on with a run of version 0.1, which recorded less, compares what there is, and says so', async () => {
    const old = await copyOf('short');
    const record = JSON.parse(await readFile(at(old, 'run.json'), 'utf8'));
    const { cohort, split, configuration } = record;
    const asThen = {
      cohort: { folder: cohort.folder, subjects: 6, training: 4, heldOut: 2, heldOutIds: split.heldOut },
      configuration,
    };
    await writeFile(at(old, 'run.json'), JSON.stringify(asThen));
    const { run: _, ...state } = JSON.parse(await readFile(at(old, 'last', 'state.json'), 'utf8'));
    await writeFile(at(old, 'last', 'state.json'), JSON.stringify(state));
    await expect(run(old, few({ steps: 2, seed: 3 }), true)).rejects.toThrow(/seed: was 1, now 3[\s\S]*heldOut subjects: added/);
    const said: string[] = [];
    const progress = { ...SILENT, say: (text: string) => void said.push(text) };
    await pretrain({ cohort: at('cohort'), out: at(old), configuration: few({ steps: 2 }), resume: true, progress });
    expect(said[0]).toMatch(/warning: .*did not record its cohort: only the configuration and the split could be compared/);
    expect(JSON.parse(await readFile(at(old, 'run.json'), 'utf8')).cohort.fingerprint).toEqual(cohort.fingerprint);
  });

  it('records what auto chose, keeps it, and says by name where it is not available', async () => {
    const record = async (out: string) => JSON.parse(await readFile(at(out, 'run.json'), 'utf8'));
    const auto = await copyOf('short');
    await run(auto, few({ steps: 2, backend: 'auto' }), true);
    expect((await record(auto)).backends).toEqual([{ fromStep: 0, backend: 'cpu' }]);
    expect(JSON.parse(await readFile(at(auto, 'last', 'config.json'), 'utf8')).backends).toEqual(['cpu']);
    // another one only where it is asked for by name; both are recorded
    const other = await copyOf('short');
    await run(other, few({ steps: 2, backend: 'reference' }), true);
    expect((await record(other)).backends).toEqual([
      { fromStep: 0, backend: 'cpu' },
      { fromStep: 1, backend: 'reference' },
    ]);
    expect(JSON.parse(await readFile(at(other, 'last', 'config.json'), 'utf8')).backends).toEqual(['cpu', 'reference']);
    const gone = await copyOf('short');
    await writeFile(
      at(gone, 'run.json'),
      JSON.stringify({ ...(await record(gone)), backends: [{ fromStep: 0, backend: 'npu' }] }),
    );
    await expect(run(gone, few({ steps: 2, backend: 'auto' }), true)).rejects.toThrow(
      /this run uses the backend npu, chosen by 'auto' at its start, which is not available/,
    );
  });
});
