import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT } from '../node/progress.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import { compare } from './compare.ts';
import { readStudy, runsOf } from './run.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-study-'));
  await writeTinyCohort(at('cohort'), 8);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const DOCUMENT = {
  cohort: '',
  methods: ['scratch', 'restoration-only'],
  modes: ['linear', 'finetune'],
  labels: [2, 'all'],
  seeds: [1, 2],
  pretraining: {
    configuration: {
      steps: 2,
      threads: 1,
      model: { width: 0.125 },
      data: { patch: 16, heldOut: 0, damage: { shufflingBoxes: 5 } },
    },
  },
  transfer: {
    configuration: {
      steps: 2,
      threads: 1,
      model: { width: 0.125 },
      data: { patch: 16, validation: 2, test: 3 },
      log: { evaluateEverySteps: 2, picturesEverySteps: 0 },
    },
    linear: { learningRate: 0.01 },
  },
};
const study = async (changes: object = {}) => {
  await writeFile(at('study.json'), JSON.stringify({ ...DOCUMENT, cohort: at('cohort'), ...changes }));
  return readStudy(at('study.json'));
};

describe('compare', () => {
  it('runs what is declared, tests against the baseline, and does nothing twice', async () => {
    const declared = await study();
    expect(runsOf(declared)).toHaveLength(16);
    const report = await compare({ study: declared, out: at('out'), progress: SILENT });
    expect(report.rows).toHaveLength(8);
    const row = report.rows.find(
      ({ method, mode, labels }) => method === 'restoration-only' && mode === 'linear' && labels === 2,
    )!;
    expect(row).toMatchObject({ seeds: 2, difference: { count: 3 } });
    expect(row.mean).toBeGreaterThanOrEqual(0);
    expect(report.rows.find(({ method }) => method === 'scratch')!.difference).toBeNull();
    expect(report.files).toEqual(['table.md', 'table.csv', 'study.json', 'labels.svg', 'learning.svg', 'features.svg']);
    expect(await readFile(at('out', 'table.md'), 'utf8')).toContain('| restoration only |');
    const before = await stat(at('out', 'runs', 'scratch-linear-2-seed1', 'test.json'));
    expect(await compare({ study: declared, out: at('out'), progress: SILENT })).toEqual(report);
    expect((await stat(at('out', 'runs', 'scratch-linear-2-seed1', 'test.json'))).mtimeMs).toBe(before.mtimeMs);
  });

  it('refuses a study that cannot be meant', async () => {
    await expect(study({ methods: ['simclr'] })).rejects.toThrow('methods');
    await expect(study({ methods: ['gvsl'] })).rejects.toThrow("baseline 'scratch' is not among the methods gvsl");
    await expect(study({ pretraining: { models: { gvsl: 'x' } } })).rejects.toThrow(
      'pretraining.models.gvsl: not among the methods',
    );
    const wrong = await study({ transfer: { configuration: { stepz: 3 } } });
    await expect(compare({ study: wrong, out: at('wrong'), progress: SILENT })).rejects.toThrow('did you mean steps?');
  });
});
