import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix, win32 } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IDENTITY_3, type Volume, type Xyz } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import type { Cohort } from '../cohort.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { assignClasses, countClasses, describeClasses, foldersAbove } from './classes.ts';
import { openCohort } from './open-cohort.ts';
import { prepareCohort } from './prepare.ts';
import { caseName, casePath, readClasses } from './table.ts';

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
    expect(cohort.problems).toContainEqual({
      source: `${at('scans/labels.csv')}: case 'x'`,
      kind: 'warning',
      message: 'has a class, but there is no such image',
    });
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

  it('that a table contradicts leave an earlier cohort as it was', async () => {
    const call = { source: at('scans'), out: at('kept'), options: OPTIONS };
    await prepareCohort({ ...call, classes: table('good.csv', 'case,label\na,1\n') });
    const bad = table('bad.csv', 'case,label\na,1\na,2\n');
    await expect(prepareCohort({ ...call, classes: bad })).rejects.toThrow('bad.csv, line 3');
    expect(classesOf(await openCohort(at('kept'))).a).toBe('1');
  });

  it('need a table for --class-column, and say how a file is not taken for one', async () => {
    const call = { source: at('maps'), out: at('none'), options: OPTIONS };
    await expect(prepareCohort({ ...call, classColumn: 'sex' })).rejects.toThrow('`classColumn` sex: no table of classes');
    table('maps/classes.csv', 'code,organ\n7,heart\n');
    await expect(prepareCohort(call)).rejects.toThrow('rename it if it is something else');
    rmSync(at('maps/classes.csv'));
  });

  it('are refused by file and line where they contradict themselves', async () => {
    await expect(readClasses(table('t.csv', 'case,label\na,1\na,2\n'))).rejects.toThrow(
      "t.csv, line 3: case 'a' is '2', but was '1' earlier",
    );
    await expect(readClasses(table('t.csv', 'case,age\na,1\n'))).rejects.toThrow(
      "no column 'label' or 'class'; available: case, age",
    );
    await expect(readClasses(table('t.csv', 'case,label\na,\n'))).rejects.toThrow('no case has a label');
    await expect(readClasses(table('t.csv', 'case,label,label\na,1,2\n'))).rejects.toThrow("two columns are named 'label'");
    await expect(readClasses(table('t.csv', 'case,label\na\n'))).rejects.toThrow('not a table in CSV');
    await expect(readClasses(at('none.csv'))).rejects.toThrow('no such file');
    await expect(readClasses(table('t.csv', 'x'.repeat(70_000)))).rejects.toThrow(/found 'x+ \.\.\. x+'$/);
  });
});

