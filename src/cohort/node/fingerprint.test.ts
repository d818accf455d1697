import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IDENTITY_3, type Volume, type Xyz } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import type { PrepareOptions } from '../prepare-options.ts';
import { type CohortFingerprint, compareFingerprints, fingerprintOf, fingerprintSchema } from './fingerprint.ts';
import { openCohort } from './open-cohort.ts';
import { prepareCohort } from './prepare.ts';

const OPTIONS: PrepareOptions = { modality: 'ct', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' };
const scan = (seed: number): Volume => {
  const size: Xyz = [6, 5, 4];
  const data = Int16Array.from({ length: 120 }, (_, i) => ((i * (37 + 2 * seed) + seed * 11) % 1500) - 1000);
  return { geometry: { size, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 }, data };
};
const labels = (code: number): Volume => ({
  ...scan(0),
  data: Uint8Array.from({ length: 120 }, (_, i) => (i % 6 < 2 ? code : 0)),
});

let root: string;
const at = (...names: string[]): string => join(root, ...names);
let source: string;
let first: CohortFingerprint;
let copies = 0;

/** The fingerprint of a changed copy of the source, prepared. */
async function changed(change: (folder: string) => unknown, options: Partial<PrepareOptions> = {}): Promise<CohortFingerprint> {
  const folder = at(`copy-${copies++}`);
  cpSync(source, folder, { recursive: true });
  await change(folder);
  await prepareCohort({ source: folder, out: `${folder}-cohort`, options: { ...OPTIONS, ...options } });
  return fingerprintOf(await openCohort(`${folder}-cohort`));
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gvsl-fingerprint-'));
  source = at('source');
  for (const [k, id] of ['a', 'b', 'c'].entries()) {
    await writeImage(join(source, 'imagesTr', `${id}_0000.nii.gz`), scan(k));
    await writeImage(join(source, 'labelsTr', `${id}.nii.gz`), labels(3));
  }
  const { cohort } = await prepareCohort({ source, out: at('cohort'), options: OPTIONS });
  first = fingerprintOf(cohort);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('the fingerprint of a cohort', () => {
  it('is that of the cohort as it lies on disk, whole after JSON, with sources hashed as other programs hash them', async () => {
    const opened = await openCohort(at('cohort'));
    expect(fingerprintOf(opened)).toEqual(first);
    expect(fingerprintSchema.parse(JSON.parse(JSON.stringify(first)))).toEqual(first);
    const [{ content }] = opened.subjects;
    const bytes = readFileSync(join(source, 'imagesTr', 'a_0000.nii.gz'));
    expect(content?.image).toEqual({ sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
  });

  it('does not depend on folders, times, or when it was prepared', async () => {
    const moved = await changed((folder) => utimesSync(join(folder, 'imagesTr', 'a_0000.nii.gz'), 1e9, 1e9));
    expect(moved).toEqual(first);
    expect(compareFingerprints(first, moved)).toEqual([]);
  });

  it('names subjects added, removed and renamed', async () => {
    const added = await changed((folder) => writeImage(join(folder, 'imagesTr', 'd_0000.nii.gz'), scan(7)));
    expect(compareFingerprints(first, added)).toEqual(['subjects: was 3, now 4', 'subjects added: d']);
    expect(compareFingerprints(added, first)).toEqual(['subjects: was 4, now 3', 'subjects removed: d']);
    const renamed = await changed((folder) =>
      renameSync(join(folder, 'imagesTr', 'b_0000.nii.gz'), join(folder, 'imagesTr', 'x_0000.nii.gz')),
    );
    expect(compareFingerprints(first, renamed)).toEqual(['subjects added: x', 'subjects removed: b']);
  });

  it('names subjects whose image or label map is another, and options', async () => {
    const other = await changed(async (folder) => {
      await writeImage(join(folder, 'imagesTr', 'a_0000.nii.gz'), scan(9));
      await writeImage(join(folder, 'labelsTr', 'c.nii.gz'), labels(4));
    });
    expect(compareFingerprints(first, other)).toEqual(['subjects made from different files: a, c']);
    const finer = await changed(() => {}, { spacingMm: [1, 1, 2] });
    expect(compareFingerprints(first, finer)).toEqual([
      'options.spacingMm: was [1,1,1], now [1,1,2]',
      'subjects prepared differently from the same files: a, b, c',
    ]);
  });

  it.each([
    ['a header', 'x.raw', ['x.raw']],
    ['a header in numbered slices', 'x%d.raw 1 2 1', ['x1.raw', 'x2.raw']],
  ])('covers the voxels that lie beside %s', async (name, dataFile, files) => {
    const folder = at(name);
    mkdirSync(folder);
    const header = [
      'ObjectType = Image',
      'NDims = 3',
      'DimSize = 6 5 4',
      'ElementType = MET_SHORT',
      `ElementDataFile = ${dataFile}`,
      '',
    ];
    writeFileSync(join(folder, 'x.mhd'), header.join('\n'));
    const prepared = async (seed: number): Promise<CohortFingerprint> => {
      const voxels = Buffer.from((scan(seed).data as Int16Array).buffer);
      for (const [k, file] of files.entries()) {
        const share = voxels.length / files.length;
        writeFileSync(join(folder, file), voxels.subarray(k * share, (k + 1) * share));
        utimesSync(join(folder, file), 1e9 + seed, 1e9 + seed);
      }
      const { cohort } = await prepareCohort({ source: folder, out: `${folder}-cohort`, options: OPTIONS });
      expect(cohort.subjects[0].content?.image.sizeBytes).toBe(header.join('\n').length + 240);
      return fingerprintOf(cohort);
    };
    expect(compareFingerprints(await prepared(1), await prepared(2))).toEqual(['subjects made from different files: x']);
  });

  it('names a few of many, and tells another order', async () => {
    const { options, subjects } = await openCohort(at('cohort'));
    const many = (count: number) =>
      fingerprintOf({ options, subjects: Array.from({ length: count }, (_, k) => ({ ...subjects[0], id: `s${k}` })) });
    expect(compareFingerprints(many(1), many(10))[1]).toBe('subjects added: s1, s2, s3 and 6 more');
    const [x, y, z] = subjects;
    expect(compareFingerprints(first, fingerprintOf({ options, subjects: [x, z, y] }))).toEqual([
      'subjects in a different order',
    ]);
    const large = many(100_000);
    expect(JSON.stringify(large).length).toBeLessThan(4e6);
  });

  it('counts classes only where they are learnt', async () => {
    const { options, subjects } = await openCohort(at('cohort'));
    const withClass = { options, subjects: subjects.map((subject, k) => ({ ...subject, class: k === 1 ? 'ill' : 'well' })) };
    const other = { options, subjects: subjects.map((subject) => ({ ...subject, class: 'well' })) };
    expect(compareFingerprints(first, fingerprintOf(withClass))).toEqual([]);
    const learnt = (cohort: typeof other) => fingerprintOf(cohort, { withClasses: true });
    expect(compareFingerprints(learnt(withClass), learnt(other))).toEqual(['subjects with a different class: b']);
  });

  it('exists for cohorts of older versions, which do not know their sources', async () => {
    const folder = at('older');
    cpSync(at('cohort'), folder, { recursive: true });
    const { options, subjects, problems } = await openCohort(folder);
    const bare = subjects.map(({ content, patient, ...subject }) => subject);
    writeFileSync(join(folder, 'cohort.json'), JSON.stringify({ format: 1, options, subjects: bare, problems }));
    const older = fingerprintOf(await openCohort(folder));
    expect(compareFingerprints(older, fingerprintOf(await openCohort(folder)))).toEqual([]);
    expect(compareFingerprints(older, first)).toEqual(['subjects made from different files: a, b, c']);
  });
});
