/** Parts of a preparation, merged: the same bytes as in one go. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { UsageError } from '../../common/errors.ts';
import type { Geometry } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import { partOf } from '../../platform/node/parts.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { openCohort, shardOf } from './open-cohort.ts';
import { type PrepareCall, prepareCohort } from './prepare.ts';

const OPTIONS: PrepareOptions = { modality: 'ct', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' };
const GRID: Geometry = { size: [9, 8, 7], spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
const N = 4;

let root: string;
const at = (...names: string[]): string => join(root, ...names);
const prepare = (out: string, more: Partial<PrepareCall> = {}) =>
  prepareCohort({ source: at('source'), out: at(out), options: OPTIONS, ...more });
const part = (index: number, of = N) => ({ part: { index, of } });

const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    (readdirSync(folder, { recursive: true }) as string[])
      .sort()
      .flatMap((name) =>
        statSync(join(folder, name)).isFile() ? [[name, readFileSync(join(folder, name)).toString('base64')]] : [],
      ),
  );

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gvsl-parts-'));
  mkdirSync(at('source'));
  const scan = (k: number) => Int16Array.from({ length: 504 }, (_, i) => (i % 2 ? 40 : -1000) + ((i * 37 + k * 61) % 300));
  for (let k = 0; k < 9; k++) await writeImage(at('source', `p${k}`, 'ct.nii'), { geometry: GRID, data: scan(k) });
  // a twin, an image that is named like a label map, a label map, a refused one, a damaged one
  await writeImage(at('source', 'twin.nii'), { geometry: GRID, data: scan(3) });
  await writeImage(at('source', 'p1', 'ct_late.nii'), { geometry: GRID, data: scan(20) });
  await writeImage(at('source', 'p2', 'ct_late.nii'), { geometry: GRID, data: scan(21) });
  await writeImage(at('source', 'p2', 'ct_seg.nii'), { geometry: GRID, data: new Uint8Array(504).fill(1, 100, 200) });
  await writeImage(at('source', 'flat.nii'), { geometry: GRID, data: new Int16Array(504) });
  writeFileSync(at('source', 'bad.nii.gz'), 'no image');
  writeFileSync(at('source', 'labels.csv'), 'case,label\np1,a\ntwin,b\nnobody,c\n');
  await prepare('whole');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

it('merged, they are what one call makes: order, hashes, classes, problems; parts may run twice, at once, and in any order', async () => {
  for (const index of [4, 2, 1]) await prepare('parts', part(index));
  await expect(prepare('parts', { merge: true })).rejects.toThrow(
    /images are not prepared \(.*\)\. Run again: `part` 3\/4 \(not begun\); then merge/,
  );
  await Promise.all([prepare('parts', part(3)), prepare('parts', part(3))]);
  await prepare('parts', part(2));
  const { cohort, kept } = await prepare('parts', { merge: true });
  expect(filesOf(at('parts'))).toEqual(filesOf(at('whole')));
  expect(cohort.problems.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['refused', 'duplicate', 'warning']));
  expect(cohort.subjects.map(({ id }) => id)).toEqual(expect.arrayContaining(['twin', 'ct_late', 'p2_ct_late']));
  expect(kept).toBeGreaterThan(cohort.subjects.length);
  // a late second run of a part leaves the cohort as it is
  await prepare('parts', part(3));
  rmSync(at('parts', 'parts'), { recursive: true });
  expect(filesOf(at('parts'))).toEqual(filesOf(at('whole')));
  // and so does merging what was prepared in one go
  await prepare('parts', { merge: true });
  expect(filesOf(at('parts'))).toEqual(filesOf(at('whole')));
});

it('a part does its own subjects alone, and reports them', async () => {
  const { cohort } = await prepare('one', part(1));
  const ids = (await openCohort(at('whole'))).subjects.map(({ id }) => id).filter((id) => !id.endsWith('late'));
  expect(cohort.subjects.map(({ id }) => id).filter((id) => !id.endsWith('late'))).toEqual(
    ids.filter((id) => partOf(id, N) === 1),
  );
  await expect(openCohort(at('one'))).rejects.toThrow(/no cohort\.json/);
});

it('parts with other options, and a merge with others, are refused by the names of the options', async () => {
  await prepare('other', part(1, 1));
  const options: PrepareOptions = { ...OPTIONS, spacingMm: [2, 2, 2] };
  const refused = /part 1\/1 was prepared with other options: `spacingMm`: was \[1,1,1\], now \[2,2,2\]/;
  await expect(prepare('other', { ...part(2, 3), options })).rejects.toThrow(refused);
  await expect(prepare('other', { merge: true, options })).rejects.toThrow(refused);
  await expect(prepare('other', { merge: true, ...part(1) })).rejects.toThrow(UsageError);
  await prepare('other', { merge: true });
  await expect(prepare('other', { ...part(2, 3), options })).rejects.toThrow(
    /holds a cohort that was prepared with other options/,
  );
});

it('a file that has changed since is named with its part, whose next run withdraws the cohort', async () => {
  await prepare('changed', part(1, 1));
  await prepare('changed', { merge: true });
  await prepare('changed', part(1, 1));
  const path = at('source', 'twin.nii');
  utimesSync(path, 1000, 1000);
  await expect(prepare('changed', { merge: true })).rejects.toThrow(
    /1 image is not prepared \(twin\)\. Run again: `part` 1\/1 \(done, but files have changed since\)/,
  );
  await openCohort(at('changed'));
  await prepare('changed', part(1, 1));
  await expect(openCohort(at('changed'))).rejects.toThrow(/no cohort\.json/);
  expect(readdirSync(at('changed', 'subjects', shardOf('twin')))).toContain('twin.json');
  await prepare('changed', { merge: true });
  await openCohort(at('changed'));
});