describe('rows and images', () => {
  const assign = (classes: Record<string, string>, sources: readonly string[], root = '/data') =>
    assignClasses(
      { path: 't.csv', classes: new Map(Object.entries(classes).map(([name, value]) => [casePath(name), value])) },
      sources.map((source, k) => ({ id: k === 0 ? caseName(source) : `other-${k}`, source })),
      root,
    );

  it('are matched by as many folders as the table has', () => {
    const sources = ['/data/p1/image.nii.gz', '/data/p2/image.nii.gz'];
    const { classes, problems } = assign({ 'p1/image.nii.gz': '0', '.\\p2\\image_0000.nii.gz': '1' }, sources);
    expect(Object.fromEntries(classes)).toEqual({ image: '0', 'other-1': '1' });
    expect(problems).toEqual([]);
    expect(Object.fromEntries(assign({ '/data/p2/image.nii.gz': '1' }, sources).classes)).toEqual({ 'other-1': '1' });
  });

  it('are matched by the folder of a patient, whose images all have the class, but not by folders above the source', () => {
    const sources = ['/data/p1/study/ct.nii.gz', '/data/p1/study2/ct.nii.gz', '/data/p2/ct.nii.gz'];
    const { classes, problems } = assign({ p1: 'ill', p2: 'well', data: 'all' }, sources);
    expect(Object.fromEntries(classes)).toEqual({ ct: 'ill', 'other-1': 'ill', 'other-2': 'well' });
    expect(problems.map(({ source }) => source)).toEqual(["t.csv: case 'data'"]);
  });

  it('are matched by name where the table has folders from elsewhere, if that is one image', () => {
    expect(
      Object.fromEntries(assign({ 'old/a.nii': '1' }, ['/data/imagesTr/a_0000.nii.gz', '/data/imagesTr/b.nii.gz']).classes),
    ).toEqual({
      a: '1',
    });
    expect(assign({ 'p1/ct.nii': '1' }, ['/data/p1/ct.nii', '/data/p3/ct.nii']).classes.size).toBe(1);
  });

  it('are left apart, and said, where a name means several images', () => {
    const { classes, problems } = assign({ image: '1' }, ['/data/p1/image.nii.gz', '/data/p2/image.nii.gz']);
    expect(classes.size).toBe(0);
    expect(problems[0]?.message).toContain('several images have this name (/data/p1/image.nii.gz, /data/p2/image.nii.gz)');
  });

  it('are counted', () => {
    expect(describeClasses(countClasses(['10', '2', null, '2']))).toBe("2 of class '2', 1 of class '10', 1 without a class");
    expect(describeClasses(countClasses([null]))).toBe('');
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
      message: 'listed in datalist.json, but does not exist',
    });
  });

  it('takes one label in a list, and says which labels and channels it leaves out or does not find', async () => {
    const source = list('mixed.json', {
      training: [
        { image: ['scans/a.nii.gz', 'scans/b.nii.gz'], label: [0] },
        { image: at('scans/b.nii.gz'), label: [0, 1] },
        { image: 'scans/c.nii.gz', label: 'maps/gone.nii.gz' },
        { image: 'maps' },
        'scans/._a.nii.gz',
      ],
    });
    const { cohort } = await prepareCohort({ source, out: at('mixed'), options: OPTIONS });
    expect(classesOf(cohort)).toEqual({ a: '0', b: null });
    expect(cohort.problems.filter(({ kind }) => kind !== 'duplicate').map(({ message }) => message)).toEqual([
      'listed in mixed.json, but a folder with 0 DICOM series; expected one',
      'its label maps/gone.nii.gz is listed in mixed.json, but does not exist',
      '2 channels are listed: using the first; choose another with `channel` 0 to 1, or several with `channels`',
      'without its label [0,1]: expected the path of a label map, or one class',
    ]);
  });

  it("and Decathlon's dataset.json use the files where they are listed, and refuse one that is in two sections", async () => {
    mkdirSync(at('decathlon'), { recursive: true });
    const write = (document: unknown): string => table('decathlon/dataset.json', JSON.stringify(document));
    write({ training: [{ image: '../scans/a.nii.gz', label: '../maps/a-structures.nii.gz' }], test: ['../scans/b.nii.gz'] });
    const call = { source: at('decathlon'), out: at('decathlon-cohort'), options: OPTIONS };
    const { cohort, layout } = await prepareCohort(call);
    expect(layout).toBe('Decathlon');
    expect(cohort.subjects.map(({ id, split, labelCodes }) => [id, split, labelCodes])).toEqual([
      ['a', 'train', [0, 7]],
      ['b', 'test', null],
    ]);
    write({ training: [{ image: '../scans/a.nii.gz' }], test: ['../scans/./a.nii.gz'] });
    await expect(prepareCohort(call)).rejects.toThrow('is in training and in test');
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
    const deep = `{"channel_names": [${'['.repeat(20_000)}${']'.repeat(20_000)}]}`;
    await expect(prepare(table('deep.json', deep))).rejects.toThrow('nested more than 64 deep');
  });
});

describe('foldersAbove', () => {
  it.each([
    [posix, '/data', '/data/site/p1/image.nii', ['site/p1', 'site']],
    [posix, '/', '/p1/image.nii', ['p1']],
    [posix, '/data', '/data/image.nii', []],
    [posix, '/data', '/data2/p1/image.nii', []],
    [win32, 'C:\\data', 'C:\\data\\site\\p1\\image.nii', ['site/p1', 'site']],
    [win32, 'C:\\', 'C:\\p1\\image.nii', ['p1']],
    [win32, 'C:\\data', 'D:\\data\\p1\\image.nii', []],
  ])('%#: those in the root, nearest first', (system, root, path, folders) => {
    expect(foldersAbove(root, path, system)).toEqual(folders);
  });
});
