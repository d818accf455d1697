/** Studies of any method: equal budgets, methods that train the encoder alone, the search over learning rates, ranks. */
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT } from '../common/progress.ts';
import { METHODS } from '../methods/registry.ts';
import { readMetrics } from '../training/node/log/metrics.ts';
import { readRunRecord } from '../training/node/run-record.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import { rankStudies, ranksAcross } from './across.ts';
import { compare } from './compare.ts';
import type { Study } from './configuration.ts';
import { methodsOf } from './methods.ts';
import { plannedPretraining } from './pretraining.ts';
import { ranksFigure, ranksMarkdown } from './ranks.ts';
import { readStudy } from './run.ts';
import { modesOf } from './runs.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-study-methods-'));
  await writeTinyCohort(at('cohort'), 8);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const DOCUMENT = {
  methods: ['scratch', 'rotation', 'gvsl'],
  modes: ['linear', 'finetune'],
  labels: [2],
  seeds: [1],
};
const PRETRAINING = { steps: 2, threads: 1, model: { width: 0.125 }, data: { patch: 16, heldOut: 0 } };
const TRANSFER = {
  configuration: {
    steps: 2,
    threads: 1,
    model: { width: 0.125 },
    data: { patch: 16, validation: 2, test: 3 },
    log: { evaluateEverySteps: 1, picturesEverySteps: 0 },
  },
};
const study = async (changes: object = {}, pretraining: object = {}): Promise<Study> => {
  const document = {
    ...DOCUMENT,
    cohort: at('cohort'),
    pretraining: { configuration: PRETRAINING, ...pretraining },
    transfer: TRANSFER,
    ...changes,
  };
  await writeFile(at('study.json'), JSON.stringify(document));
  return readStudy(at('study.json'));
};
const NAMES = METHODS.map(({ name }) => name);

