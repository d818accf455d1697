import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { cornerDistanceMm } from '../../geometry/affine.ts';
import type { Geometry, Volume, Xyz, Zyx } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import { type Cohort, type Subject, toVoxelZyx } from '../cohort.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { readCrop, readLabelCrop, readWhole } from './crops.ts';
import { findSubjects } from './find-subjects.ts';
import { imagePath, labelPath, openCohort } from './open-cohort.ts';
import { prepareCohort } from './prepare.ts';

const DATA = process.env.GVSL_DATA ?? resolve(import.meta.dirname, '../../../shared/data');
const root = mkdtempSync(join(tmpdir(), 'gvsl-cohort-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const OPTIONS: PrepareOptions = { modality: 'ct', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' };
const GRID: Geometry = {
  size: [12, 10, 8],
  spacingMm: [1, 1, 1],
  originMm: [5, -7, 20],
  direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1],
};

/** Whole Hounsfield units, different at every voxel of a row and a slice. */
const hounsfield = (grid: Geometry, seed = 0): Volume => ({
  geometry: grid,
  data: Int16Array.from(
    { length: grid.size[0] * grid.size[1] * grid.size[2] },
    (_, i) => ((i * (37 + 2 * seed) + seed) % 1500) - 1000,
  ),
});
const labels = (grid: Geometry): Volume => ({
  geometry: grid,
  data: Uint16Array.from({ length: grid.size[0] * grid.size[1] * grid.size[2] }, (_, i) =>
    i % 12 < 4 ? 0 : i % 12 < 8 ? 205 : 850,
  ),
});
const markups = (positions: readonly Xyz[], coordinateSystem: string): string =>
  JSON.stringify({
    markups: [
      { type: 'Fiducial', coordinateSystem, controlPoints: positions.map((position, k) => ({ label: `P${k}`, position })) },
    ],
  });

/** An nnU-Net folder of three subjects, two labelled, one of them with landmarks. */
async function makeNnunet(folder: string): Promise<void> {
  for (const [k, id] of ['a', 'b', 'c'].entries())
    await writeImage(join(folder, 'imagesTr', `${id}_0000.nii.gz`), hounsfield(GRID, k));
  for (const id of ['a', 'b']) await writeImage(join(folder, 'labelsTr', `${id}.nii.gz`), labels(GRID));
  mkdirSync(join(folder, 'landmarksTr'));
  writeFileSync(
    join(folder, 'landmarksTr', 'a.mrk.json'),
    markups(
      [
        [5, -7, 20],
        [3, -10, 24],
      ],
      'LPS',
    ),
  );
  writeFileSync(join(folder, 'imagesTr', '._a_0000.nii.gz'), 'not an image');
  writeFileSync(
    join(folder, 'dataset.json'),
    JSON.stringify({ channel_names: { 0: 'CT' }, labels: { background: 0, heart: 205 }, file_ending: '.nii.gz' }),
  );
}

/** The expected content of a crop, voxel by voxel. */
function cropOf(whole: ArrayLike<number>, shape: Zyx, start: Zyx, size: Zyx): number[] {
  const out: number[] = [];
  for (let z = start[0]; z < start[0] + size[0]; z++)
    for (let y = start[1]; y < start[1] + size[1]; y++)
      for (let x = start[2]; x < start[2] + size[2]; x++) {
        const inside = z >= 0 && y >= 0 && x >= 0 && z < shape[0] && y < shape[1] && x < shape[2];
        out.push(inside ? whole[(z * shape[1] + y) * shape[2] + x] : 0);
      }
  return out;
}

