import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isNegative, splitForTask, type TaskSplit } from '../training/node/task/split.ts';
import { splitCohort, testCases } from '../training/split.ts';
import { transferConfigurationSchema } from '../training/task/configuration.ts';
import { writeTinyCohort } from '../training/testing/tiny-cohort.ts';
import type { Cohort, Subject } from './cohort.ts';
import { openCohort } from './node/open-cohort.ts';
import { groupedByPatient } from './patients.ts';

let root: string;
let cohort: Cohort;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gvsl-patients-'));
  await writeTinyCohort(join(root, 'cohort'), 12, 4);
  cohort = await openCohort(join(root, 'cohort'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const changed = (change: (subject: Subject, k: number) => Partial<Subject>): Cohort => ({
  ...cohort,
  subjects: cohort.subjects.map((subject, k) => ({ ...subject, ...change(subject, k) })),
});
const configured = (data: object, seed = 1) => transferConfigurationSchema.parse({ task: 'segmentation', seed, data });
const patientsOf = (subjects: readonly Subject[]): Set<string | null> => new Set(subjects.map(({ patient }) => patient));
const isApart = (...parts: (readonly Subject[])[]): boolean => {
  const all = parts.flatMap((part) => [...patientsOf(part)]);
  return new Set(all).size === all.length;
};

describe('scans of one patient', () => {
  it('are one group, and subjects of unknown patients are groups of their own', () => {
    const some = ['a', null, 'b', 'a', null].map((patient, k) => ({ patient, k }));
    expect(groupedByPatient(some).map((group) => group.map(({ k }) => k))).toEqual([[0, 3], [1], [2], [4]]);
  });

  it('are on one side of every split', async () => {
    const several = changed((_, k) => ({ patient: `p${Math.floor(k / 3)}` }));
    for (let seed = 1; seed <= 20; seed++) {
      const { training, heldOut } = splitCohort(several, 0.2, seed);
      expect(training.length + heldOut.length).toBe(12);
      expect(heldOut.length).toBe(3);
      expect(isApart(training, heldOut)).toBe(true);
      const split = await splitForTask(several, configured({ test: 0.2, validation: 0.2, splitSeed: seed }));
      expect(isApart(split.training, split.validation, split.test)).toBe(true);
      const folds = await Promise.all(
        [1, 2, 3].map((fold) => splitForTask(several, configured({ test: 0, folds: 3, fold, splitSeed: seed }))),
      );
      for (const fold of folds) expect(isApart(fold.training, fold.validation)).toBe(true);
      expect(folds.flatMap(({ validation }) => validation.map(({ id }) => id)).sort()).toEqual(
        several.subjects.map(({ id }) => id).sort(),
      );
    }
    expect(() =>
      splitCohort(
        changed(() => ({ patient: 'one' })),
        0.2,
        1,
      ),
    ).toThrow('so few patients');
  });

  it('of test cases of the source neither train, nor choose, nor are test cases', async () => {
    const several = changed((_, k) => ({ patient: `p${Math.floor(k / 3)}`, split: k % 6 === 0 ? 'test' : 'train' }));
    const of = (...patients: number[]): string[] =>
      several.subjects.filter((_, k) => patients.includes(Math.floor(k / 3))).map(({ id }) => id);
    for (const data of [
      { test: 0, validation: 2 },
      { test: 0, folds: 2, fold: 1 },
    ]) {
      const { training, validation, test } = await splitForTask(several, configured(data));
      expect(test.map(({ id }) => id)).toEqual(['tiny_0', 'tiny_6']);
      expect([...training, ...validation].map(({ id }) => id).sort()).toEqual(of(1, 3).sort());
      expect(isApart(training, validation, test)).toBe(true);
    }
    expect(testCases(several).others.map(({ id }) => id)).toEqual(of(1, 3));
  });

  it('change nothing where each has one', async () => {
    const single = changed((_, k) => ({ patient: `p${k}` }));
    const ids = (split: TaskSplit): string[][] => Object.values(split).map((part) => part.map(({ id }: Subject) => id));
    for (let seed = 1; seed <= 10; seed++) {
      const idsOf = (of: Cohort) => splitCohort(of, 0.25, seed).heldOut.map(({ id }) => id);
      expect(idsOf(single)).toEqual(idsOf(cohort));
      for (const data of [
        { test: 0.2, validation: 3 },
        { test: 2, folds: 4, fold: 2 },
      ])
        expect(ids(await splitForTask(single, configured({ ...data, splitSeed: seed })))).toEqual(
          ids(await splitForTask(cohort, configured({ ...data, splitSeed: seed }))),
        );
    }
  });

  it('in two parts of a file are refused by name', async () => {
    const path = join(root, 'split.json');
    writeFileSync(path, JSON.stringify({ training: ['tiny_0', 'tiny_2'], validation: ['tiny_1'] }));
    const several = changed((_, k) => ({ patient: `p${Math.floor(k / 2)}` }));
    await expect(splitForTask(several, configured({ split: path }))).rejects.toThrow(
      "'tiny_0' in training and 'tiny_1' in validation are scans of one patient (p0)",
    );
  });
});

describe('empty label maps', () => {
  it('are negatives that are trained and tested with', async () => {
    const some = changed((_, k) => (k % 2 === 0 ? { labelCodes: [0] } : {}));
    const split = await splitForTask(some, configured({ test: 2, validation: 2 }));
    const all = Object.values(split).flat();
    expect(all).toHaveLength(12);
    expect(all.filter(isNegative)).toHaveLength(6);
    // each part has its share of both
    for (let splitSeed = 1; splitSeed <= 10; splitSeed++) {
      const parts = await splitForTask(some, configured({ test: 2, validation: 2, splitSeed, labels: 2 }));
      for (const part of Object.values(parts)) expect(part.filter(isNegative)).toHaveLength(1);
      const one = await splitForTask(some, configured({ test: 1, validation: 0, splitSeed, labels: 1 }));
      expect([...one.test, ...one.training].some(isNegative)).toBe(false);
    }
    const without = changed((_, k) => (k < 4 ? { labelCodes: null } : {}));
    expect(Object.values(await splitForTask(without, configured({}))).flat()).toHaveLength(8);
  });
});

it('each part of a classification has its share of every class, however rare', async () => {
  const classes = (rare: number) => changed((_, k) => ({ class: k % (12 / rare) === 0 ? 'ill' : 'healthy' }));
  const split = (of: Cohort, data: object, seed: number) =>
    splitForTask(of, transferConfigurationSchema.parse({ task: 'classification', seed, data }));
  const ill = (part: readonly Subject[]): number => part.filter(({ class: name }) => name === 'ill').length;
  for (let seed = 1; seed <= 10; seed++) {
    const half = await split(classes(6), { test: 4, validation: 2, labels: 4, splitSeed: seed }, seed);
    expect([half.test, half.validation, half.training].map(ill)).toEqual([2, 1, 2]);
    const few = await split(classes(3), { test: 3, validation: 3, labels: 2, splitSeed: seed }, seed);
    expect([few.test, few.validation, few.training].map(ill)).toEqual([1, 1, 1]);
    // smaller subsets are nested in larger ones
    const more = await split(classes(3), { test: 3, validation: 3, labels: 4, splitSeed: seed }, seed);
    expect(more.training.slice(0, 2)).toEqual(few.training);
  }
});
