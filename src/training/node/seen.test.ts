import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { SILENT, toProgress } from '../../common/progress.ts';
import { TRANSFER } from '../task/configuration.ts';
import { writeTinyCohort } from '../testing/tiny-cohort.ts';
import { pretrain } from './pretrain.ts';
import { parseConfiguration, parseConfigurationOf } from './read-configuration.ts';
import { seenByInitialModel } from './seen.ts';
import { crossValidate } from './task/cross-validate.ts';
import { train } from './task/train.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const small = { steps: 2, threads: 1, model: { width: 0.125 } };
const LEAVES_OUT = '`gvsl pretrain --split` leaves them out';

const pretrained = async (out: string, data: object, changes: object = {}): Promise<void> => {
  const configuration = parseConfiguration({
    ...small,
    data: { patch: 16, damage: { shufflingBoxes: 5 }, ...data },
    log: { evaluateEverySteps: 1, picturesEverySteps: 0 },
    ...changes,
  });
  await pretrain({ cohort: at('cohort'), out: at(out), configuration, progress: SILENT });
};
const trained = async (out: string, init: string, data: object = {}) => {
  const said: string[] = [];
  const progress = toProgress(({ text }) => void said.push(text ?? ''));
  const configuration = parseConfigurationOf(TRANSFER, {
    ...small,
    init: at(init),
    data: { patch: 16, validation: 2, test: 3, ...data },
    log: { evaluateEverySteps: 2, picturesEverySteps: 0 },
  });
  const call = { cohort: at('cohort'), out: at(out), configuration, progress };
  if ('folds' in data) await crossValidate(call);
  else await train(call);
  const record = JSON.parse(await readFile(at(out, ...('folds' in data ? ['fold-1'] : []), 'run.json'), 'utf8'));
  return { said: said.join('\n'), warnings: record.warnings as string[] | undefined };
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-seen-'));
  await writeTinyCohort(at('cohort'), 8);
  const ids = (await openCohort(at('cohort'))).subjects.map(({ id }) => id);
  await writeFile(
    at('split.json'),
    JSON.stringify({ training: ids.slice(0, 3), validation: ids.slice(3, 5), test: ids.slice(5) }),
  );
  await pretrained('all', { heldOut: 0 });
  await pretrained('apart', { split: at('split.json') });
  await pretrained('further', { split: at('split.json') }, { init: at('all') });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a training that starts from a run', () => {
  it('says, and keeps, that its pre-training saw who is tested on', async () => {
    const line = `3 of 3 test subjects, or other scans of their patients, are among the images for pre-training (${at('all')}); ${LEAVES_OUT}`;
    const { said, warnings } = await trained('from-all', 'all');
    expect(warnings).toEqual([line]);
    expect(said).toContain(`warning    ${line}`);
    expect((await trained('folds', 'all', { folds: 2, test: 2 })).warnings![0]).toMatch(/^5 of 5 validation and test subjects, /);
    expect((await trained('no-test', 'all', { test: 0 })).warnings![0]).toMatch(/^2 of 2 validation subjects, /);
  });

  it('says nothing where they were left out, or where nothing is known', async () => {
    expect((await trained('from-apart', 'apart', { split: at('split.json') })).warnings).toBeUndefined();
    // a copy of a checkpoint, as `gvsl import` makes models
    await cp(at('all', 'last'), at('copied'), { recursive: true });
    expect((await trained('from-copy', 'copied')).warnings).toBeUndefined();
  });

  it('tells labels that chose its state, labels that taught it, and the model before', async () => {
    const cohort = await openCohort(at('cohort'));
    const held = cohort.subjects.slice(3, 5);
    expect(await seenByInitialModel(at('apart'), cohort, held, 'test subjects')).toEqual([
      `labels of 2 of 2 test subjects, or of other scans of their patients, are among those by which pre-training chooses its best state, from which trainings start (${at('apart')}): their scores are too good to be of unseen subjects; ${LEAVES_OUT}`,
    ]);
    // the last state was chosen by nobody
    expect(await seenByInitialModel(at('apart', 'last'), cohort, held, 'test subjects')).toEqual([]);
    expect(await seenByInitialModel(at('further'), cohort, cohort.subjects.slice(5), 'test subjects')).toEqual([
      expect.stringContaining(`are among the images for pre-training (${at('all')})`),
    ]);
    await trained('taught', 'apart', { split: at('split.json') });
    const [, , taught] = await seenByInitialModel(at('taught'), cohort, cohort.subjects.slice(0, 5), 'test subjects');
    expect(taught).toBe(
      `labels of 5 of 5 test subjects, or of other scans of their patients, are among those that the initial model learnt from or was chosen by (${at('taught')}): their scores are too good to be of unseen subjects`,
    );
  });

  it('says that it does not know where the cohort of the run is gone, and knows one that was moved', async () => {
    await rename(at('cohort'), at('moved'));
    try {
      const moved = await openCohort(at('moved'));
      expect((await seenByInitialModel(at('all'), moved, moved.subjects.slice(0, 2), 'test subjects'))[0]).toContain('2 of 2');
      const other = { ...moved, subjects: moved.subjects.slice(1) };
      expect(await seenByInitialModel(at('all'), other, other.subjects, 'test subjects')).toEqual([
        `whether test subjects are among the subjects that the initial model was trained with is not known: the cohort that its run.json names is not there, or has changed (${at('all')})`,
      ]);
    } finally {
      await rename(at('moved'), at('cohort'));
    }
  });
});