describe('an nnU-Net folder', () => {
  const source = join(root, 'nnunet');
  const out = join(root, 'nnunet-cohort');
  let cohort: Cohort;
  let [a, b, c]: Subject[] = [];
  beforeAll(async () => {
    await makeNnunet(source);
    await prepareCohort({ source, out, options: OPTIONS });
    cohort = await openCohort(out);
    [a, b, c] = cohort.subjects;
  });

  it('becomes subjects with labels and landmarks, and no problems', () => {
    expect(cohort.subjects.map((s) => s.id)).toEqual(['a', 'b', 'c']);
    expect([a.labelCodes, b.labelCodes, c.labelCodes]).toEqual([[0, 205, 850], [0, 205, 850], null]);
    expect(a.landmarks.map((l) => l.name)).toEqual(['P0', 'P1']);
    expect(cohort.problems).toEqual([]);
    expect(cornerDistanceMm(a.geometry, GRID)).toBeLessThan(1e-4);
  });

  it('keeps every Hounsfield unit and label code', async () => {
    const stored = await readWhole(cohort, b);
    expect(Array.from(stored, (v) => v * 2048 - 1024)).toEqual(Array.from(hounsfield(GRID, 1).data));
    expect(Array.from((await readLabelCrop(cohort, b, [0, 0, 0], [8, 10, 12]))!)).toEqual(Array.from(labels(GRID).data));
    expect(await readLabelCrop(cohort, c, [0, 0, 0], [1, 1, 1])).toBeNull();
  });

  it('is plain .npy, as numpy writes it', () => {
    const bytes = readFileSync(imagePath({ folder: out }, a));
    expect(bytes.toString('latin1', 0, 8)).toBe('\x93NUMPY\x01\x00');
    expect(bytes.toString('latin1', 10)).toMatch(/^\{'descr': '<f2', 'fortran_order': False, 'shape': \(8, 10, 12\), \} *\n/);
    expect((bytes.length - 2 * 960) % 64).toBe(0);
    expect(readFileSync(labelPath({ folder: out }, a)).toString('latin1', 10)).toMatch(/'<u2'/);
  });

  it('reads crops inside, across borders and wholly outside', async () => {
    const whole = await readWhole(cohort, a);
    const codes = (await readLabelCrop(cohort, a, [0, 0, 0], [8, 10, 12]))!;
    const crops: [Zyx, Zyx][] = [
      [
        [2, 3, 4],
        [3, 4, 5],
      ],
      [
        [-2, -3, -4],
        [5, 6, 7],
      ],
      [
        [6, 8, 9],
        [5, 6, 7],
      ],
      [
        [-1, -1, -1],
        [10, 12, 14],
      ],
      [
        [8, 0, 0],
        [2, 2, 2],
      ],
      [
        [0, 0, -5],
        [2, 2, 5],
      ],
    ];
    for (const [start, size] of crops) {
      expect(Array.from(await readCrop(cohort, a, start, size))).toEqual(cropOf(whole, [8, 10, 12], start, size));
      expect(Array.from((await readLabelCrop(cohort, a, start, size))!)).toEqual(cropOf(codes, [8, 10, 12], start, size));
    }
  });

  it('maps landmarks to voxels of the stored grid', () => {
    const near = (got: Zyx, want: Zyx): void => {
      for (const k of [0, 1, 2]) expect(got[k]).toBeCloseTo(want[k], 4);
    };
    near(toVoxelZyx(a.geometry, a.landmarks[0].positionMm), [0, 0, 0]);
    // 2 mm to the right, 3 to the front, 4 up: axes run to R, A, S
    near(toVoxelZyx(a.geometry, a.landmarks[1].positionMm), [4, 3, 2]);
  });

  it('is not prepared again, unless options or files change', async () => {
    const time = statSync(imagePath({ folder: out }, a)).mtimeMs;
    const texts = (): string[] => ['cohort.json', 'subjects.jsonl'].map((name) => readFileSync(join(out, name), 'utf8'));
    const before = texts();
    expect((await prepareCohort({ source, out, options: OPTIONS })).kept).toBe(3);
    expect(statSync(imagePath({ folder: out }, a)).mtimeMs).toBe(time);
    expect(texts()).toEqual(before);
    truncateSync(imagePath({ folder: out }, b), 500);
    expect((await prepareCohort({ source, out, options: OPTIONS })).kept).toBe(2);
    const sized = await prepareCohort({ source, out, options: { ...OPTIONS, size: [16, 6, 8] } });
    expect(sized.kept).toBe(0);
    const [subject] = sized.cohort.subjects;
    expect(subject.geometry.size).toEqual([16, 6, 8]);
    // landmarks keep their anatomical place: the padding put 2 voxels before x, the crop took 2 off y
    toVoxelZyx(subject.geometry, subject.landmarks[0].positionMm).forEach((v, k) => {
      expect(v).toBeCloseTo([0, -2, 2][k], 4);
    });
    await prepareCohort({ source, out, options: OPTIONS });
  });

  it('refuses damaged stores by name', async () => {
    const damaged = join(root, 'damaged');
    cpSync(out, damaged, { recursive: true });
    const opened = await openCohort(damaged);
    truncateSync(imagePath({ folder: damaged }, a), 1000);
    await expect(readWhole(opened, a)).rejects.toThrow(/a\.npy: 1000 bytes, but its header says .*truncated/);
    writeFileSync(imagePath({ folder: damaged }, b), 'junk');
    await expect(readWhole(opened, b)).rejects.toThrow(RunError);
    rmSync(imagePath({ folder: damaged }, c));
    await expect(readWhole(opened, c)).rejects.toThrow(/c\.npy: cannot be opened/);
    mkdirSync(imagePath({ folder: damaged }, c));
    await expect(readWhole(opened, c)).rejects.toThrow(/c\.npy: not a file/);
    rmSync(imagePath({ folder: damaged }, c), { recursive: true });
    cpSync(labelPath({ folder: damaged }, a), imagePath({ folder: damaged }, c));
    await expect(readWhole(opened, c)).rejects.toThrow(/expected <f2/);
    writeFileSync(
      join(damaged, 'cohort.json'),
      readFileSync(join(out, 'cohort.json'), 'utf8').replace('"spacingMm"', '"spacing"'),
    );
    await expect(openCohort(damaged)).rejects.toThrow(/cohort\.json: options\.spacingMm/);
    writeFileSync(join(damaged, 'cohort.json'), '{');
    await expect(openCohort(damaged)).rejects.toThrow(/not JSON/);
    cpSync(join(out, 'cohort.json'), join(damaged, 'cohort.json'));
    const lines = readFileSync(join(out, 'subjects.jsonl'), 'utf8');
    const withLines = (text: string): Promise<unknown> => {
      writeFileSync(join(damaged, 'subjects.jsonl'), text);
      return openCohort(damaged);
    };
    await expect(withLines(lines.slice(0, lines.lastIndexOf('\n', lines.length - 2) + 1))).rejects.toThrow(
      /subjects\.jsonl: 2 lines.*says 3; copy/,
    );
    await expect(withLines(lines.slice(0, -20))).rejects.toThrow(/subjects\.jsonl:3: not JSON/);
    await expect(withLines(lines.replace('"id":"b"', '"id":"../b"'))).rejects.toThrow(/subjects\.jsonl:2: id: .*"\.\.\/b"/);
    await expect(withLines(lines.replace('"split":"train"', '"split":"tain"'))).rejects.toThrow(
      /:1: split: expected train or test, found "tain"/,
    );
    await expect(withLines(lines.replace('"spacingMm":[1', '"spacingMm":[0'))).rejects.toThrow(
      /sourceGeometry\.spacingMm: expected/,
    );
    await expect(withLines(lines.replace(/"size":\[\d+,/, '"size":['))).rejects.toThrow(/sourceGeometry\.size: expected three/);
    rmSync(join(damaged, 'subjects.jsonl'));
    await expect(openCohort(damaged)).rejects.toThrow(/subjects\.jsonl: missing/);
    await expect(openCohort(source)).rejects.toThrow(/no cohort\.json/);
    await expect(openCohort(join(root, 'absent'))).rejects.toThrow(/no such folder/);
  });
});

describe('a cohort of form 1, with its subjects in cohort.json and its volumes side by side', () => {
  it('is read as it is, and brought into the new form by the same call', async () => {
    const [source, out, older] = ['nnunet', 'nnunet-cohort', 'form-1'].map((name) => join(root, name));
    const { options, subjects, problems } = await openCohort(out);
    mkdirSync(older);
    writeFileSync(join(older, 'cohort.json'), JSON.stringify({ format: 1, options, subjects, problems }));
    for (const kind of ['images', 'labels', 'subjects'])
      for (const name of readdirSync(join(out, kind), { recursive: true }) as string[])
        if (/\./.test(name)) cpSync(join(out, kind, name), join(older, kind, basename(name)));
    const opened = await openCohort(older);
    expect(opened.subjects).toEqual(subjects);
    const whole = await readWhole(opened, opened.subjects[0]);
    expect((await prepareCohort({ source, out: older, options: OPTIONS })).kept).toBe(3);
    expect(readFileSync(join(older, 'subjects.jsonl'))).toEqual(readFileSync(join(out, 'subjects.jsonl')));
    const now = await openCohort(older);
    expect(await readWhole(now, now.subjects[0])).toEqual(whole);
    expect(readdirSync(join(older, 'images'))).toEqual(readdirSync(join(out, 'images')));
  });
});

describe('other folders', () => {
  it('a plain folder: label maps by name, look-alikes as images, every problem said', async () => {
    const source = join(root, 'plain');
    const shifted: Geometry = { ...GRID, originMm: [8, -7, 20] };
    await writeImage(join(source, 'one.nii'), hounsfield(GRID));
    await writeImage(join(source, 'one_heart.nrrd'), labels(GRID));
    await writeImage(join(source, 'sub', 'one.nii'), hounsfield(GRID));
    await writeImage(join(source, 'two.nii'), hounsfield(GRID, 5));
    await writeImage(join(source, 'two_seg.nii'), labels(shifted));
    await writeImage(join(source, 'two_contrast.nii'), hounsfield(GRID, 9));
    await writeImage(join(source, 'constant.nii'), { geometry: GRID, data: new Uint8Array(960) });
    const nan = Float32Array.from(hounsfield(GRID, 3).data);
    nan[17] = Number.NaN;
    await writeImage(join(source, 'nan.nii'), { geometry: GRID, data: nan });
    await writeImage(join(source, 'positive.nii'), {
      geometry: GRID,
      data: Uint16Array.from(hounsfield(GRID, 11).data, (v) => v + 1024),
    });
    await writeImage(join(source, 'flipped.nii'), hounsfield({ ...GRID, direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] }, 13));
    writeFileSync(join(source, 'broken.nii.gz'), 'broken');
    const { cohort, layout } = await prepareCohort({ source, out: join(root, 'plain-cohort'), options: OPTIONS });
    expect(layout).toBe('plain');
    expect(cohort.subjects.map((s) => s.id).sort()).toEqual(['flipped', 'nan', 'one', 'sub_one', 'two', 'two_contrast']);
    expect(cohort.subjects.find((s) => s.id === 'one')?.labelCodes).toEqual([0, 205, 850]);
    const said = cohort.problems.map((p) => `${p.kind} ${p.source.replace(source, '')}: ${p.message}`).join('\n');
    expect(said).toMatch(/refused \/broken\.nii\.gz: not NIfTI/);
    expect(said).toMatch(/refused \/constant\.nii: every voxel is 0/);
    expect(said).toMatch(/warning \/nan\.nii: NaN or infinite voxels: 1, set to -1024/);
    expect(said).toMatch(/refused \/positive\.nii: does not look like CT in Hounsfield units: .*`allow` not-hounsfield/);
    expect(said).toMatch(
      /warning \/two\.nii: prepared without its label map: .*two_seg\.nii: on a different grid .*3\.0 mm away/,
    );
    expect(said).toMatch(/warning \/two_contrast\.nii: named like a label map/);
    expect(said).toMatch(/duplicate \/sub\/one\.nii: duplicate of .*plain\/one\.nii/);
    expect(said).toMatch(/mixed orientations \(5 RAS, 1 LPS\)/);
  });

  it('a Decathlon folder: the files that dataset.json lists', async () => {
    const source = join(root, 'decathlon');
    await writeImage(join(source, 'imagesTr', 'x_0001.nii.gz'), hounsfield(GRID));
    await writeImage(join(source, 'labelsTr', 'x_0001.nii.gz'), labels(GRID));
    await writeImage(join(source, 'imagesTs', 'y.nii.gz'), hounsfield(GRID, 4));
    const dataset = {
      training: [
        { image: './imagesTr/x_0001.nii.gz', label: './labelsTr/x_0001.nii.gz' },
        { image: './imagesTr/gone.nii.gz' },
        { image: './imagesTr/._x.nii.gz' },
      ],
      test: ['./imagesTs/y.nii.gz'],
    };
    writeFileSync(join(source, 'dataset.json'), JSON.stringify(dataset));
    const found = await findSubjects(source);
    expect(found.tasks.map((t) => [t.id, t.split, t.labels.length])).toEqual([
      ['x_0001', 'train', 1],
      ['y', 'test', 0],
    ]);
    expect(found.problems.map((p) => p.message)).toEqual(['listed in dataset.json, but does not exist']);
    writeFileSync(join(source, 'dataset.json'), '{');
    await expect(findSubjects(source)).rejects.toThrow(/dataset\.json: not JSON/);
  });

  it('wrong folders are refused before anything is written', async () => {
    const call = (source: string, out: string): Promise<unknown> => prepareCohort({ source, out, options: OPTIONS });
    const empty = join(root, 'empty');
    const foreign = join(root, 'foreign');
    mkdirSync(empty);
    mkdirSync(foreign);
    writeFileSync(join(foreign, 'thesis.tex'), '');
    await expect(call(join(root, 'absent'), join(root, 'o1'))).rejects.toThrow(/no such folder/);
    await expect(call(join(foreign, 'thesis.tex'), join(root, 'o1'))).rejects.toThrow(/a file; expected a folder/);
    await expect(call(empty, join(empty, 'out'))).rejects.toThrow(/is inside the source folder/);
    await expect(call(empty, foreign)).rejects.toThrow(/is not empty and not a cohort \(found thesis\.tex\)/);
    await expect(call(empty, join(root, 'o2'))).rejects.toThrow(/no images to prepare in this folder/);
    expect(readdirSync(foreign)).toEqual(['thesis.tex']);
    expect(existsSync(join(root, 'o1'))).toBe(false);
  });

  it('stopped before the end, it says how far it came and leaves no cohort.json', async () => {
    const stop = new AbortController();
    stop.abort();
    const out = join(root, 'stopped');
    await expect(prepareCohort({ source: join(root, 'nnunet'), out, options: OPTIONS, signal: stop.signal })).rejects.toThrow(
      /stopped: 0 of 3/,
    );
    expect(existsSync(join(out, 'cohort.json'))).toBe(false);
  });

  it('MR: clipped at 0 and scaled to the range, or between percentiles', async () => {
    const source = join(root, 'mr');
    await writeImage(join(source, 'm.nii'), { geometry: GRID, data: Int16Array.from({ length: 960 }, (_, i) => i - 10) });
    const mr: PrepareOptions = { ...OPTIONS, modality: 'mr' };
    const minmax = (await prepareCohort({ source, out: join(root, 'mr-minmax'), options: mr })).cohort.subjects[0];
    expect(minmax.intensity).toEqual({ kind: 'minmax', low: 0, high: 949 });
    const percentile = (await prepareCohort({ source, out: join(root, 'mr-p'), options: { ...mr, intensity: 'percentile' } }))
      .cohort.subjects[0];
    expect(percentile.intensity.low).toBe(0);
    expect(percentile.intensity.high).toBeCloseTo(944, -1);
  });

  it('MR with negative values: refused, or scaled between percentiles with its signs', async () => {
    const source = join(root, 'scores');
    const scores = Float32Array.from({ length: 960 }, (_, i) => (i - 480) / 240);
    scores[7] = Number.NaN;
    await writeImage(join(source, 's.nii'), { geometry: GRID, data: scores });
    const mr: PrepareOptions = { ...OPTIONS, modality: 'mr' };
    const refused = (await prepareCohort({ source, out: join(root, 'scores-minmax'), options: mr })).cohort;
    expect([refused.subjects.length, refused.problems[0].reason]).toEqual([0, 'negative-values']);
    const out = join(root, 'scores-signed');
    const { cohort } = await prepareCohort({ source, out, options: { ...mr, intensity: 'signed' } });
    const { kind, low, high } = cohort.subjects[0].intensity;
    expect(kind).toBe('signed');
    // numpy.percentile of the values with -2, the lowest, for the one that is no number
    expect([low, high].map((value) => +value.toFixed(4))).toEqual([-1.9842, 1.9759]);
    expect(cohort.problems.map(({ message }) => message)).toEqual(['NaN or infinite voxels: 1, set to -2']);
    expect((await openCohort(out)).options.intensity).toBe('signed');
  });

  it('crops CT to the patient', async () => {
    const source = join(root, 'body');
    const grid: Geometry = { ...GRID, size: [60, 50, 40] };
    const data = new Int16Array(60 * 50 * 40).fill(-1000);
    for (let z = 0; z < 40; z++) for (let y = 20; y < 30; y++) data.fill(40, (z * 50 + y) * 60 + 25, (z * 50 + y) * 60 + 45);
    await writeImage(join(source, 'body.nii'), { geometry: grid, data });
    const { cohort } = await prepareCohort({ source, out: join(root, 'body-out'), options: { ...OPTIONS, crop: 'foreground' } });
    // 20 x 10 voxels of body and 5 mm around
    expect(cohort.subjects[0].geometry.size).toEqual([30, 20, 40]);
    expect(Math.max(...(await readCrop(cohort, cohort.subjects[0], [0, 0, 0], [1, 5, 30])))).toBeLessThan(0.02);
  });
});

