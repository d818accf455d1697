import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyAffine, voxelToPhysical } from '../../geometry/affine.ts';
import { coveredShare } from '../../geometry/resample.ts';
import type { Geometry, Xyz } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { cohortReader, readCrop, readWhole } from './crops.ts';
import { findSubjects } from './find-subjects.ts';
import { openCohort } from './open-cohort.ts';
import { prepareCohort } from './prepare.ts';
import { EVERYTHING, type Selection } from './selection.ts';

const root = mkdtempSync(join(tmpdir(), 'gvsl-channels-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const OPTIONS: PrepareOptions = { modality: 'mr', spacingMm: [1.5, 1.5, 1.5], size: null, crop: 'none', intensity: 'minmax' };
/** The first channel's grid, and one that is turned by 0.2 rad about z, finer, and larger. */
const GRID: Geometry = {
  size: [30, 26, 20],
  spacingMm: [1, 1, 1.5],
  originMm: [-15, -13, -15],
  direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
};
const [c, s] = [Math.cos(0.2), Math.sin(0.2)];
const TURNED: Geometry = {
  size: [44, 44, 40],
  spacingMm: [0.9, 0.9, 0.9],
  originMm: [-16, -24, -18],
  direction: [c, -s, 0, s, c, 0, 0, 0, 1],
};

type Field = (mm: Xyz) => number;
const t1: Field = ([x, y, z]) => 200 + 80 * Math.sin(x / 9) + 60 * Math.cos(y / 11) + 50 * Math.sin(z / 13);
const flair: Field = ([x, y, z]) => 300 + 90 * Math.cos(x / 8) - 70 * Math.sin(y / 9) + 20 * Math.cos(z / 7);

function painted(geometry: Geometry, field: Field) {
  const [nx, ny, nz] = geometry.size;
  const map = voxelToPhysical(geometry);
  return {
    geometry,
    data: Float32Array.from({ length: nx * ny * nz }, (_, i) =>
      field(applyAffine(map, [i % nx, Math.floor(i / nx) % ny, Math.floor(i / (nx * ny))])),
    ),
  };
}
const labels = () => {
  const { geometry, data } = painted(GRID, t1);
  return { geometry, data: Uint8Array.from(data, (value) => (value > 240 ? 1 : 0)) };
};

const at = (...names: string[]): string => join(root, ...names);
const ids = ['A', 'B'];
const choosing = (...channels: string[]): Selection => ({ ...EVERYTHING, channels });
const prepare = (source: string, out: string, selection: Selection, options: PrepareOptions = OPTIONS) =>
  prepareCohort({ source: at(source), out: at(out), options, selection, workers: 1 });

/** A NIfTI file of two volumes, made of two that are alike but for their voxels. */
async function writeTogether(path: string): Promise<void> {
  const [a, b] = [painted(GRID, t1).data, painted(GRID, flair).data];
  const header = (lines: string[]) => Buffer.from(`${lines.join('\n')}\n\n`);
  writeFileSync(
    path,
    Buffer.concat([
      header([
        'NRRD0004',
        'type: float',
        'dimension: 4',
        'space: left-posterior-superior',
        `sizes: ${GRID.size.join(' ')} 2`,
        'space directions: (1,0,0) (0,1,0) (0,0,1.5) none',
        `space origin: (${GRID.originMm.join(',')})`,
        'kinds: domain domain domain list',
        'endian: little',
        'encoding: raw',
      ]),
      Buffer.from(a.buffer),
      Buffer.from(b.buffer),
    ]),
  );
}

beforeAll(async () => {
  for (const id of ids) {
    const files = {
      [`nnunet/imagesTr/${id}_0000.nii.gz`]: painted(GRID, t1),
      [`nnunet/imagesTr/${id}_0001.nii.gz`]: painted(TURNED, flair),
      [`nnunet/labelsTr/${id}.nii.gz`]: labels(),
      [`brats/${id}1/${id}1_flair.nii.gz`]: painted(TURNED, flair),
      [`brats/${id}1/${id}1_t1.nii.gz`]: painted(GRID, t1),
      [`brats/${id}1/${id}1_seg.nii.gz`]: labels(),
    };
    for (const [path, volume] of Object.entries(files)) await writeImage(at(path), volume);
  }
  writeFileSync(at('nnunet', 'dataset.json'), JSON.stringify({ channel_names: { 0: 'T1', 1: 'FLAIR' }, file_ending: '.nii.gz' }));
  const training = ids.map((id) => ({
    image: [`nnunet/imagesTr/${id}_0000.nii.gz`, `nnunet/imagesTr/${id}_0001.nii.gz`],
    label: `nnunet/labelsTr/${id}.nii.gz`,
  }));
  writeFileSync(at('monai.json'), JSON.stringify({ training }));
  await writeImage(at('together', 'labelsTr', 'A.nii.gz'), labels());
  await writeImage(at('together', 'imagesTr', 'other.nii.gz'), painted(GRID, t1));
  rmSync(at('together', 'imagesTr', 'other.nii.gz'));
  await writeTogether(at('together', 'imagesTr', 'A.nrrd'));
  writeFileSync(
    at('together', 'dataset.json'),
    JSON.stringify({
      modality: { 0: 'T1', 1: 'FLAIR' },
      training: [{ image: './imagesTr/A.nrrd', label: './labelsTr/A.nii.gz' }],
    }),
  );
});

describe('a cohort of several channels', () => {
  it('has each on the grid of the first, by its place in the patient, and scaled by itself', async () => {
    const { cohort } = await prepare('nnunet', 'of-nnunet', choosing('all'));
    const opened = await openCohort(at('of-nnunet'));
    expect(opened).toEqual({ ...cohort, folder: at('of-nnunet'), format: 3 });
    expect(opened.options.channels).toEqual([
      { name: 'T1', number: 0, scale: 'minmax' },
      { name: 'FLAIR', number: 1, scale: 'minmax' },
    ]);
    const [subject] = opened.subjects;
    expect(subject.otherChannels![0].source).toBe(at('nnunet', 'imagesTr', 'A_0001.nii.gz'));
    const both = await readWhole(opened, subject, 'all');
    const [one, other] = [await readWhole(opened, subject), await readWhole(opened, subject, 1)];
    expect([...both]).toEqual([...one, ...other]);
    const { low, high } = subject.otherChannels![0].intensity;
    const expected = painted(subject.geometry, (mm) => (flair(mm) - low) / (high - low)).data;
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i])), 0);
    // linear interpolation of a smooth field, in half precision
    expect(worst).toBeLessThan(0.02);
  });

  it('has its first channel as a cohort of that channel alone has it, and crops of any', async () => {
    await prepare('nnunet', 'alone', { ...EVERYTHING, channel: 'T1' });
    const [several, alone] = await Promise.all([openCohort(at('of-nnunet')), openCohort(at('alone'))]);
    expect(alone.format).toBe(2);
    expect(alone.options).not.toHaveProperty('channels');
    const [a, b] = [several.subjects[1], alone.subjects[1]];
    const { otherChannels: _, content: ofSeveral, ...shared } = a;
    const { content: ofOne, ...same } = b;
    expect(shared).toEqual({ ...same, problems: shared.problems });
    expect(ofSeveral).not.toEqual(ofOne);
    expect(await readWhole(several, a)).toEqual(await readWhole(alone, b));
    const crop = await cohortReader(several, 1).readCrop(a, [2, -3, 4], [5, 6, 7]);
    expect(crop).toEqual((await readCrop(several, a, [2, -3, 4], [5, 6, 7], 'all')).subarray(5 * 6 * 7));
  });

  it('is made of nnU-Net folders, subjects with a file for each, lists of files and 4D files alike', async () => {
    const whole = await readWhole(await openCohort(at('of-nnunet')), (await openCohort(at('of-nnunet'))).subjects[0], 'all');
    for (const [source, names] of [
      ['brats', ['t1', 'flair']],
      ['monai.json', ['0', '1']],
    ] as const) {
      const { cohort } = await prepare(source, `of-${source}`, choosing('all'));
      expect(cohort.options.channels!.map(({ name }) => name)).toEqual(names);
      expect(cohort.subjects.map(({ id }) => id)).toEqual(source === 'brats' ? ['A1', 'B1'] : ids);
      expect(cohort.subjects.every(({ labelCodes }) => labelCodes?.join() === '0,1')).toBe(true);
      expect(await readWhole(cohort, cohort.subjects[0], 'all')).toEqual(whole);
    }
    const { cohort } = await prepare('together', 'of-4d', choosing('T1', 'FLAIR'));
    const [subject] = cohort.subjects;
    expect(await readWhole(cohort, subject)).toEqual(whole.subarray(0, whole.length / 2));
    const second = await readWhole(cohort, subject, 1);
    expect(second.reduce((most, value, i) => Math.max(most, Math.abs(value - whole[whole.length / 2 + i])), 0)).toBeLessThan(
      0.05,
    );
  });

  it('is kept when it is prepared again, and prepared anew for other channels', async () => {
    expect((await prepare('nnunet', 'of-nnunet', choosing('T1', 'FLAIR'))).kept).toBe(2);
    // the first channel gives the grid, which the label map must have
    const { kept, cohort } = await prepare('nnunet', 'of-nnunet', choosing('FLAIR', 'T1'));
    expect([kept, cohort.subjects.length]).toEqual([0, 0]);
    expect(cohort.problems[0].message).toContain('on a different grid than its image');
  });

  it('leaves out by name what lacks a channel or lies elsewhere', async () => {
    cpSync(at('nnunet'), at('bad'), { recursive: true });
    rmSync(at('bad', 'imagesTr', 'A_0001.nii.gz'));
    const far = { ...TURNED, originMm: [300, 0, 0] as Xyz };
    await writeImage(at('bad', 'imagesTr', 'B_0001.nii.gz'), { ...painted(TURNED, flair), geometry: far });
    const { cohort } = await prepare('bad', 'of-bad', choosing('all'));
    expect(cohort.problems.map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      'refused: its subject A has no channel _0001 (FLAIR)',
      `refused: ${at('bad', 'imagesTr', 'B_0001.nii.gz')}: covers 0 % of the first channel's image: register the channels of a subject to each other first`,
    ]);
    const refused = (...channels: string[]) => findSubjects(at('nnunet'), 'mr', choosing(...channels));
    await expect(refused('T1', 'T2')).rejects.toThrow('`channels` T2: expected one of 0 T1, 1 FLAIR');
    await expect(refused('T1', '0')).rejects.toThrow('`channels` T1,0: T1 and 0 are the same channel; name each once');
    await expect(refused('0', '0')).rejects.toThrow('`channels` 0,0: 0 is there twice; name each once');
    await expect(findSubjects(at('brats'), 'mr', choosing('t1', 'T1'))).rejects.toThrow('t1 and T1 are the same channel');
    await expect(findSubjects(at('nnunet'), 'mr', { ...choosing('all'), channel: '0' })).rejects.toThrow('expected one of them');
    await expect(findSubjects(at('brats'), 'mr', choosing('t1', 'adc'))).rejects.toThrow(
      'no file here is named so; found t1, flair',
    );
  });

  it('scales CT in Hounsfield units beside what is none', async () => {
    for (const [k, field] of [t1, flair].entries())
      await writeImage(at('petct', 'imagesTr', `A_000${k}.nii.gz`), painted(GRID, field));
    writeFileSync(at('petct', 'dataset.json'), JSON.stringify({ channel_names: { 0: 'CT', 1: 'PET' }, file_ending: '.nii.gz' }));
    const selection = { ...choosing('all'), allow: ['not-hounsfield'] as const };
    const { cohort } = await prepare('petct', 'of-petct', selection, { ...OPTIONS, modality: 'ct' });
    expect(cohort.options.channels!.map(({ scale }) => scale)).toEqual(['hounsfield', 'minmax']);
    const [subject] = cohort.subjects;
    expect([subject.intensity.kind, subject.otherChannels![0].intensity.kind]).toEqual(['hounsfield', 'minmax']);
  });
});

describe('coveredShare', () => {
  it('tells how much of a grid another covers', () => {
    expect(coveredShare(GRID, GRID)).toBe(1);
    const half = { ...GRID, originMm: [0, -13, -15] as Xyz };
    expect(coveredShare(GRID, half)).toBeCloseTo(0.5, 1);
    expect(coveredShare(GRID, { ...GRID, originMm: [100, 0, 0] })).toBe(0);
  });
});
