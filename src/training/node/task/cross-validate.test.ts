import { cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { segmentImages } from '../../../apply/node/segment.ts';
import { crossValidationText } from '../../../cli/cross-validation-text.ts';
import { openCohort } from '../../../cohort/node/open-cohort.ts';
import { writeCohort } from '../../../cohort/node/write-cohort.ts';
import { SILENT } from '../../../common/progress.ts';
import { IDENTITY_3 } from '../../../geometry/volume.ts';
import { writeImage } from '../../../images/node/write.ts';
import { readModel, resolveModels } from '../../../model/node/model-folder.ts';
import { TRANSFER } from '../../task/configuration.ts';
import { writeTinyCohort } from '../../testing/tiny-cohort.ts';
import { parseConfigurationOf } from '../read-configuration.ts';
import { crossValidate, overFolds } from './cross-validate.ts';
import { keepPooled, keepPostProcessing } from './judge-best.ts';
import { splitForTask } from './split.ts';
import { train } from './train.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const configured = (data: object = {}, changes: object = {}) =>
  parseConfigurationOf(TRANSFER, {
    steps: 4,
    learningRate: 1e-2,
    threads: 1,
    model: { width: 0.125 },
    log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 0, checkpointEverySteps: 1 },
    data: { patch: 16, folds: 2, ...data },
    ...changes,
  });