it('crops of wide slices, which are read one by one, are the same as of narrow ones', async () => {
  const grid: Geometry = { ...GRID, size: [210, 200, 5] };
  await writeImage(join(root, 'wide', 'wide.nii'), hounsfield(grid));
  const { cohort } = await prepareCohort({ source: join(root, 'wide'), out: join(root, 'wide-out'), options: OPTIONS });
  const [subject] = cohort.subjects;
  const whole = await readWhole(cohort, subject);
  const crops: [Zyx, Zyx][] = [
    [
      [1, 150, 100],
      [3, 4, 30],
    ],
    [
      [-1, 198, 205],
      [8, 5, 9],
    ],
  ];
  for (const [start, size] of crops)
    expect(Array.from(await readCrop(cohort, subject, start, size))).toEqual(cropOf(whole, [5, 200, 210], start, size));
});

describe.skipIf(!existsSync(join(DATA, 'odd')))('real files (needs GVSL_DATA)', () => {
  it('the brain in twelve axis orders is one subject, eleven near-duplicates', async () => {
    const options: PrepareOptions = { ...OPTIONS, modality: 'mr', spacingMm: [4, 4, 4] };
    const { cohort } = await prepareCohort({ source: join(DATA, 'odd', 'orient'), out: join(root, 'orient'), options });
    const wholes = await Promise.all(cohort.subjects.map((subject) => readWhole(cohort, subject)));
    for (const whole of wholes) expect(Buffer.compare(Buffer.from(whole.buffer), Buffer.from(wholes[0].buffer))).toBe(0);
    expect(cohort.problems.filter((p) => p.kind === 'duplicate')).toHaveLength(11);
  });
});
