import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyModel } from '../../model/node/interchange/testing/tiny-model.ts';
import { writeTinyCohort } from '../../training/testing/tiny-cohort.ts';
import { suggestSubjects } from './suggest.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const preprocessing = {
  modality: 'mr',
  spacingMm: [2, 2, 2] as [number, number, number],
  intensity: 'minmax',
  crop: 'none',
} as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-suggest-'));
  await writeTinyCohort(at('cohort'), 5);
  await writeTinyModel(at('model'), {}, { preprocessing, patch: [16, 16, 16] });
  await writeTinyModel(at('other'), {}, { preprocessing: { ...preprocessing, spacingMm: [1, 1, 1] }, patch: [16, 16, 16] });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('suggestSubjects', () => {
  const call = (changes: object = {}) =>
    suggestSubjects({ cohort: at('cohort'), model: at('model'), out: at('next'), n: 2, labelled: [], threads: 1, ...changes });

  it('suggests the same subjects every time, as table, document and picture', async () => {
    const report = await call();
    expect(report).toMatchObject({
      subjects: 5,
      labelled: 0,
      strategy: 'coverage',
      files: ['suggest.csv', 'suggest.json', 'suggest.png'],
    });
    expect(report.suggested.map(({ rank }) => rank)).toEqual([1, 2]);
    expect(report.suggested[0].distance).toBe(null);
    expect((await call({ threads: 2 })).suggested).toEqual(report.suggested);
    const lines = (await readFile(at('next', 'suggest.csv'), 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[1].split(',').slice(0, 3)).toEqual(['1', report.suggested[0].id, '']);
    expect((await readFile(at('next', 'suggest.png'))).subarray(1, 4).toString()).toBe('PNG');
    const { places } = JSON.parse(await readFile(at('next', 'suggest.json'), 'utf8'));
    expect(places).toHaveLength(5);
    // what is labelled is not suggested, and counts
    const after = await call({ labelled: report.suggested.map(({ id }) => id), n: 3 });
    expect(after.meanDistance.before).toBeCloseTo(report.meanDistance.after, 12);
    expect(after.meanDistance.after).toBe(0);
  });

  it('is refused with what is wrong', async () => {
    await expect(call({ n: 6 })).rejects.toThrow(/^`n` 6: .* has 5 subjects, of which 5 can be suggested/);
    await expect(call({ n: 0 })).rejects.toThrow('expected a whole number from 1');
    await expect(call({ labelled: undefined })).rejects.toThrow(/0 can be suggested \(5 are labelled\); name those/);
    await expect(call({ labelled: ['nobody'] })).rejects.toThrow("no subject 'nobody'");
    await expect(call({ out: at('cohort', 'next') })).rejects.toThrow('would be written into the cohort');
    await expect(call({ model: at('other') })).rejects.toThrow(/was prepared otherwise .*spacingMm 2,2,2, expected 1,1,1/);
  });
});