describe('the budget of a study', () => {
  const steps = async (of: Study, seconds = {}): Promise<Record<string, number>> => {
    const planned = await Promise.all(
      of.methods
        .filter((name) => name !== 'scratch')
        .map(async (name) => [name, (await plannedPretraining(of, name, seconds)).configuration.steps]),
    );
    return Object.fromEntries(planned);
  };

  it('is GVSL\u2019s passes through the encoder, whatever a method takes of them per sample', async () => {
    const of = await study({ methods: ['scratch', ...NAMES] }, { configuration: { ...PRETRAINING, batch: 2, steps: 100 } });
    const found = await steps(of);
    for (const { name, passes } of METHODS) if (name !== 'deep-cluster') expect(found[name] * passes, name).toBe(200);
    expect(found).toMatchObject({ mae: 200, gvsl: 100, 'restoration-only': 200, 'without-affine': 100 });
  });

  it('counts the passes by which DeepCluster finds its clusters: of every crop, before the first step and every so many', async () => {
    // GVSL: 100 steps of 2 pairs are 400 passes; each clustering of 8 subjects with 4 crops takes 32
    const stepsOf = async (everySteps: number): Promise<number> =>
      (
        await steps(
          await study(
            { methods: ['scratch', 'deep-cluster', 'gvsl'] },
            {
              configuration: { ...PRETRAINING, batch: 2, steps: 100 },
              methods: { 'deep-cluster': { clusters: { everySteps, count: 4 } } },
            },
          ),
        )
      )['deep-cluster'];
    const passes = (count: number, everySteps: number): number => 2 * count + 32 * Math.ceil(count / everySteps);
    for (const everySteps of [1, 3, 20, 92, 184, 500]) {
      const found = await stepsOf(everySteps);
      expect(passes(found, everySteps)).toBeLessThanOrEqual(400);
      expect(passes(found + 1, everySteps)).toBeGreaterThan(400);
    }
    expect(await stepsOf(20)).toBe(104);
    expect(await stepsOf(500)).toBe(184);
  });

  it('counts the time of its clusterings too, where it is time that every method gets as much of', async () => {
    const timed = async (everySteps: number, seconds: object): Promise<number> =>
      (
        await steps(
          await study(
            { methods: ['scratch', 'deep-cluster', 'gvsl'] },
            {
              budget: 'time',
              configuration: { ...PRETRAINING, steps: 100 },
              methods: { 'deep-cluster': { clusters: { everySteps, count: 4 } } },
            },
          ),
          { gvsl: { step: 4, refresh: 0 }, 'deep-cluster': seconds },
        )
      )['deep-cluster'];
    const seconds = (count: number, everySteps: number): number => 0.5 * count + 20 * Math.ceil(count / everySteps);
    for (const everySteps of [1, 20, 92, 800]) {
      const found = await timed(everySteps, { step: 0.5, refresh: 20 });
      expect(seconds(found, everySteps)).toBeLessThanOrEqual(400);
      expect(seconds(found + 1, everySteps)).toBeGreaterThan(400);
    }
    // studies of older versions measured steps alone, and keep the steps that they had
    expect(await timed(20, { step: 0.5, refresh: 0 })).toBe(800);
  });

  it('measures what a method computes between steps, and keeps it; older measurements stay as they are', async () => {
    const of = await study(
      { methods: ['scratch', 'deep-cluster', 'rotation'], modes: ['finetune'] },
      { budget: 'time', methods: { 'deep-cluster': { clusters: { everySteps: 1, count: 2 } } } },
    );
    const report = await compare({ study: of, out: at('clustered'), progress: SILENT });
    const measured = JSON.parse(await readFile(at('clustered', 'step-seconds.json'), 'utf8'));
    expect(measured).toEqual({
      gvsl: expect.any(Number),
      rotation: expect.any(Number),
      'deep-cluster': { step: expect.any(Number), refresh: expect.any(Number) },
    });
    const log = await readMetrics(at('clustered', 'pretrained', 'deep-cluster', 'metrics.jsonl'));
    const lines = log.filter(({ kind }) => kind === 'step');
    expect(lines.length).toBe(report.pretraining.find(({ method }) => method === 'deep-cluster')!.steps);
    for (const { refreshSeconds } of lines) expect(refreshSeconds).toBeGreaterThan(0);
    // the table's time has both
    const median = (key: string): number => {
      const values = lines.map(({ [key]: value }) => value as number).sort((a, b) => a - b);
      return values[values.length >> 1];
    };
    const cost = report.pretraining.find(({ method }) => method === 'deep-cluster')!;
    expect(cost.seconds).toBeCloseTo(lines.length * (median('stepSeconds') + median('refreshSeconds')), 9);

    await mkdir(at('clustered-before'), { recursive: true });
    const before = { gvsl: 0.5, rotation: 0.25, 'deep-cluster': 0.5 };
    await writeFile(at('clustered-before', 'step-seconds.json'), JSON.stringify(before));
    const again = await compare({ study: of, out: at('clustered-before'), progress: SILENT });
    expect(again.pretraining.map(({ method, steps }) => [method, steps])).toEqual([
      ['rotation', 4],
      ['deep-cluster', 2],
    ]);
    expect(JSON.parse(await readFile(at('clustered-before', 'step-seconds.json'), 'utf8'))).toEqual(before);
  });

  it("counts a method's own batch, and stretches the schedule of the learning rate", async () => {
    const configuration = { ...PRETRAINING, steps: 100, warmupSteps: 10, learningRateDecaySteps: 90 };
    const of = await study(
      { methods: ['scratch', 'mae', 'rotation', 'gvsl'] },
      { configuration, methods: { mae: { batch: 8 }, rotation: { accumulate: 4 } } },
    );
    const { configuration: mae } = await plannedPretraining(of, 'mae');
    expect(mae).toMatchObject({ batch: 8, steps: 50, warmupSteps: 5, learningRateDecaySteps: 45 });
    expect((await plannedPretraining(of, 'rotation')).configuration).toMatchObject({ batch: 2, accumulate: 4, steps: 50 });
  });

  it('can be steps, or time', async () => {
    const methods = ['scratch', 'mae', 'gvsl'];
    expect(await steps(await study({ methods }, { budget: 'steps' }))).toEqual({ mae: 2, gvsl: 2 });
    const timed = await study({ methods }, { budget: 'time', configuration: { ...PRETRAINING, steps: 100 } });
    expect(await steps(timed, { gvsl: { step: 3, refresh: 0 }, mae: { step: 1, refresh: 0 } })).toEqual({ mae: 300, gvsl: 100 });
  });

  it('takes keys of one method by its name, of GVSL for its ablations too', async () => {
    const of = await study(
      { methods: ['scratch', 'mae', 'restoration-only', 'gvsl'] },
      { methods: { mae: { mask: { share: 0.5 } }, gvsl: { loss: { smooth: 2 } } } },
    );
    expect((await plannedPretraining(of, 'mae')).configuration).toMatchObject({ mask: { share: 0.5 } });
    expect((await plannedPretraining(of, 'restoration-only')).configuration).toMatchObject({
      loss: { smooth: 2 },
      model: { heads: { matching: false } },
    });
  });

  it('refuses what cannot be meant, before anything is trained', async () => {
    const mae = { methods: ['scratch', 'mae'] };
    await expect(study(mae, { configuration: { ...PRETRAINING, loss: { ncc: 2 } } })).rejects.toThrow(
      /study\.json: pretraining\.configuration: loss: unknown key[\s\S]*for the method mae; keys of single methods stand in pretraining\.methods/,
    );
    await expect(study(mae, { methods: { mae: { steps: 3 } } })).rejects.toThrow(
      "pretraining.methods.mae.steps: the budget 'passes' sets them",
    );
    await expect(study(mae, { methods: { rotation: {} } })).rejects.toThrow(
      'pretraining.methods.rotation: not among the methods',
    );
    await expect(study(mae, { budget: 'epochs' })).rejects.toThrow('pretraining.budget: expected one of passes, steps, time');
    await expect(study(mae, { search: { learningRate: [0] } })).rejects.toThrow('learningRate');
    const untested = { ...TRANSFER.configuration, data: { ...TRANSFER.configuration.data, validation: 0 } };
    await expect(study({ ...mae, transfer: { configuration: untested } }, { search: { learningRate: [1e-3] } })).rejects.toThrow(
      'pretraining.search: needs validation subjects',
    );
    await expect(study({ ...mae, task: 'classification', modes: ['probe'] })).rejects.toThrow('probe is of segmentations');
  });
});

