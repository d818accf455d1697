import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IDENTITY_3, type Volume, type Xyz } from '../geometry/volume.ts';
import { writeImage } from '../images/write.ts';
import type { Cohort, PrepareOptions } from './cohort.ts';
import { prepareCohort } from './prepare.ts';
import { readClasses } from './table.ts';

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const OPTIONS: PrepareOptions = { modality: 'ct', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' };

const scan = (seed: number): Volume => {
  const size: Xyz = [6, 5, 4];
  const data = Int16Array.from({ length: 120 }, (_, i) => ((i * (37 + 2 * seed) + seed * 11) % 1500) - 1000);
  return { geometry: { size, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 }, data };
};
const labels: Volume = { ...scan(0), data: Uint8Array.from({ length: 120 }, (_, i) => (i % 6 < 2 ? 7 : 0)) };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gvsl-classes-'));
  for (const [k, name] of ['a', 'b', 'c'].entries()) await writeImage(at('scans', `${name}.nii.gz`), scan(k));
  await writeImage(at('maps', 'a-structures.nii.gz'), labels);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const classesOf = ({ subjects }: Cohort): Record<string, string | null> =>
  Object.fromEntries(subjects.map((subject) => [subject.id, subject.class]));
const table = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};

describe('classes of subjects', () => {
  it('come from labels.csv in the source, and change without preparing anew', async () => {
    table('scans/labels.csv', '\uFEFFcase,label\r\na.nii.gz,"ill, badly"\r\nb_0000,0\r\nx,1\r\n');
    const { cohort } = await prepareCohort({ source: at('scans'), out: at('first'), options: OPTIONS });
    expect(classesOf(cohort)).toEqual({ a: 'ill, badly', b: '0', c: null });
    expect(cohort.problems.map(({ message }) => message)).toContain("case 'x' has a class, but there is no such image");
    const other = table('other.csv', 'id,age,outcome\na,40,1\nb,50,\nc,60,2\n');
    const again = await prepareCohort({
      source: at('scans'),
      out: at('first'),
      options: OPTIONS,
      classes: other,
      classColumn: 'outcome',
    });
    expect(again.kept).toBe(3);
    expect(classesOf(again.cohort)).toEqual({ a: '1', b: null, c: '2' });
  });

  it('are refused by file and line where they contradict themselves', async () => {
    await expect(readClasses(table('t.csv', 'case,label\na,1\na,2\n'))).rejects.toThrow(
      "t.csv, line 3: case 'a' is '2', but was '1' before",
    );
    await expect(readClasses(table('t.csv', 'case,age\na,1\n'))).rejects.toThrow(
      "no column 'label' or 'class'; there are case, age",
    );
    await expect(readClasses(table('t.csv', 'case,label\na,\n'))).rejects.toThrow('no case has a label');
    await expect(readClasses(table('t.csv', 'case,label,label\na,1,2\n'))).rejects.toThrow("two columns are named 'label'");
    await expect(readClasses(table('t.csv', 'case,label\na\n'))).rejects.toThrow('not a table in CSV');
    await expect(readClasses(at('none.csv'))).rejects.toThrow('cannot be read');
  });
});

describe("MONAI's datalist", () => {
  const list = (name: string, document: unknown): string => table(name, JSON.stringify(document));

  it('gives images, label maps, classes and splits', async () => {
    const source = list('datalist.json', {
      training: [{ image: 'scans/a.nii.gz', label: 'maps/a-structures.nii.gz' }],
      validation: [{ image: ['scans/b.nii.gz'], label: 1, fold: 0 }],
      testing: [{ image: 'scans/c.nii.gz', label: 'healthy' }, { image: 'scans/gone.nii.gz' }],
    });
    const { cohort, layout } = await prepareCohort({ source, out: at('monai'), options: OPTIONS });
    expect(layout).toBe('MONAI');
    expect(cohort.subjects.map(({ id, split, class: name, labelCodes }) => [id, split, name, labelCodes])).toEqual([
      ['a', 'train', null, [0, 7]],
      ['b', 'train', '1', null],
      ['c', 'test', 'healthy', null],
    ]);
    expect(cohort.problems).toContainEqual({
      source: at('scans/gone.nii.gz'),
      kind: 'refused',
      message: 'listed in datalist.json, but not there',
    });
  });

  it('refuses a subject in two sections, and a file that is none', async () => {
    const twice = list('twice.json', { training: [{ image: 'scans/a.nii.gz' }], test: ['scans/a.nii.gz'] });
    const prepare = (source: string) => prepareCohort({ source, out: at('refused'), options: OPTIONS });
    await expect(prepare(twice)).rejects.toThrow('is in training and in test');
    await expect(prepare(list('empty.json', { images: [] }))).rejects.toThrow(
      'expected lists named training, validation or test; found images',
    );
    await expect(prepare(list('odd.json', { training: [{ label: 1 }] }))).rejects.toThrow(
      'training[0]: expected an "image" with a path',
    );
    await expect(prepare(table('broken.json', '{'))).rejects.toThrow('not JSON');
  });
});
