/** A file that is a folder: every reader of texts names it, although the system's error does not. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readPoints } from '../src/apply/node/registration/points.ts';
import { readTransform } from '../src/apply/node/registration/read-transform.ts';
import { openCohort } from '../src/cohort/node/open-cohort.ts';
import { readTable } from '../src/cohort/node/table.ts';
import { readRun } from '../src/report/node/read-run.ts';
import { readMetrics } from '../src/training/node/log/metrics.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-'));
});
afterAll(() => rm(folder, { recursive: true }));

const head = { format: 2, options: { modality: 'mr', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' } };
const cases: Readonly<Record<string, (folder: string) => Promise<unknown>>> = {
  'cohort.json': openCohort,
  'subjects.jsonl': async (there) => {
    await writeFile(join(there, 'cohort.json'), JSON.stringify({ ...head, subjects: 1, problems: 0 }));
    return openCohort(there);
  },
  'metrics.jsonl': (there) => readMetrics(join(there, 'metrics.jsonl')),
  'run.json': async (there) => {
    await writeFile(join(there, 'metrics.jsonl'), '');
    return readRun(there);
  },
  'points.csv': (there) => readPoints(join(there, 'points.csv')),
  'affine.tfm': (there) => readTransform(join(there, 'affine.tfm')),
  'table.csv': (there) => readTable(join(there, 'table.csv')),
};

it.each(Object.entries(cases))('%s', async (name, read) => {
  const there = join(folder, `of-${name}`);
  await mkdir(join(there, name), { recursive: true });
  await expect(read(there)).rejects.toThrow(`${join(there, name)}: a folder; expected a file`);
});