describe('variants', () => {
  const variants = {
    'gvsl-pose': { of: 'gvsl', title: 'GVSL, known pose', loss: { affinePose: 0.3 } },
    'mae-2': { of: 'mae', seed: 9 },
  };
  const methods = ['scratch', 'mae-2', 'mae', 'gvsl-pose', 'gvsl'];

  it('are a method with other keys under a name of their own, at its place in the tables', async () => {
    const of = await study({ methods }, { variants, methods: { mae: { batch: 8 }, gvsl: { loss: { smooth: 2 } } } });
    expect(methodsOf(of).map(({ title }) => title)).toEqual(['scratch', 'MAE', 'mae-2', 'GVSL, whole', 'GVSL, known pose']);
    const pose = await plannedPretraining(of, 'gvsl-pose');
    expect(pose.configuration).toMatchObject({ loss: { smooth: 2, affinePose: 0.3 }, steps: 2 });
    const [mae, again] = [await plannedPretraining(of, 'mae'), await plannedPretraining(of, 'mae-2')];
    expect(again.configuration).toEqual({ ...mae.configuration, seed: 9 });
  });

  it('are refused where they are not named, not known, or named as a method', async () => {
    await expect(study({ methods: ['scratch', 'gvsl-pose'] }, { variants })).rejects.toThrow(
      'pretraining.variants.mae-2: not among the methods',
    );
    await expect(study({ methods: ['scratch', 'nonsense'] })).rejects.toThrow(/methods: expected of scratch, .* not 'nonsense'/);
    await expect(study({ methods: ['scratch', 'gvsl'] }, { variants: { mae: { of: 'gvsl' } } })).rejects.toThrow(
      'name of a method',
    );
    await expect(study({ methods: ['scratch', 'a/b'] }, { variants: { 'a/b': { of: 'gvsl' } } })).rejects.toThrow(
      'small letters',
    );
    await expect(study({ methods: ['scratch', 'x'] }, { variants: { x: { of: 'gvsl', los: {} } } })).rejects.toThrow('los');
    await expect(study({ methods: ['scratch', 'x'] }, { variants: { x: { loss: { ncc: 2 } } } })).rejects.toThrow(
      /pretraining\.variants\.x\.of: expected one of denoising, .*, gvsl; found nothing/,
    );
    await expect(study({ methods: ['scratch', 'x'] }, { variants: { x: 'gvsl' } })).rejects.toThrow(
      'pretraining.variants.x: expected a section with some of the keys of, title; found "gvsl"',
    );
    await expect(study({ methods: ['scratch', 'x'] }, { variants: { x: { of: 'gvsl', title: 3 } } })).rejects.toThrow(
      'pretraining.variants.x.title: expected text; found 3',
    );
  });

  it('have rows, costs and folders of their own', async () => {
    const declared = await study(
      { methods: ['scratch', 'gvsl-pose', 'gvsl'], modes: ['finetune'] },
      { variants: { 'gvsl-pose': variants['gvsl-pose'] } },
    );
    const report = await compare({ study: declared, out: at('with-variants'), progress: SILENT });
    expect(report.rows.map(({ title }) => title)).toEqual(['scratch', 'GVSL, whole', 'GVSL, known pose']);
    expect(report.pretraining.map(({ title, steps }) => [title, steps])).toEqual([
      ['GVSL, whole', 2],
      ['GVSL, known pose', 2],
    ]);
    const record = await readRunRecord(at('with-variants', 'pretrained', 'gvsl-pose'));
    expect(record?.configuration).toMatchObject({ loss: { affinePose: 0.3 } });
  });
});

