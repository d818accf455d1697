/** Studies whose test subjects are several scans of one patient. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCohort } from '../cohort/node/open-cohort.ts';
import { writeCohort } from '../cohort/node/write-cohort.ts';
import { SILENT } from '../common/progress.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import { checkStudy } from './check.ts';
import { compare } from './compare.ts';
import { studyRanks } from './ranks.ts';
import { readStudy } from './run.ts';
import { emptySubjectsMarkdown, studyMarkdown, studyRows } from './tables.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-study-patients-'));
  await writeTinyCohort(at('cohort'), 10);
  const cohort = await openCohort(at('cohort'));
  await writeCohort({ ...cohort, subjects: cohort.subjects.map((one, k) => ({ ...one, patient: `sub-${k >> 1}` })) });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const DECLARED = {
  cohort: 'c',
  task: 'segmentation',
  baseline: 'scratch',
  methods: ['scratch', 'rotation'],
  modes: ['finetune'],
  labels: ['all'],
  seeds: [1],
  pretraining: { variants: {} },
};
const BEFORE = [[0.7, 0.72], [0.8], [0.65, 0.6, 0.61], [0.9], [0.75, 0.77], [0.5, 0.55], [0.82]];
const AFTER = [[0.74, 0.75], [0.79], [0.71, 0.68, 0.66], [0.93], [0.8, 0.81], [0.58, 0.55], [0.88]];
const result = (method: string, patients: readonly (readonly number[])[], isKnown = true) => ({
  ...{ method, mode: 'finetune', labels: 'all', seed: 1, summary: { dice: 0.5, auc: null } },
  subjects: patients.flatMap((scans, p) =>
    scans.map((dice, k) => ({ id: `sub-${p}_ses-${k}`, ...(isKnown && { patient: `sub-${p}` }), dice: [dice] })),
  ),
});

it('says where subjects with empty label maps have a score in some trainings alone', () => {
  const of = (method: string, ...dice: (number | null)[]) => ({
    ...result(method, []),
    subjects: dice.map((value, k) => ({ id: `s${k}`, dice: [value] })),
  });
  const said = (...results: object[]) => emptySubjectsMarkdown(DECLARED as never, results as never);
  // the first finds nothing where nothing is, twice; the second finds something once
  const results = [of('scratch', 0.8, 0.9, null, null), of('rotation', 0.8, 0.9, 0, null)];
  expect(said(...results)).toContain('Empty label maps: 1 test subject with Dice 0 in some trainings');
  expect(studyRows(DECLARED as never, results as never)[1].difference).toMatchObject({ mean: 0, count: 2 });
  expect(said(results[0])).toBe('');
});

describe('a study of patients with several scans', () => {
  it('draws patients, tests the means of their scans, and ranks patients', () => {
    const results = [result('scratch', BEFORE), result('rotation', AFTER)] as never;
    const rows = studyRows(DECLARED as never, results);
    const { difference, p } = rows[1];
    expect(difference).toMatchObject({ count: 12, patients: 7 });
    expect(difference!.mean).toBeCloseTo(0.0425, 12);
    // of 400,000 resamples in NumPy
    expect(difference!.low).toBeCloseTo(0.025, 2);
    expect(difference!.high).toBeCloseTo(0.0546, 2);
    // SciPy, of seven means
    expect(p).toBeCloseTo(0.03125, 12);
    expect(studyMarkdown(DECLARED as never, rows)).toContain(
      'paired by test subject (12 scans of 7 patients: the interval is over patients, and p compares the means of their scans)',
    );
    expect(studyRanks(DECLARED as never, results)[0]).toMatchObject({
      over: '7 patients (12 test scans), all labels',
      tasks: 7,
      ranks: [13 / 7, 8 / 7],
    });
  });

  it('takes scans of unknown patients, as older scores have them, one by one', () => {
    const results = [result('scratch', BEFORE, false), result('rotation', AFTER, false)] as never;
    const [, { difference }] = studyRows(DECLARED as never, results);
    expect(difference).toMatchObject({ count: 12 });
    expect(difference).not.toHaveProperty('patients');
    expect(studyRanks(DECLARED as never, results)[0].over).toBe('12 test subjects, all labels');
  });

  it('keeps in scores.csv whose scans they are, so that its tables can be computed again', async () => {
    const document = {
      cohort: at('cohort'),
      methods: ['scratch', 'restoration-only'],
      modes: ['finetune'],
      labels: ['all'],
      seeds: [1],
      pretraining: {
        configuration: {
          ...{ steps: 1, threads: 1, model: { width: 0.125 } },
          data: { patch: 16, heldOut: 0, damage: { shufflingBoxes: 5 } },
        },
      },
      transfer: {
        configuration: {
          ...{ steps: 1, threads: 1, model: { width: 0.125 } },
          data: { patch: 16, validation: 2, test: 4 },
          log: { evaluateEverySteps: 1, picturesEverySteps: 0 },
        },
      },
    };
    await writeFile(at('study.yaml'), JSON.stringify(document));
    const study = await readStudy(at('study.yaml'));
    const report = await compare({ study, out: at('out'), progress: SILENT });
    expect(report.rows[1].difference).toMatchObject({ count: 4, patients: 2 });
    const scores = await readFile(at('out', 'scores.csv'), 'utf8');
    expect(scores.split('\n')[0]).toBe('method,mode,labels,seed,subject,patient,dice 500');
    expect(await checkStudy(at('out'))).toMatchObject({ differences: [] });
    const test = JSON.parse(await readFile(at('out', 'runs', 'scratch-finetune-all-seed1', 'test.json'), 'utf8'));
    expect(test.summary).toMatchObject({ subjects: 4, patients: 2 });
    expect(test.subjects[0].patient).toMatch(/^sub-\d$/);

    // published scores of an older version do not say it; the cohort does
    await cp(at('out', 'study.json'), at('older', 'study.json'));
    await writeFile(at('older', 'scores.csv'), scores.replace(/^((?:[^,\n]*,){5})[^,\n]*,/gm, '$1'));
    const again = await compare({ study, out: at('again'), reuse: at('older'), progress: SILENT });
    expect(again.rows).toEqual(report.rows);
    expect(await readFile(at('again', 'scores.csv'), 'utf8')).toBe(scores);
  });
});