const call = (out: string, data: object = {}, changes: object = {}) => ({
  cohort: at('cohort'),
  out: at(out),
  configuration: configured(data, changes),
  progress: SILENT,
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-folds-'));
  await writeTinyCohort(at('cohort'), 5);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('crossValidate', () => {
  it('trains every fold, judges each subject by the model that did not see it, and all models segment together', async () => {
    const result = await crossValidate(call('folds', { test: 1 }));
    expect(result.folds.map(({ run, trainingSubjects }) => [run, trainingSubjects])).toEqual([
      ['fold-1', 2],
      ['fold-2', 2],
    ]);
    const { subjects, summary, dice } = result.outOfFold!;
    expect(new Set(subjects.map(({ id }) => id)).size).toBe(4);
    expect(dice!.mean).toBeCloseTo(summary.dice!, 12);
    expect(result.folds.every(({ test }) => test!.subjects === 1)).toBe(true);
    expect(result.outOfFold!.auc).toBe(null);
    // folds, their files and their models are of one mind about post-processing
    for (const { run, postProcessed } of result.folds) {
      const [validation, test] = await Promise.all(
        ['validation.json', 'test.json'].map(async (file) => JSON.parse(await readFile(at('folds', run, file), 'utf8'))),
      );
      expect(validation.postProcessing).toEqual(result.postProcessing);
      expect([validation.postProcessed?.summary, test.postProcessed?.summary]).toEqual([
        postProcessed?.validation,
        postProcessed?.test,
      ]);
      const { configuration } = await readModel(at('folds', run, 'best'));
      expect(configuration.postProcessing !== undefined).toBe(postProcessed !== undefined);
    }
    const table = (await readFile(at('folds', 'cross-validation.csv'), 'utf8')).trim().split('\n');
    expect([table.length, table[0]]).toEqual([5, 'subject,fold,dice label 500']);

    expect(await resolveModels(at('folds'))).toEqual([at('folds', 'fold-1', 'best'), at('folds', 'fold-2', 'best')]);
    const geometry = { size: [18, 18, 18], spacingMm: [2, 2, 2], originMm: [0, 0, 0], direction: IDENTITY_3 } as const;
    await writeImage(at('scan.nii.gz'), { geometry, data: Float32Array.from({ length: 18 ** 3 }, (_, i) => i % 97) });
    const report = await segmentImages({ model: at('folds'), inputs: [at('scan.nii.gz')], out: at('labels'), threads: 1 });
    expect(report.models.map(({ folder: model }) => model)).toEqual(await resolveModels(at('folds')));
  });

  it('has an interval over patients where some have several scans, and keeps whose they are', async () => {
    await cp(at('cohort'), at('sessions'), { recursive: true });
    const cohort = await openCohort(at('sessions'));
    await writeCohort({ ...cohort, subjects: cohort.subjects.map((one, k) => ({ ...one, patient: `sub-${k >> 1}` })) });
    const result = await crossValidate({ ...call('of-patients', { test: 0 }), cohort: at('sessions') });
    const { dice, summary, subjects } = result.outOfFold!;
    expect(dice).toMatchObject({ count: 5, patients: 3 });
    expect(dice!.mean).toBeCloseTo(summary.dice!, 12);
    expect(summary).toMatchObject({ subjects: 5, patients: 3 });
    expect(subjects.map(({ patient }) => patient).sort()).toEqual(['sub-0', 'sub-0', 'sub-1', 'sub-1', 'sub-2']);
    expect(crossValidationText(result)).toContain('95 % bootstrap interval over patients (5 scans of 3 patients)');
  });

  it('goes on exactly where it was stopped', async () => {
    const stop = new AbortController();
    const stopped = await crossValidate({
      ...call('stopped', { test: 1 }),
      progress: ({ text }) => {
        if (text === 'fold 2 of 2') stop.abort();
      },
      signal: stop.signal,
    });
    expect([stopped.finished, stopped.folds.length]).toEqual([false, 1]);
    const { configuration: _, ...resumed } = call('stopped');
    const result = await crossValidate({ ...resumed, resume: true });
    expect(result.finished).toBe(true);
    for (const file of ['cross-validation.csv', 'fold-2/best/model.safetensors'])
      expect(await readFile(at('stopped', file))).toEqual(await readFile(at('folds', file)));
  });

  it('is refused with what is wrong', async () => {
    await expect(crossValidate(call('folds'))).rejects.toThrow('already contains a cross-validation');
    await expect(crossValidate({ ...call('none'), resume: true })).rejects.toThrow('there is no cross-validation at');
    await expect(crossValidate(call('one', { folds: 1 }))).rejects.toThrow('at least two folds');
    await expect(crossValidate(call('many', { folds: 9 }))).rejects.toThrow('more than the 5 labelled subjects');
    await expect(crossValidate(call('split', { split: 'split.json' }))).rejects.toThrow('a file names one split');
    // of four folds of five subjects the second has three to train with
    const said: string[] = [];
    const progress = ({ text = '' }: { readonly text?: string }): number => said.push(text);
    await expect(crossValidate({ ...call('few', { folds: 4, labels: 4 }), progress })).rejects.toThrow(
      'only 3 labelled subjects are left',
    );
    expect(said).toEqual([]);
    await expect(stat(at('few'))).rejects.toThrow('ENOENT');
    await expect(train(call('run'))).rejects.toThrow('call crossValidate for all');
    await expect(resolveModels(at('none'))).rejects.toThrow('no such folder');
  });
});

it('folds have about equal shares of each class', async () => {
  await writeTinyCohort(at('classes'), 12);
  const cohort = await openCohort(at('classes'));
  for (let fold = 1; fold <= 3; fold++) {
    const { data } = configured({ folds: 3, fold });
    const { validation } = await splitForTask(cohort, { task: 'classification', seed: 1, data });
    expect(validation.map(({ class: name }) => name).sort()).toEqual(['healthy', 'healthy', 'ill', 'ill']);
  }
});

it('classes are judged fold by fold: areas under ROC curves are not pooled', async () => {
  const classes = { task: 'classification', log: { everySteps: 1, evaluateEverySteps: 2, picturesEverySteps: 0 } };
  const { folds, outOfFold } = await crossValidate({ ...call('apart', {}, classes), cohort: at('classes') });
  const [a, b] = folds.map(({ validation }) => validation.auc!);
  expect(outOfFold!.auc).toEqual({
    mean: (a + b) / 2,
    standardDeviation: expect.closeTo(Math.abs(a - b) / Math.SQRT2, 12),
    folds: 2,
  });
  expect(outOfFold!.summary).toMatchObject({ subjects: 12, auc: (a + b) / 2 });
  expect(overFolds([0.5, null])).toEqual({ mean: 0.5, standardDeviation: null, folds: 1 });
  expect(overFolds([null, undefined])).toBe(null);
});

it('what all folds choose goes into the files and the model of each', async () => {
  const { task, validation: before } = await train(call('pooled', { folds: 1 }));
  const rule = { code: 500, name: 'label 500', before: 0.5, after: 0.6, candidate: 1 };
  const after = await keepPooled(at('pooled'), { validation: before, test: null }, [rule], task);
  const written = JSON.parse(await readFile(at('pooled', 'validation.json'), 'utf8'));
  expect(written.postProcessing).toEqual([rule]);
  expect(written.postProcessed).toEqual(after.validation!.postProcessed);
  expect(written.postProcessed.subjects.map(({ dice }: { dice: number[] }) => dice)).toEqual(
    before!.candidates!.map(([structure]) => [structure[1]]),
  );
  expect(written.run).toBe(JSON.parse(await readFile(at('pooled', 'run.json'), 'utf8')).identity);
  const keeps = async () => (await readModel(at('pooled', 'best'))).configuration.postProcessing;
  expect(await keeps()).toEqual([{ code: 500, keepLargest: true, minVolumeMm3: 0 }]);
  await keepPooled(at('pooled'), { validation: before, test: null }, [{ ...rule, candidate: 0 }], task);
  expect(await keeps()).toBe(undefined);
  expect(JSON.parse(await readFile(at('pooled', 'validation.json'), 'utf8')).postProcessed).toBe(undefined);
});

it('a model keeps post-processing in its config.json, and lets go of it', async () => {
  const rules = [{ code: 500, keepLargest: true, minVolumeMm3: 0 }];
  await keepPostProcessing(at('folds', 'fold-1'), rules);
  expect((await readModel(at('folds', 'fold-1', 'best'))).configuration.postProcessing).toEqual(rules);
  await keepPostProcessing(at('folds', 'fold-1'), undefined);
  expect((await readModel(at('folds', 'fold-1', 'best'))).configuration.postProcessing).toBe(undefined);
});