describe('a study of methods', () => {
  it('probes the encoder beside linear evaluation, marks encoders, states costs, ranks, and does nothing twice', async () => {
    const declared = await study();
    expect(modesOf(declared)).toEqual(['linear', 'probe', 'finetune']);
    const report = await compare({ study: declared, out: at('out'), progress: SILENT });
    expect(report.rows).toHaveLength(9);
    for (const method of declared.methods) {
      const row = report.rows.find((one) => one.method === method && one.mode === 'probe')!;
      // the ball is bright, and its edge is what the first level sees
      expect(row.mean).toBeGreaterThan(0.5);
    }
    expect(report.pretraining).toMatchObject([
      { method: 'rotation', steps: 4, images: 8, passes: 8, search: null },
      { method: 'gvsl', steps: 2, images: 8, passes: 8 },
    ]);
    expect(report.ranks.map(({ mode, tasks }) => [mode, tasks])).toEqual([
      ['linear', 3],
      ['probe', 3],
      ['finetune', 3],
    ]);
    const table = await readFile(at('out', 'table.md'), 'utf8');
    expect(table).toContain('| rotation \u2020 |');
    expect(table).toContain('\u2020: pre-trains the encoder alone');
    expect(table).toContain("**Linear probe of the encoder's levels**");
    expect(table).toMatch(/\| rotation \| 4 \| 8 \| 8 \| \d+ s \| 0\.0001 \|/);
    expect(await readFile(at('out', 'ranks.svg'), 'utf8')).toContain('mean ranks over 3 test subjects, 2 labels');
    const probe = at('out', 'runs', 'rotation-probe-2-seed1', 'probe.json');
    const before = await stat(probe);
    const again = await compare({ study: declared, out: at('out'), progress: SILENT });
    expect(again).toEqual(report);
    expect((await stat(probe)).mtimeMs).toBe(before.mtimeMs);
    // a probe that another model made
    const result = JSON.parse(await readFile(probe, 'utf8'));
    await writeFile(probe, JSON.stringify({ ...result, inputs: { ...result.inputs, init: 'other' } }));
    await expect(compare({ study: declared, out: at('out'), progress: SILENT })).rejects.toThrow(
      /rotation-probe-2-seed1: contains the result of a different probe[\s\S]*init: was other, now /,
    );
    await rm(probe);
    expect(await compare({ study: declared, out: at('out'), progress: SILENT })).toEqual(report);
    // another budget is another study
    await expect(compare({ study: await study({}, { budget: 'steps' }), out: at('out'), progress: SILENT })).rejects.toThrow(
      'pretraining.budget: was "passes", now "steps"',
    );
  });

  it('searches the same learning rates for every method, and validation subjects choose', async () => {
    const small = { methods: ['scratch', 'mae'], modes: ['finetune'] };
    const declared = await study(small, { search: { learningRate: [1e-4, 3e-3] } });
    const report = await compare({ study: declared, out: at('searched'), progress: SILENT });
    const [{ search, learningRate }] = report.pretraining;
    expect(search!.tried.map((one) => one.learningRate)).toEqual([1e-4, 3e-3]);
    expect(learningRate).toBe(search!.chosen);
    const [low, high] = search!.tried;
    expect(search!.chosen).toBe(high.score! > low.score! ? 3e-3 : 1e-4);
    expect(await readFile(at('searched', 'table.md'), 'utf8')).toContain('validation by learning rate');
    expect(await compare({ study: declared, out: at('searched'), progress: SILENT })).toEqual(report);
    await expect(
      compare({ study: await study(small, { search: { learningRate: [1e-4] } }), out: at('searched'), progress: SILENT }),
    ).rejects.toThrow('pretraining.search.learningRate: was [0.0001,0.003], now [0.0001]');
  });

  it('goes on without a method whose pre-training collapses, names it at the end, and takes a variant of it instead', async () => {
    const small = { methods: ['scratch', 'simsiam', 'mae'], modes: ['finetune'] };
    // any spread counts as collapse
    const collapsing = { methods: { simsiam: { alarm: { collapseBelow: 1, collapseSteps: 1 } } } };
    const declared = await study(small, collapsing);
    const said: string[] = [];
    const progress = { ...SILENT, say: (line: string) => said.push(line) };
    const call = { out: at('collapsed'), progress };
    for (const _ of ['first', 'again'])
      await expect(compare({ study: declared, ...call })).rejects.toThrow(
        /^1 training not done; all others are\. [\s\S]*\n {2}pretrained.simsiam: step \d: `spread` was below 1 for/,
      );
    expect(said.join('\n')).toMatch(/warning: pretrained.simsiam: step 1[\s\S]*mae finetune 2 labels/);
    const variants = { gentle: { of: 'simsiam', alarm: { collapseSteps: 0 } } };
    const other = await study({ ...small, methods: ['scratch', 'gentle', 'mae'] }, { variants });
    const { rows } = await compare({ study: other, ...call });
    expect(rows.map(({ method }) => method)).toEqual(['scratch', 'mae', 'gentle']);
  });

  it('leaves out the learning rates of a search at which pre-training diverges', async () => {
    const small = { methods: ['scratch', 'mae'], modes: ['finetune'] };
    const declared = await study(small, { search: { learningRate: [1e-4, 1e38] } });
    const report = await compare({ study: declared, out: at('diverged'), progress: SILENT });
    expect(report.pretraining[0].search).toMatchObject({ chosen: 1e-4, tried: [{ learningRate: 1e-4 }, { score: null }] });
    expect(await readFile(at('diverged', 'table.md'), 'utf8')).toContain('1e+38: diverged');
  });

  it('measures the steps of a budget of time once', async () => {
    const declared = await study({ methods: ['scratch', 'mae'], modes: ['finetune'] }, { budget: 'time' });
    const report = await compare({ study: declared, out: at('timed'), progress: SILENT });
    const seconds = JSON.parse(await readFile(at('timed', 'step-seconds.json'), 'utf8'));
    expect(Object.keys(seconds)).toEqual(['gvsl', 'mae']);
    expect(report.pretraining[0].steps).toBe(Math.max(1, Math.round((2 * seconds.gvsl) / seconds.mae)));
    expect(await compare({ study: declared, out: at('timed'), progress: SILENT })).toEqual(report);
  });
});

