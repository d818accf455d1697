import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Cohort, Subject } from '../../cohort/cohort.ts';
import { openCohort } from '../../cohort/node/open-cohort.ts';
import { writeCohort } from '../../cohort/node/write-cohort.ts';
import { writeTinyCohort } from '../testing/tiny-cohort.ts';
import { pretrainFacts } from './pretraining-facts.ts';
import { parseConfiguration } from './read-configuration.ts';
import { splitOfPretraining } from './split-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-facts-'));
  await writeTinyCohort(join(folder, 'cohort'), 8, 8);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const tiny = (...numbers: number[]): string[] => numbers.map((k) => `tiny_${k}`);
async function splitFile(document: unknown): Promise<string> {
  const file = join(folder, 'split.json');
  await writeFile(file, JSON.stringify(document));
  return file;
}
const facts = async (document: unknown, heldOut = 2) =>
  pretrainFacts(
    join(folder, 'cohort'),
    parseConfiguration({ data: { patch: 8, heldOut, split: await splitFile(document) } }, [], 'test'),
  );

it('a split from a file leaves its test subjects out, holds its validation subjects out, and trains with all others', async () => {
  const found = await facts({ training: tiny(0), validation: tiny(5, 2), test: tiny(7, 1) });
  expect(found.facts.split).toEqual({ training: tiny(0, 3, 4, 6), heldOut: tiny(2, 5), test: tiny(1, 7) });
  expect(found.training.map(({ id }) => id)).toEqual(tiny(0, 3, 4, 6));
});

it('without validation subjects, held-out ones are drawn from those that are left', async () => {
  const { split } = (await facts({ training: tiny(0, 3), test: tiny(1, 7) })).facts;
  expect(split.test).toEqual(tiny(1, 7));
  expect(split.heldOut).toHaveLength(2);
  expect([...split.training, ...split.heldOut].sort()).toEqual(tiny(0, 2, 3, 4, 5, 6));
});

it("test cases of the source that can be judged by are left out with their patients' scans; those without labels are images like others", async () => {
  const cohort = await openCohort(join(folder, 'cohort'));
  const changed: Partial<Subject>[] = [
    { split: 'test', patient: 'a' },
    { patient: 'a' },
    { split: 'test', labelCodes: null, landmarks: [], class: null },
  ];
  const write = async (name: string, subjects: readonly Subject[]) => {
    await mkdir(join(folder, name));
    await writeCohort({ ...cohort, folder: join(folder, name), subjects });
  };
  const found = async (name: string, data = {}) =>
    (await pretrainFacts(join(folder, name), parseConfiguration({ data: { patch: 8, heldOut: 2, ...data } }, [], 'test'))).facts
      .split;
  await write(
    'with-tests',
    cohort.subjects.map((subject, k) => ({ ...subject, ...changed[k] })),
  );
  const { training, heldOut, test } = await found('with-tests');
  expect(test).toEqual(tiny(0, 1));
  expect([...training, ...heldOut].sort()).toEqual(tiny(2, 3, 4, 5, 6, 7));
  expect(training).toContain('tiny_2');

  await write(
    'tests-alone',
    cohort.subjects.map((subject, k) => ({ ...subject, split: k === 0 ? 'train' : 'test' })),
  );
  await expect(found('tests-alone')).rejects.toThrow(
    /7 of its 8 subjects are test cases of the source .* 1 are left for training; at least 2 are needed: .*`data.split`/,
  );
  const file = await splitFile({ training: tiny(0), validation: tiny(1, 2), test: tiny(3) });
  expect((await found('tests-alone', { split: file })).training).toEqual(tiny(0, 4, 5, 6, 7));
});

it("a patient's scans stay together: what the file does not name goes where the patient's named scan is", async () => {
  const cohort = await openCohort(join(folder, 'cohort'));
  const patients = ['a', 'b', 'c', 'd', null, 'a', 'b', null];
  const grouped: Cohort = { ...cohort, subjects: cohort.subjects.map((subject, k) => ({ ...subject, patient: patients[k] })) };
  const split = await splitOfPretraining(await splitFile({ training: tiny(3), validation: tiny(1), test: tiny(5) }), grouped);
  const ids = Object.fromEntries(Object.entries(split).map(([part, subjects]) => [part, subjects.map(({ id }) => id)]));
  expect(ids).toEqual({ training: tiny(2, 3, 4, 7), heldOut: tiny(1, 6), test: tiny(0, 5) });
});

it('says what is wrong with a split: subjects that are not there, or twice, and too few that are left', async () => {
  await expect(facts({ training: tiny(0), test: ['tiny_9'] })).rejects.toThrow(
    /`data\.split` .*split\.json: test: there is no subject 'tiny_9' in .*cohort/,
  );
  await expect(facts({ training: tiny(0), test: tiny(0) })).rejects.toThrow(/subject 'tiny_0' is in training and in test/);
  await expect(facts({ training: tiny(0), validation: tiny(1, 2, 3), test: tiny(4, 5, 6, 7) })).rejects.toThrow(
    /leaves 1 of 8 subjects for training; at least 2 are needed/,
  );
  await expect(facts([])).rejects.toThrow(/split\.json: found a list of 0; expected \{"training": \[ids\]/);
});