describe('ranks over studies', () => {
  const finished = (name: string, scores: Record<string, number>) => ({
    study: { name },
    rows: [8, 'all' as const].flatMap((labels) =>
      Object.entries(scores).map(([method, mean]) => ({ method, mode: 'finetune' as const, labels, mean })),
    ),
  });

  it('ranks the methods that all tasks have, and says what it lacks', async () => {
    const studies = [
      finished('a', { scratch: 0.5, mae: 0.7, gvsl: 0.6 }),
      finished('b', { scratch: 0.4, mae: 0.6, rotation: 0.9 }),
    ];
    expect(ranksAcross(studies)).toMatchObject([
      {
        mode: 'finetune',
        tasks: 4,
        over: '4 tasks of 2 studies',
        methods: [{ name: 'scratch' }, { name: 'mae' }],
        ranks: [2, 1],
      },
    ]);
    for (const [i, one] of studies.entries()) {
      await mkdir(at(`study${i}`), { recursive: true });
      await writeFile(at(`study${i}`, 'study.json'), JSON.stringify(one));
    }
    await rankStudies([at('study0'), at('study1')], at('ranks'));
    expect(await readFile(at('ranks', 'ranks.md'), 'utf8')).toContain('| MAE | 1.00 |');
    expect(await readFile(at('ranks', 'ranks.svg'), 'utf8')).toContain('MAE 1.00');
    await expect(rankStudies([at('cohort')], at('ranks'))).rejects.toThrow('no study.json in it');
    await expect(rankStudies([at('study0'), join(at('study0'), '.')], at('ranks'))).rejects.toThrow('the same folder as');
    await writeFile(at('study1', 'study.json'), JSON.stringify(finished('c', { rotation: 0.5 })));
    await expect(rankStudies([at('study0'), at('study1')], at('ranks'))).rejects.toThrow('nothing to rank');
  });
});

it('writes titles as text into its tables', () => {
  const ranking = {
    mode: 'finetune',
    over: '9 tasks',
    tasks: 9,
    statistic: 1,
    p: 0.3,
    criticalDifference: 1,
    groups: [],
  } as const;
  const methods = [
    { name: 'a', title: 'a | b <i>c</i> & d' },
    { name: 'e', title: 'e' },
  ];
  expect(ranksMarkdown([{ ...ranking, methods, ranks: [1, 2] }])).toContain('| a \\| b &lt;i&gt;c&lt;/i&gt; &amp; d | 1.00 |');
});

it('draws critical differences', () => {
  const methods = ['a', 'b', 'c'].map((name) => ({ name, title: `method ${name}` }));
  const ranking = { mode: 'finetune', over: '9 tasks', tasks: 9, methods } as const;
  const svg = ranksFigure([
    {
      ...ranking,
      ranks: [1.2, 1.9, 2.9],
      statistic: 12,
      p: 0.002,
      criticalDifference: 1.1,
      groups: [
        [0, 1],
        [1, 2],
      ],
    },
  ])!;
  for (const text of ['method a 1.20', 'method c 2.90', 'Friedman p 0.002', 'critical difference 1.10'])
    expect(svg).toContain(text);
  expect(svg.match(/stroke-width="4"/g)).toHaveLength(2);
  expect(ranksFigure([])).toBeUndefined();
});
